//! The symbols that the libraries of a built SPDK define.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use object::{Object, ObjectSymbol};

use crate::bindings::Bindings;
use crate::report::Report;

/// Symbols of one way of linking.
#[derive(Debug, Default)]
struct Defined {
    names: HashSet<String>,
    libraries: usize,
}

/// Proves that each function and variable of the bindings is defined in the libraries of a
/// directory: in the static ones if there are any, and in the shared ones if there are any.
///
/// # Errors
///
/// A sentence for the user when a library cannot be read.
pub(crate) fn check(
    directory: &Path,
    bindings: &Bindings,
    report: &mut Report,
) -> Result<(), String> {
    let mut archives = Defined::default();
    let mut shared = Defined::default();
    let cannot = |path: &Path, e: &dyn std::fmt::Display| {
        format!("cannot read the library {}: {e}", path.display())
    };
    let entries = fs::read_dir(directory).map_err(|e| cannot(directory, &e))?;
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with("libspdk_") {
            continue;
        }
        let path = entry.path();
        if name.ends_with(".a") {
            let bytes = fs::read(&path).map_err(|e| cannot(&path, &e))?;
            read_archive(&bytes, &mut archives).map_err(|e| cannot(&path, &e))?;
        } else if name.ends_with(".so") {
            let bytes = fs::read(&path).map_err(|e| cannot(&path, &e))?;
            read_shared(&bytes, &mut shared).map_err(|e| cannot(&path, &e))?;
        }
    }
    let functions = bindings
        .functions
        .iter()
        .map(|f| (&f.name, &f.origin.place));
    let variables = bindings.statics.iter().map(|s| (&s.name, &s.origin.place));
    for (name, place) in functions.chain(variables) {
        let mut proved = true;
        for (defined, kind) in [(&archives, "static"), (&shared, "shared")] {
            if defined.libraries > 0 && !defined.names.contains(name) {
                let found = format!("none in {} {kind} libraries", defined.libraries);
                report.mismatch(place, name, "a symbol", found);
                proved = false;
            }
        }
        report.counts.symbols += usize::from(proved);
    }
    report.notes.push(format!(
        "symbols looked up in {}: {} static and {} shared libraries",
        directory.display(),
        archives.libraries,
        shared.libraries
    ));
    Ok(())
}

fn read_archive(bytes: &[u8], defined: &mut Defined) -> object::Result<()> {
    let archive = object::read::archive::ArchiveFile::parse(bytes)?;
    if let Some(symbols) = archive.symbols()? {
        for symbol in symbols {
            defined
                .names
                .insert(String::from_utf8_lossy(symbol?.name()).into_owned());
        }
    }
    defined.libraries += 1;
    Ok(())
}

fn read_shared(bytes: &[u8], defined: &mut Defined) -> object::Result<()> {
    let object = object::File::parse(bytes)?;
    for symbol in object
        .dynamic_symbols()
        .filter(|symbol| symbol.is_definition())
    {
        defined.names.insert(symbol.name()?.to_string());
    }
    defined.libraries += 1;
    Ok(())
}
