use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use proptest::collection::vec as vector;
use proptest::prelude::*;

use super::*;

const GEOMETRY: Geometry = Geometry {
    num_blocks: 1000,
    block_size: 512,
    block_preferred: 4096,
    read_only: false,
    can_trim: true,
};

/// Exports by name; the first is the default one.
struct Names(Vec<&'static str>);

impl Catalogue for Names {
    type Export = String;

    fn find(&self, name: &str) -> Option<String> {
        let found = self.0.iter().find(|known| **known == name);
        found
            .or(self.0.first().filter(|_| name.is_empty()))
            .map(ToString::to_string)
    }

    fn name(export: &String) -> &str {
        export
    }

    fn description(_: &String) -> &str {
        "a disk"
    }

    fn geometry(_: &String) -> Geometry {
        GEOMETRY
    }

    fn list(&self, each: impl FnMut(&str)) {
        self.0.iter().copied().for_each(each);
    }
}

/// How a handshake ended.
#[derive(Debug, PartialEq)]
enum Outcome {
    Hungry,
    Go(String),
    End,
    Violation(Violation),
}

/// Feeds a handshake in pieces; what it said, how it ended, and what of the input it left.
fn shake(input: &[u8], piece: usize) -> (Vec<u8>, Outcome, Vec<u8>) {
    let names = Names(vec!["M0", "M1"]);
    let (mut handshake, mut output) = (Handshake::default(), Vec::new());
    let (mut here, mut rest) = (Vec::new(), input);
    loop {
        assert!(here.len() <= INPUT_BYTES_MAX);
        let used = match handshake.step(&here, &names, &mut output) {
            Ok(Step::More) if rest.is_empty() => return (output, Outcome::Hungry, here),
            Ok(Step::More) => {
                assert!(here.len() < INPUT_BYTES_MAX, "more than there is room for");
                let room = INPUT_BYTES_MAX - here.len();
                let (next, later) = rest.split_at(piece.min(rest.len()).min(room));
                here.extend_from_slice(next);
                rest = later;
                continue;
            }
            Ok(Step::Used(used)) => used,
            Ok(Step::Go(used, export)) => {
                here.drain(..used);
                here.extend_from_slice(rest);
                return (output, Outcome::Go(export), here);
            }
            Ok(Step::End(_)) => return (output, Outcome::End, Vec::new()),
            Err(violation) => return (output, Outcome::Violation(violation), here),
        };
        assert!(used > 0);
        here.drain(..used);
    }
}

fn flags(flags: u32) -> Vec<u8> {
    flags.to_be_bytes().to_vec()
}

fn option(kind: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"IHAVEOPT".to_vec();
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(&(data.len() as u32).to_be_bytes());
    bytes.extend_from_slice(data);
    bytes
}

fn info_data(name: &str, wanted: &[u16]) -> Vec<u8> {
    let mut bytes = (name.len() as u32).to_be_bytes().to_vec();
    bytes.extend_from_slice(name.as_bytes());
    bytes.extend_from_slice(&(wanted.len() as u16).to_be_bytes());
    for kind in wanted {
        bytes.extend_from_slice(&kind.to_be_bytes());
    }
    bytes
}

/// The replies to options: option, type, data.
fn replies(mut bytes: &[u8]) -> Vec<(u32, u32, Vec<u8>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        assert_eq!(u64_at(bytes, 0), 0x0003_E889_0455_65A9);
        let length = u32_at(bytes, 16) as usize;
        found.push((
            u32_at(bytes, 8),
            u32_at(bytes, 12),
            bytes[20..20 + length].to_vec(),
        ));
        bytes = &bytes[20 + length..];
    }
    found
}

const ERROR: u32 = 1 << 31;

#[test]
fn the_greeting_is_fixed_newstyle_without_zeroes() {
    assert_eq!(&GREETING, b"NBDMAGICIHAVEOPT\x00\x03");
}

#[test]
fn go_tells_size_flags_and_block_sizes() {
    let input = [flags(3), option(7, &info_data("M1", &[1, 2, 3]))].concat();
    let (output, outcome, _) = shake(&input, usize::MAX);
    assert_eq!(outcome, Outcome::Go("M1".into()));
    let replies = replies(&output);
    let info: Vec<_> = replies
        .iter()
        .map(|(_, kind, data)| (*kind, &data[..]))
        .collect();
    let mut export = vec![0, 0];
    export.extend_from_slice(&512_000_u64.to_be_bytes());
    export.extend_from_slice(&0b1_0110_1101_u16.to_be_bytes());
    let mut sizes = vec![0, 3];
    for size in [512_u32, 4096, 32 << 20] {
        sizes.extend_from_slice(&size.to_be_bytes());
    }
    assert_eq!(
        info,
        [
            (3, &export[..]),
            (3, &sizes[..]),
            (3, b"\0\x01M1"),
            (3, b"\0\x02a disk"),
            (1, b""),
        ]
    );
}

#[test]
fn info_goes_on_with_the_handshake() {
    let input = [
        flags(1),
        option(6, &info_data("", &[])),
        option(6, &info_data("nobody", &[])),
        option(2, b""),
    ]
    .concat();
    let (output, outcome, _) = shake(&input, 1);
    assert_eq!(outcome, Outcome::End);
    let kinds: Vec<_> = replies(&output).iter().map(|(_, kind, _)| *kind).collect();
    assert_eq!(kinds, [3, 3, 1, ERROR + 6, 1]);
}

#[test]
fn a_list_names_all_exports() {
    let input = [flags(3), option(3, b""), option(3, b"x")].concat();
    let (output, outcome, _) = shake(&input, usize::MAX);
    assert_eq!(outcome, Outcome::Hungry);
    assert_eq!(
        replies(&output)
            .into_iter()
            .map(|(_, kind, data)| (kind, if kind < ERROR { data } else { vec![] }))
            .collect::<Vec<_>>(),
        [
            (2, b"\0\0\0\x02M0".to_vec()),
            (2, b"\0\0\0\x02M1".to_vec()),
            (1, vec![]),
            (ERROR + 3, vec![]),
        ]
    );
}

#[test]
fn export_name_is_answered_with_zeroes_unless_they_are_not_wanted() {
    for (client, length) in [(3, 10), (1, 134)] {
        let input = [flags(client), option(1, b"M0"), b"later".to_vec()].concat();
        let (output, outcome, left) = shake(&input, usize::MAX);
        assert_eq!(outcome, Outcome::Go("M0".into()));
        assert_eq!(output.len(), length);
        assert_eq!(output[..8], 512_000_u64.to_be_bytes());
        assert_eq!(left, b"later");
    }
    let (_, outcome, _) = shake(&[flags(3), option(1, b"nobody")].concat(), 1);
    assert_eq!(outcome, Outcome::Violation(Violation::ExportName));
}

#[test]
fn what_is_not_supported_is_refused_and_skipped() {
    let input = [
        flags(3),
        option(5, b""),
        option(8, b""),
        option(10, b"whatever"),
        option(999, &[0; 100]),
        option(6, b"\0\0\0\xffshort"),
        option(6, &[0xff; 20_000]),
        option(2, b""),
    ]
    .concat();
    for piece in [1, 1000, usize::MAX] {
        let (output, outcome, _) = shake(&input, piece);
        assert_eq!(outcome, Outcome::End);
        let kinds: Vec<_> = replies(&output).iter().map(|(_, kind, _)| *kind).collect();
        let unsupported = ERROR + 1;
        assert_eq!(
            kinds,
            [
                unsupported,
                unsupported,
                unsupported,
                unsupported,
                ERROR + 3,
                ERROR + 9,
                1
            ]
        );
    }
}

#[test]
fn who_breaks_the_rules_is_out() {
    for (input, violation) in [
        (flags(4), Violation::ClientFlags(4)),
        ([flags(3), vec![0; 16]].concat(), Violation::OptionMagic(0)),
        (
            [flags(3), b"IHAVEOPT\0\0\0\x07\xff\xff\xff\xff".to_vec()].concat(),
            Violation::OptionLength(u32::MAX),
        ),
        (
            [flags(3), b"IHAVEOPT\0\0\0\x01\0\x01\0\0".to_vec()].concat(),
            Violation::OptionLength(65536),
        ),
    ] {
        let (_, outcome, _) = shake(&input, usize::MAX);
        assert_eq!(outcome, Outcome::Violation(violation));
    }
}

fn header(flags: u16, kind: u16, offset: u64, length: u32) -> Header {
    Header {
        flags,
        kind,
        cookie: 7,
        offset,
        length,
    }
}

#[test]
fn a_request_is_parsed() {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..4].copy_from_slice(&0x2560_9513_u32.to_be_bytes());
    bytes[5] = 1;
    bytes[7] = 1;
    bytes[15] = 7;
    bytes[22] = 2;
    bytes[26] = 4;
    assert_eq!(Header::parse(&bytes), Ok(header(1, 1, 512, 1024)));
    bytes[0] = 0;
    assert_eq!(
        Header::parse(&bytes),
        Err(Violation::RequestMagic(0x60_9513))
    );
}

#[test]
fn a_reply_is_made() {
    assert_eq!(
        reply(7, Error::NOSPC),
        *b"\x67\x44\x66\x98\0\0\0\x1c\0\0\0\0\0\0\0\x07"
    );
}

#[track_caller]
fn verdict(geometry: &Geometry, header: Header, expected: Verdict) {
    assert_eq!(check(&header, geometry), Ok(expected));
}

#[test]
fn requests_that_may_be() {
    let span = |offset_blocks, num_blocks| Span {
        offset_blocks,
        num_blocks,
    };
    for (header, command) in [
        (header(0, 0, 512, 1024), Command::Read(span(1, 2), 1024)),
        (header(1, 0, 0, 512), Command::Read(span(0, 1), 512)),
        (
            header(0, 1, 511_488, 512),
            Command::Write(span(999, 1), 512, false),
        ),
        (header(1, 1, 0, 512), Command::Write(span(0, 1), 512, true)),
        (header(0, 3, 0, 0), Command::Flush),
        (
            header(0, 4, 0, 512_000),
            Command::Trim(span(0, 1000), false),
        ),
        (header(3, 6, 0, 512), Command::WriteZeroes(span(0, 1), true)),
        (header(0, 1, 512_000, 0), Command::Nothing),
    ] {
        verdict(&GEOMETRY, header, Verdict::Do(command));
    }
    verdict(&GEOMETRY, header(0, 2, 5, 5), Verdict::Disconnect);
}

#[test]
fn requests_that_may_not_be() {
    for (header, error, skip) in [
        // Past the end, or around it.
        (header(0, 0, 511_488, 1024), Error::INVAL, 0),
        (header(0, 1, 511_488, 1024), Error::NOSPC, 1024),
        (header(0, 6, 512_000, 512), Error::NOSPC, 0),
        (header(0, 4, 512_000, 512), Error::INVAL, 0),
        (header(0, 1, u64::MAX - 511, 512), Error::NOSPC, 512),
        (header(0, 0, u64::MAX, u32::MAX), Error::INVAL, 0),
        // Not in whole blocks.
        (header(0, 0, 1, 512), Error::INVAL, 0),
        (header(0, 1, 0, 511), Error::INVAL, 511),
        // Unknown commands and flags.
        (header(0, 7, 0, 512), Error::INVAL, 0),
        (header(0, 999, 0, 512), Error::INVAL, 0),
        (header(4, 0, 0, 512), Error::INVAL, 0),
        (header(16, 6, 0, 512), Error::INVAL, 0),
        (header(2, 1, 0, 512), Error::INVAL, 512),
        // Too much.
        (
            header(0, 1, 0, PAYLOAD_BYTES_MAX + 512),
            Error::INVAL,
            PAYLOAD_BYTES_MAX + 512,
        ),
        (header(0, 3, 0, 512), Error::INVAL, 0),
    ] {
        verdict(&GEOMETRY, header, Verdict::Refuse(error, skip));
    }
    assert_eq!(
        check(&header(0, 1, 0, u32::MAX), &GEOMETRY),
        Err(Violation::WriteLength(u32::MAX))
    );
}

#[test]
fn what_is_read_only_is_not_written() {
    let geometry = Geometry {
        read_only: true,
        ..GEOMETRY
    };
    for (kind, skip) in [(1, 512), (4, 0), (6, 0)] {
        verdict(
            &geometry,
            header(0, kind, 0, 512),
            Verdict::Refuse(Error::PERM, skip),
        );
    }
    verdict(&geometry, header(0, 3, 0, 0), Verdict::Do(Command::Flush));
    assert_eq!(geometry.transmission_flags(), 0b1_0000_1111);
}

#[test]
fn what_cannot_be_trimmed_is_not_trimmed() {
    let geometry = Geometry {
        can_trim: false,
        ..GEOMETRY
    };
    verdict(
        &geometry,
        header(0, 4, 0, 512),
        Verdict::Refuse(Error::INVAL, 0),
    );
    assert_eq!(geometry.transmission_flags() & (1 << 5), 0);
}

/// Input that is nearly right, more often than not.
fn options() -> impl Strategy<Value = Vec<u8>> {
    let data = prop_oneof![
        vector(any::<u8>(), 0..40),
        ("M[0-2]{0,1}", vector(0_u16..6, 0..4))
            .prop_map(|(name, wanted)| info_data(&name, &wanted)),
        vector(any::<u8>(), 12_000..13_000),
    ];
    let sane = (0_u32..12, data).prop_map(|(kind, data)| option(kind, &data));
    let piece = prop_oneof![
        6 => sane,
        1 => vector(any::<u8>(), 0..40),
        1 => Just(b"IHAVEOPT\0\0\0\x09\0\x08\0\0".to_vec()),
    ];
    (
        prop_oneof![4 => 0_u32..4, 1 => any::<u32>()],
        vector(piece, 0..6),
    )
        .prop_map(|(client, pieces)| [flags(client), pieces.concat()].concat())
}

proptest! {
    #[test]
    fn whatever_comes_is_answered_alike_however_it_is_cut(input in options(), piece in 1_usize..100) {
        let whole = shake(&input, usize::MAX);
        let cut = shake(&input, piece);
        prop_assert_eq!(&whole.0, &cut.0);
        prop_assert_eq!(&whole.1, &cut.1);
        // Well-formed, and bounded by what was asked.
        if !matches!(whole.1, Outcome::Go(_)) {
            replies(&whole.0);
        }
        prop_assert!(whole.0.len() <= 4 * input.len() + 1000);
    }

    #[test]
    fn noise_is_no_harm(input in vector(any::<u8>(), 0..200), piece in 1_usize..50) {
        shake(&input, piece);
    }

    #[test]
    fn nothing_leaves_the_export(
        flags in prop_oneof![Just(0_u16), Just(1), any::<u16>()],
        kind in 0_u16..9,
        offset in prop_oneof![0_u64..600_000, any::<u64>(), (0_u64..1100).prop_map(|block| block * 512)],
        length in prop_oneof![0_u32..600_000, any::<u32>(), (0_u32..1100).prop_map(|block| block * 512)],
        shift in 9_u32..17,
        num_blocks in prop_oneof![1_u64..2000, any::<u64>()],
        read_only in any::<bool>(),
        can_trim in any::<bool>(),
    ) {
        let geometry = Geometry {
            num_blocks,
            block_size: 1 << shift,
            block_preferred: 65536,
            read_only,
            can_trim,
        };
        let header = header(flags, kind, offset, length);
        let Ok(verdict) = check(&header, &geometry) else {
            prop_assert!(kind == 1 && length > DISCARD_BYTES_MAX);
            return Ok(());
        };
        let (span, bytes) = match verdict {
            Verdict::Do(Command::Read(span, bytes)) => (span, bytes),
            Verdict::Do(Command::Write(span, bytes, _)) => {
                prop_assert!(!read_only);
                (span, bytes)
            }
            Verdict::Do(Command::Trim(span, _) | Command::WriteZeroes(span, _)) => {
                prop_assert!(!read_only);
                (span, length)
            }
            Verdict::Refuse(error, skip) => {
                prop_assert!(error != Error::NONE);
                prop_assert_eq!(skip, if kind == 1 { length } else { 0 });
                return Ok(());
            }
            Verdict::Do(Command::Flush | Command::Nothing) | Verdict::Disconnect => return Ok(()),
        };
        prop_assert_eq!(bytes, length);
        prop_assert!(span.num_blocks > 0);
        prop_assert_eq!(span.num_blocks << shift, u64::from(length));
        prop_assert_eq!(span.offset_blocks << shift, offset);
        prop_assert!(span.offset_blocks + span.num_blocks <= num_blocks);
    }
}
