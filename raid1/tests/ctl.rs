//! raid1ctl, driven as its users do.
