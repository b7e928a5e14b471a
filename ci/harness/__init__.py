"""What the integration suite and the benchmark share: finding an SPDK, running its programs."""
