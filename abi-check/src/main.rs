//! Proves the bindings of `barespdk-sys` against the headers and libraries of an SPDK, with a C
//! compiler alone. `abi-check --help` says how it is used.

mod bindings;
mod check;
mod compare;
mod compiler;
mod ctype;
mod declaration;
mod diff;
mod dwarf;
mod evaluate;
mod header;
mod invocations;
mod layout;
mod mutate;
mod names;
mod nesting;
mod parser;
mod probe;
mod prototypes;
mod reader;
mod report;
mod rust_type;
mod selection;
mod source;
mod spdk;
mod spelled;
mod structs;
mod symbols;
mod token;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

use crate::bindings::Bindings;
use crate::compiler::Compiler;
use crate::names::Headers;
use crate::probe::Prober;
use crate::report::Report;
use crate::selection::Selection;
use crate::spdk::Spdk;

/// Proves the hand-written bindings in ffi/src against the C headers and libraries of an SPDK.
///
/// With --spdk: layouts, bit-fields, enums, constants, prototypes and symbols, each compared with
/// what the C compiler (cc, or the environment variable CC) makes of the headers of that SPDK.
/// Without: only the pinned numbers beside each type, against the layout that Rust gives it.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
Exit codes: 0 everything proved; 1 mismatches, one a line; 2 the check could not be made."
)]
struct Arguments {
    /// An SPDK: a source tree, built or not, or an install prefix
    #[arg(long, value_name = "DIR")]
    spdk: Option<PathBuf>,

    /// The Rust files of the bindings [default: ../ffi/src of this tool's source]
    #[arg(long, value_name = "DIR")]
    bindings: Option<PathBuf>,

    /// Say what of the mirrored surface changed between two SPDKs: the work list for the next pin
    ///
    /// The exit code is 0 if nothing did and 1 otherwise.
    #[arg(long, num_args = 2, value_names = ["DIR_A", "DIR_B"], conflicts_with = "spdk")]
    diff: Option<Vec<PathBuf>>,

    /// Change copies of the headers in every way that ought to be noticed, and count what is
    ///
    /// Each copy has one change to one thing that the bindings mirror; the exit code is 1 unless
    /// all are reported. Minutes for all of them; see --sample.
    #[arg(long, requires = "spdk")]
    mutate: bool,

    /// With --mutate: make only this many changes, chosen at random
    #[arg(long, value_name = "N", requires = "mutate")]
    sample: Option<usize>,

    /// With --sample: decides the choice
    #[arg(long, value_name = "S", default_value_t = 1, requires = "mutate")]
    seed: u64,

    /// With --mutate: also list the changes that could not be made
    #[arg(long, requires = "mutate")]
    verbose: bool,

    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    // SAFETY: the default action is restored before any thread or output exists. Whatever reads the
    // report may stop early, as `head` does, which is no failure of the check.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(code) => code,
        Err(text) => {
            eprintln!("abi-check: {text}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    let directory = arguments.bindings.clone().unwrap_or_else(default_bindings);
    let bindings = reader::read(&directory)?;
    if let Some([before, after]) = arguments.diff.as_deref() {
        return diff(
            &bindings,
            &Spdk::open(before)?,
            &Spdk::open(after)?,
            arguments,
        );
    }
    let mut report = Report::default();
    for (place, text) in &bindings.complaints {
        report.mismatch(
            place,
            "bindings",
            "what the conventions allow",
            text.as_str(),
        );
    }
    layout::check_pinned(&bindings, &mut report);
    let title = match &arguments.spdk {
        Some(root) => {
            let spdk = Spdk::open(root)?;
            if arguments.mutate {
                return mutate(&bindings, &spdk, arguments);
            }
            check_spdk(&bindings, &spdk, &mut report)?;
            format!(
                "checked {} against SPDK {} in {}",
                directory.display(),
                spdk.version,
                spdk.root.display()
            )
        }
        None => {
            report.notes.push(
                "NO HEADERS WERE CHECKED: only the pinned numbers were compared with the Rust \
                 types; name an SPDK with --spdk DIR for the proof"
                    .to_string(),
            );
            format!(
                "checked the pinned numbers of {}, WITHOUT an SPDK",
                directory.display()
            )
        }
    };
    if arguments.json {
        println!("{:#}", report.json(&title));
    } else {
        report.print(&title);
    }
    Ok(ExitCode::from(u8::from(!report.mismatches.is_empty())))
}

fn diff(
    bindings: &Bindings,
    before: &Spdk,
    after: &Spdk,
    arguments: &Arguments,
) -> Result<ExitCode, String> {
    let differences = diff::run(bindings, before, after)?;
    if arguments.json {
        let list: Vec<_> = differences
            .iter()
            .map(|d| {
                serde_json::json!({
                    "what": d.what, "file": &*d.place.file, "line": d.place.line,
                    "before": d.before, "after": d.after,
                })
            })
            .collect();
        println!("{:#}", serde_json::Value::from(list));
    } else {
        differences
            .iter()
            .for_each(|difference| println!("{difference}"));
        for note in before.notes.iter().chain(&after.notes) {
            println!("note: {note}");
        }
        let count = differences.len();
        let (before, after) = (&before.version, &after.version);
        println!("{count} differences of the mirrored surface between SPDK {before} and {after}");
    }
    Ok(ExitCode::from(u8::from(!differences.is_empty())))
}

fn mutate(bindings: &Bindings, spdk: &Spdk, arguments: &Arguments) -> Result<ExitCode, String> {
    let sample = mutate::Sample {
        count: arguments.sample,
        seed: arguments.seed,
    };
    let score = mutate::run(bindings, spdk, sample)?;
    if arguments.json {
        println!("{:#}", score.json());
    } else {
        score.print(arguments.verbose);
    }
    Ok(ExitCode::from(u8::from(!score.is_perfect())))
}

fn default_bindings() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let directory = manifest.parent().unwrap_or(manifest).join("ffi/src");
    // Shorter lines in the report when run from within the repository.
    let current = std::env::current_dir().unwrap_or_default();
    directory
        .strip_prefix(&current)
        .map(Path::to_path_buf)
        .unwrap_or(directory)
}

fn check_spdk(bindings: &Bindings, spdk: &Spdk, report: &mut Report) -> Result<(), String> {
    report.notes.extend(spdk.notes.iter().cloned());
    let compiler = Compiler::from_environment();
    let directory = tempfile::tempdir().map_err(|e| format!("no temporary directory: {e}"))?;
    let prober = Prober {
        compiler: &compiler,
        includes: spdk.include_directories(),
        directory: directory.path(),
        flags: &[],
        prefix: None,
    };
    let mut includes = Vec::new();
    for header in &bindings.headers {
        match spdk.header(header) {
            Some(_) => includes.push(header.clone()),
            None => {
                let place = bindings.place_of_header(header);
                report.mismatch(&place, &**header, "a header", "none of this name");
            }
        }
    }
    let headers = Headers::of(&prober.includes);
    let check = check::Check {
        bindings,
        headers: &headers,
        prober: &prober,
        includes: &includes,
    };
    prober.check_origin(&includes)?;
    check.run(&Selection::all(bindings), true, report)?;
    check::check_opaques(bindings, &headers, report);
    match &spdk.libraries {
        Some(libraries) => symbols::check(libraries, bindings, report)?,
        None => report.notes.push(format!(
            "SYMBOLS WERE NOT CHECKED: {} has no libraries (is it built?)",
            spdk.root.display()
        )),
    }
    Ok(())
}
