use super::*;

fn at(generation: u64) -> Superblock {
    Superblock {
        generation,
        ..sample()
    }
}

fn generation(a: &[u8], b: &[u8]) -> (u64, bool) {
    let found = newest(a, b).unwrap().unwrap();
    (found.superblock.generation, found.damaged.is_some())
}

#[test]
fn the_higher_generation_counts() {
    let [six, seven, eight] = [at(6), at(7), at(8)];
    // The sample says that a leg left in generation 6.
    let [six, seven, eight] = [&six, &seven, &eight].map(encoded);
    let nothing = [0; SUPERBLOCK_BYTES];
    assert_eq!(generation(&six, &seven), (7, false));
    assert_eq!(generation(&eight, &seven), (8, false));
    assert_eq!(generation(&nothing, &seven), (7, false));
    assert_eq!(generation(&six, &nothing), (6, false));
    assert_eq!(newest(&nothing, &nothing), Ok(None));
    assert_eq!(newest(&[], &[]), Ok(None));
}

#[test]
fn a_torn_copy_leaves_the_other() {
    let [eight, seven] = [at(8), at(7)].map(|superblock| encoded(&superblock));
    let torn = |bytes: &[u8]| [&bytes[..512], &[0; SUPERBLOCK_BYTES - 512]].concat();
    assert_eq!(generation(&torn(&eight), &seven), (7, true));
    assert_eq!(generation(&eight, &torn(&seven)), (8, true));
    let error = newest(&torn(&eight), &torn(&seven)).unwrap_err();
    let text = message(error);
    assert!(
        text.starts_with("copy A of the superblock: the checksum is 0x"),
        "{text}"
    );
    assert!(
        text.contains("; copy B of the superblock: the checksum"),
        "{text}"
    );
    let error = newest(&[], &torn(&seven)).unwrap_err();
    assert!(message(error).starts_with("copy B of the superblock: the checksum"));
}

#[test]
fn a_copy_of_a_later_version_is_not_passed_over() {
    let [mut eight, seven] = [at(8), at(7)].map(|superblock| encoded(&superblock));
    eight[8] = 2;
    seal(&mut eight);
    for (a, b) in [(&eight, &seven), (&seven, &eight)] {
        let error = newest(a, b).unwrap_err();
        assert!(message(error).contains("it has version 2"), "{error}");
    }
}

#[test]
fn copies_in_the_wrong_place_and_of_two_arrays() {
    let [eight, seven] = [at(8), at(7)].map(|superblock| encoded(&superblock));
    let error = newest(&seven, &eight).unwrap_err();
    assert_eq!(
        message(error),
        "copy A of the superblock: the generation is 7: it belongs in the other copy; \
         copy B of the superblock: the generation is 8: it belongs in the other copy"
    );
    let strange = encoded(&Superblock {
        uuid: uuid(0x77),
        ..at(8)
    });
    assert!(message(newest(&strange, &seven).unwrap_err()).contains("different arrays"));
    let mut moved = at(8);
    moved.legs[3].uuid = uuid(0x77);
    assert!(newest(&encoded(&moved), &seven).is_err());
}

proptest! {
    #[test]
    fn no_bytes_panic(
        a in proptest::collection::vec(any::<u8>(), 0..5000),
        b in proptest::collection::vec(any::<u8>(), 0..5000),
    ) {
        let _ = newest(&signed(b"BARERAID", a), &signed(b"BARERAID", b));
    }
}
