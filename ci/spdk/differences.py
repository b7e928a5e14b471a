"""Where the embedded backend answers otherwise than SPDK, and why: (method/path, reason)."""

DIFFERENCES = [
]
