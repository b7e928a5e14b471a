#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| barespdk_raid1_fuzz::superblock(input));
