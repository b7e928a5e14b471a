//! A mirror as `--mirror` describes it: `NAME=FILE,FILE`.

use std::path::PathBuf;

/// The longest name of a mirror, in bytes.
const NAME_LEN_MAX: usize = 63;
/// As many legs a mirror has at most.
const LEGS_MAX: usize = 16;

/// A mirror of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MirrorSpec {
    pub(crate) name: String,
    /// Absolute paths of the files, or block devices.
    pub(crate) files: Vec<PathBuf>,
}

impl MirrorSpec {
    /// Reads one.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (name, files) = text
            .split_once('=')
            .ok_or_else(|| format!("expected NAME=FILE,FILE, found '{text}'"))?;
        if name.is_empty() {
            return Err(format!("expected a name before the '=', found '{text}'"));
        }
        if name.len() > NAME_LEN_MAX {
            return Err(format!(
                "the name has {} bytes, of at most {NAME_LEN_MAX}",
                name.len()
            ));
        }
        let files = files.split(',').map(|file| {
            if file.is_empty() {
                return Err(format!("expected files, parted by commas, found '{text}'"));
            }
            std::path::absolute(file).map_err(|error| format!("'{file}': {error}"))
        });
        let files: Vec<_> = files.collect::<Result<_, _>>()?;
        if files.len() > LEGS_MAX {
            return Err(format!(
                "a mirror has at most {LEGS_MAX} legs, found {} files",
                files.len()
            ));
        }
        if let [only] = &files[..] {
            return Err(format!(
                "a mirror needs two files or more, found '{}' alone",
                only.display()
            ));
        }
        Ok(Self {
            name: name.to_owned(),
            files,
        })
    }

    /// The bdev of a file.
    pub(crate) fn leg_name(&self, index: usize) -> String {
        format!("{}-leg{index}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_files() {
        let spec = MirrorSpec::parse("m=/a,/b=c").unwrap();
        assert_eq!(spec.name, "m");
        assert_eq!(spec.files, ["/a", "/b=c"].map(PathBuf::from));
        assert_eq!(spec.leg_name(1), "m-leg1");
        let spec = MirrorSpec::parse("m=a,b").unwrap();
        assert!(spec.files.iter().all(|file| file.is_absolute()));
    }

    #[test]
    fn what_is_wrong_is_shown() {
        let many = format!("m=/{}", ",/".repeat(16));
        let long = format!("{}=/a,/b", "x".repeat(64));
        for (text, part) in [
            ("m", "expected NAME=FILE,FILE, found 'm'"),
            ("=/a,/b", "a name before the '='"),
            ("m=", "found 'm='"),
            ("m=/a,", "parted by commas, found 'm=/a,'"),
            ("m=/a", "two files or more, found '/a' alone"),
            (many.as_str(), "at most 16 legs, found 17"),
            (long.as_str(), "64 bytes"),
        ] {
            let error = MirrorSpec::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
