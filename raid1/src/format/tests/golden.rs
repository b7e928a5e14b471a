//! Bytes that were written down once: the format does not change unnoticed.

use super::*;

#[test]
fn superblock() {
    let expected = hex(include_str!("superblock.hex"));
    let bytes = encoded(&sample());
    assert_eq!(bytes[..768], expected, "{:02x?}", &bytes[..768]);
    assert!(bytes[768..].iter().all(|byte| *byte == 0));
}

#[test]
fn leaf() {
    let mut bits = [0; 496];
    (bits[0], bits[1], bits[495]) = (0x81, 0x10, 0x80);
    let mut leaf = [0; LEAF_BYTES];
    encode_leaf(
        BitmapId::missed(2),
        5,
        0x0102_0304_0506_0708,
        &bits,
        &mut leaf,
    );
    assert_eq!(
        leaf[..20],
        hex("78baa6dd 05000300 0807060504030201 81100000"),
        "{:02x?}",
        &leaf[..20]
    );
    assert!(leaf[20..511].iter().all(|byte| *byte == 0));
    assert_eq!(leaf[511], 0x80);
}
