//! The handshake: what a client asks for before it does any I/O.

use alloc::format;
use alloc::vec::Vec;

use super::{Geometry, NAME_BYTES_MAX, PAYLOAD_BYTES_MAX, Violation, u16_at, u32_at, u64_at};

const OPTION_MAGIC: u64 = 0x4948_4156_454F_5054;
const OPTION_REPLY_MAGIC: u64 = 0x0003_E889_0455_65A9;

const FLAG_FIXED_NEWSTYLE: u16 = 1 << 0;
const FLAG_NO_ZEROES: u16 = 1 << 1;

/// What the server says first.
pub(crate) const GREETING: [u8; 18] = {
    let mut greeting = *b"NBDMAGICIHAVEOPT\0\0";
    greeting[17] = (FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES) as u8;
    greeting
};

const OPT_EXPORT_NAME: u32 = 1;
const OPT_ABORT: u32 = 2;
const OPT_LIST: u32 = 3;
const OPT_INFO: u32 = 6;
const OPT_GO: u32 = 7;

const REP_ACK: u32 = 1;
const REP_SERVER: u32 = 2;
const REP_INFO: u32 = 3;
const REP_ERR_UNSUP: u32 = (1 << 31) + 1;
const REP_ERR_INVALID: u32 = (1 << 31) + 3;
const REP_ERR_UNKNOWN: u32 = (1 << 31) + 6;
const REP_ERR_TOO_BIG: u32 = (1 << 31) + 9;

const INFO_EXPORT: u16 = 0;
const INFO_NAME: u16 = 1;
const INFO_DESCRIPTION: u16 = 2;
const INFO_BLOCK_SIZE: u16 = 3;

const OPTION_HEADER_BYTES: usize = 16;

/// Options with more data are skipped: none that we know needs more.
const OPTION_BYTES_MAX: u32 = 3 * NAME_BYTES_MAX as u32;

/// Options with more data than this end the connection.
const OPTION_SKIP_BYTES_MAX: u32 = 1 << 20;

/// As much of the input has to be at hand at once.
pub(crate) const INPUT_BYTES_MAX: usize = OPTION_HEADER_BYTES + OPTION_BYTES_MAX as usize;

/// The reserved bytes behind the answer to `NBD_OPT_EXPORT_NAME`.
const ZEROES: [u8; 124] = [0; 124];

/// The exports that a client may choose from.
pub(crate) trait Catalogue {
    /// An export that was found.
    type Export;

    /// Looks for an export; the empty name stands for the default one.
    fn find(&self, name: &str) -> Option<Self::Export>;

    /// The export's own name.
    fn name(export: &Self::Export) -> &str;

    /// A line for people.
    fn description(export: &Self::Export) -> &str;

    /// What is to be said of the export.
    fn geometry(export: &Self::Export) -> Geometry;

    /// Calls `each` with the name of every export.
    fn list(&self, each: impl FnMut(&str));
}

/// What the handshake has come to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step<E> {
    /// More input is needed.
    More,
    /// So many bytes of the input are used up; go on with what follows, when the client has been sent
    /// all of the output.
    Used(usize),
    /// As `Used`; requests to this export follow.
    Go(usize, E),
    /// As `Used`; the client is done.
    End(usize),
}

/// One client's handshake.
///
/// ```text
///   flags ──► option ──► option ──► ... ──► Go, End, or a Violation
///              │  ▲
///              ▼  │
///             skipping the data of one that is too long
/// ```
#[derive(Debug, Default)]
pub(crate) struct Handshake {
    has_flags: bool,
    no_zeroes: bool,
    /// How much of an option's data is still to be passed over.
    skip: u32,
}

impl Handshake {
    /// Does one step: looks at the begin of `input`, and writes to the end of `output`.
    ///
    /// # Errors
    /// The client has broken the rules, or cannot be answered: its connection has to end.
    pub(crate) fn step<C: Catalogue>(
        &mut self,
        input: &[u8],
        catalogue: &C,
        output: &mut Vec<u8>,
    ) -> Result<Step<C::Export>, Violation> {
        if !self.has_flags {
            return self.client_flags(input);
        }
        if self.skip > 0 {
            let here = input.len().min(self.skip as usize);
            self.skip -= here as u32;
            return Ok(if here == 0 {
                Step::More
            } else {
                Step::Used(here)
            });
        }
        if input.len() < OPTION_HEADER_BYTES {
            return Ok(Step::More);
        }
        let magic = u64_at(input, 0);
        if magic != OPTION_MAGIC {
            return Err(Violation::OptionMagic(magic));
        }
        let (option, length) = (u32_at(input, 8), u32_at(input, 12));
        if length > OPTION_BYTES_MAX {
            // There is no other answer to a name than an end.
            if length > OPTION_SKIP_BYTES_MAX || option == OPT_EXPORT_NAME {
                return Err(Violation::OptionLength(length));
            }
            self.skip = length;
            answer(
                output,
                option,
                REP_ERR_TOO_BIG,
                b"the option has too much data",
            );
            return Ok(Step::Used(OPTION_HEADER_BYTES));
        }
        let used = OPTION_HEADER_BYTES + length as usize;
        let Some(data) = input.get(OPTION_HEADER_BYTES..used) else {
            return Ok(Step::More);
        };
        match option {
            OPT_EXPORT_NAME => {
                let export = text(data)
                    .and_then(|name| catalogue.find(name))
                    .ok_or(Violation::ExportName)?;
                let geometry = C::geometry(&export);
                output.extend_from_slice(&geometry.size().to_be_bytes());
                output.extend_from_slice(&geometry.transmission_flags().to_be_bytes());
                if !self.no_zeroes {
                    output.extend_from_slice(&ZEROES);
                }
                return Ok(Step::Go(used, export));
            }
            OPT_INFO | OPT_GO => {
                if let Some(export) = info(catalogue, option, data, output)
                    && option == OPT_GO
                {
                    return Ok(Step::Go(used, export));
                }
            }
            OPT_LIST if data.is_empty() => {
                catalogue.list(|name| {
                    let mut entry = Vec::with_capacity(4 + name.len());
                    entry.extend_from_slice(&(name.len() as u32).to_be_bytes());
                    entry.extend_from_slice(name.as_bytes());
                    answer(output, option, REP_SERVER, &entry);
                });
                answer(output, option, REP_ACK, b"");
            }
            OPT_LIST => answer(output, option, REP_ERR_INVALID, b"a list takes no data"),
            OPT_ABORT => {
                answer(output, option, REP_ACK, b"");
                return Ok(Step::End(used));
            }
            // STARTTLS, STRUCTURED_REPLY, meta contexts, and whatever may come.
            _ => answer(
                output,
                option,
                REP_ERR_UNSUP,
                b"the option is not supported",
            ),
        }
        Ok(Step::Used(used))
    }

    fn client_flags<E>(&mut self, input: &[u8]) -> Result<Step<E>, Violation> {
        let Some(flags) = input.first_chunk().copied().map(u32::from_be_bytes) else {
            return Ok(Step::More);
        };
        if flags & !u32::from(FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES) != 0 {
            return Err(Violation::ClientFlags(flags));
        }
        self.has_flags = true;
        self.no_zeroes = flags & u32::from(FLAG_NO_ZEROES) != 0;
        Ok(Step::Used(4))
    }
}

/// Answers `NBD_OPT_INFO` and `NBD_OPT_GO`; the export, where that went well.
fn info<C: Catalogue>(
    catalogue: &C,
    option: u32,
    data: &[u8],
    output: &mut Vec<u8>,
) -> Option<C::Export> {
    let Some((name, wanted)) = info_request(data) else {
        answer(output, option, REP_ERR_INVALID, b"malformed option");
        return None;
    };
    let Some(export) = catalogue.find(name) else {
        let message = format!("there is no export '{name}'");
        answer(output, option, REP_ERR_UNKNOWN, message.as_bytes());
        return None;
    };
    let geometry = C::geometry(&export);
    let mut entry = Vec::new();
    entry.extend_from_slice(&INFO_EXPORT.to_be_bytes());
    entry.extend_from_slice(&geometry.size().to_be_bytes());
    entry.extend_from_slice(&geometry.transmission_flags().to_be_bytes());
    answer(output, option, REP_INFO, &entry);

    // Said to all: requests that are not in whole blocks fail.
    entry.clear();
    entry.extend_from_slice(&INFO_BLOCK_SIZE.to_be_bytes());
    for size in [
        geometry.block_size,
        geometry.block_preferred,
        PAYLOAD_BYTES_MAX,
    ] {
        entry.extend_from_slice(&size.to_be_bytes());
    }
    answer(output, option, REP_INFO, &entry);

    for (kind, text) in [
        (INFO_NAME, C::name(&export)),
        (INFO_DESCRIPTION, C::description(&export)),
    ] {
        if wanted.clone().any(|wanted| wanted == kind) {
            entry.clear();
            entry.extend_from_slice(&kind.to_be_bytes());
            entry.extend_from_slice(text.as_bytes());
            answer(output, option, REP_INFO, &entry);
        }
    }
    answer(output, option, REP_ACK, b"");
    Some(export)
}

/// The name, and the kinds of information that are asked for.
fn info_request(data: &[u8]) -> Option<(&str, impl Iterator<Item = u16> + Clone + '_)> {
    let name_length = u32::from_be_bytes(*data.first_chunk()?) as usize;
    let name = text(data.get(4..)?.get(..name_length)?)?;
    let rest = data.get(4 + name_length..)?;
    let count = usize::from(u16::from_be_bytes(*rest.first_chunk()?));
    let wanted = rest.get(2..)?;
    (wanted.len() == 2 * count).then(|| (name, wanted.chunks_exact(2).map(|kind| u16_at(kind, 0))))
}

/// A string of the protocol.
fn text(bytes: &[u8]) -> Option<&str> {
    let text = core::str::from_utf8(bytes).ok()?;
    (text.len() <= NAME_BYTES_MAX && !text.contains('\0')).then_some(text)
}

fn answer(output: &mut Vec<u8>, option: u32, kind: u32, data: &[u8]) {
    output.extend_from_slice(&OPTION_REPLY_MAGIC.to_be_bytes());
    output.extend_from_slice(&option.to_be_bytes());
    output.extend_from_slice(&kind.to_be_bytes());
    output.extend_from_slice(&(data.len() as u32).to_be_bytes());
    output.extend_from_slice(data);
}
