//! An SPDK to check against: a source tree, built or not, or an install prefix.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Where the headers and libraries of an SPDK are.
#[derive(Debug)]
pub(crate) struct Spdk {
    /// The directory as the user named it.
    pub(crate) root: PathBuf,
    /// The directory that holds `spdk/bdev.h`.
    pub(crate) include: PathBuf,
    /// Headers that only a build makes, made here for a tree that was not built.
    generated: Option<TempDir>,
    /// As in `26.01.0`.
    pub(crate) version: String,
    /// The directory of the libraries, if it was built.
    pub(crate) libraries: Option<PathBuf>,
    /// What the user should know about the choice.
    pub(crate) notes: Vec<String>,
}

impl Spdk {
    /// Looks for an SPDK in a directory.
    ///
    /// # Errors
    ///
    /// A sentence for the user that says what is missing.
    pub(crate) fn open(root: &Path) -> Result<Self, String> {
        let metadata =
            fs::metadata(root).map_err(|e| format!("no SPDK in {}: {e}", root.display()))?;
        if !metadata.is_dir() {
            return Err(format!("no SPDK in {}: not a directory", root.display()));
        }
        let root = root
            .canonicalize()
            .map_err(|e| format!("no SPDK in {}: {e}", root.display()))?;
        let include = root.join("include");
        let headers = include.join("spdk");
        if !headers.is_dir() {
            return Err(format!(
                "no SPDK in {}: there is no include/spdk (a source tree or an install prefix has it)",
                root.display()
            ));
        }
        let mut spdk = Self {
            include,
            generated: None,
            version: String::new(),
            libraries: libraries(&root),
            notes: Vec::new(),
            root,
        };
        let version_h = headers.join("version.h");
        let text = if version_h.is_file() {
            read(&version_h)?
        } else {
            let text = spdk.version_from_template(&headers)?;
            spdk.generate("version.h", &text)?;
            spdk.notes.push(format!(
                "{} was not built: version.h made from version.h.in and VERSION",
                spdk.root.display()
            ));
            text
        };
        spdk.version = version(&text).ok_or_else(|| {
            format!(
                "no SPDK in {}: version.h has no SPDK_VERSION_MAJOR",
                spdk.root.display()
            )
        })?;
        if !headers.join("config.h").is_file() && includes_config(&headers) {
            spdk.generate("config.h", "")?;
            spdk.notes.push(format!(
                "{} was not configured: an empty config.h stands for the one of a build",
                spdk.root.display()
            ));
        }
        Ok(spdk)
    }

    /// Directories for `-I`, in order.
    pub(crate) fn include_directories(&self) -> Vec<PathBuf> {
        let generated = self
            .generated
            .iter()
            .map(|directory| directory.path().to_path_buf());
        generated.chain([self.include.clone()]).collect()
    }

    /// The file of a header as named in an `#include`.
    pub(crate) fn header(&self, name: &str) -> Option<PathBuf> {
        self.include_directories()
            .into_iter()
            .map(|d| d.join(name))
            .find(|path| path.is_file())
    }

    fn version_from_template(&self, headers: &Path) -> Result<String, String> {
        let template = headers.join("version.h.in");
        if !template.is_file() {
            return Err(format!(
                "no SPDK in {}: there is neither include/spdk/version.h nor version.h.in",
                self.root.display()
            ));
        }
        let version = read(&self.root.join("VERSION"))?;
        let (numbers, suffix) = match version.trim().split_once('-') {
            Some((numbers, suffix)) => (numbers, format!("-{suffix}")),
            None => (version.trim(), String::new()),
        };
        let mut text = read(&template)?.replace("$SPDK_VERSION_SUFFIX", &suffix);
        let mut parts = numbers.split('.');
        for name in ["MAJOR", "MINOR", "PATCH"] {
            // A leading zero would make C read the number as octal.
            let number: u32 = parts
                .next()
                .and_then(|part| part.parse().ok())
                .ok_or_else(|| {
                    format!(
                        "{}: {numbers} is not a version",
                        self.root.join("VERSION").display()
                    )
                })?;
            text = text.replace(&format!("$SPDK_VERSION_{name}"), &number.to_string());
        }
        Ok(text)
    }

    fn generate(&mut self, name: &str, text: &str) -> Result<(), String> {
        let cannot = |e: std::io::Error| format!("cannot make {name}: {e}");
        let directory = match self.generated.take() {
            Some(directory) => directory,
            None => tempfile::tempdir().map_err(cannot)?,
        };
        let headers = directory.path().join("spdk");
        fs::create_dir_all(&headers).map_err(cannot)?;
        fs::write(headers.join(name), text).map_err(cannot)?;
        self.generated = Some(directory);
        Ok(())
    }
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))
}

/// `26.01.0-pre` from the text of version.h.
fn version(text: &str) -> Option<String> {
    let value = |name: &str| {
        text.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some("#define") && words.next() == Some(name))
                .then(|| words.next().unwrap_or_default().to_string())
        })
    };
    let number = |name: &str| value(name)?.parse::<u32>().ok();
    let (major, minor) = (number("SPDK_VERSION_MAJOR")?, number("SPDK_VERSION_MINOR")?);
    let patch = number("SPDK_VERSION_PATCH").unwrap_or(0);
    let suffix = value("SPDK_VERSION_SUFFIX").unwrap_or_default();
    Some(format!(
        "{major}.{minor:02}.{patch}{}",
        suffix.trim_matches('"')
    ))
}

fn includes_config(headers: &Path) -> bool {
    let Ok(entries) = fs::read_dir(headers) else {
        return false;
    };
    entries.flatten().any(|entry| {
        fs::read_to_string(entry.path()).is_ok_and(|text| text.contains("\"spdk/config.h\""))
    })
}

/// The directory below `root` that holds `libspdk_*`.
fn libraries(root: &Path) -> Option<PathBuf> {
    let multiarch = format!("lib/{}-linux-gnu", std::env::consts::ARCH);
    ["build/lib", "lib", "lib64", multiarch.as_str()]
        .iter()
        .map(|name| root.join(name))
        .find(|directory| {
            fs::read_dir(directory).is_ok_and(|entries| {
                entries
                    .flatten()
                    .any(|entry| entry.file_name().to_string_lossy().starts_with("libspdk_"))
            })
        })
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn the_version_is_read_as_written() {
        let text = "#define SPDK_VERSION_MAJOR\t26\n#define SPDK_VERSION_MINOR 1\n\
                    #define SPDK_VERSION_PATCH 2\n#define SPDK_VERSION_SUFFIX \"-pre\"\n";
        assert_eq!(version(text).as_deref(), Some("26.01.2-pre"));
        assert_eq!(version("int x;"), None);
    }
}
