//! A copy of the fixtures that a test may change, and the tool run on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a run of the tool gave.
pub(crate) struct Outcome {
    /// Exit code.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
}

impl Outcome {
    /// Panics unless the run ended with `code` and its output holds each of `texts`.
    #[track_caller]
    pub(crate) fn expect(&self, code: i32, texts: &[&str]) -> &Self {
        let Self { stdout, stderr, .. } = self;
        assert_eq!(
            self.code, code,
            "exit code\nstdout: {stdout}\nstderr: {stderr}"
        );
        for text in texts {
            let found = stdout.contains(text) || stderr.contains(text);
            assert!(
                found,
                "{text:?} is missing\nstdout: {stdout}\nstderr: {stderr}"
            );
        }
        self
    }
}

/// A fake SPDK and bindings for it.
pub(crate) struct Workspace {
    directory: tempfile::TempDir,
}

impl Workspace {
    /// Copies the fixtures.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        copy(&fixtures, directory.path());
        Self { directory }
    }

    /// A path below the copy.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Replaces the only occurrence of `from` in a file.
    #[track_caller]
    pub(crate) fn replace(&self, name: &str, from: &str, to: &str) -> &Self {
        let path = self.path(name);
        let text = fs::read_to_string(&path).expect("a file of the fixtures");
        assert_eq!(
            text.matches(from).count(),
            1,
            "{from:?} must occur once in {name}"
        );
        fs::write(&path, text.replace(from, to)).expect("a writable copy");
        self
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, text: &str) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a writable copy");
        self
    }

    /// Removes a file.
    pub(crate) fn remove(&self, name: &str) -> &Self {
        fs::remove_file(self.path(name)).expect("a file of the fixtures");
        self
    }

    /// Builds a library of the functions of the fixtures, but without one of them.
    pub(crate) fn library(&self, shared: bool, without: &str) -> &Self {
        let functions =
            ["open", "close", "name", "move", "each", "log", "ready"].map(|n| format!("thing_{n}"));
        let defined = functions.iter().filter(|name| *name != without);
        let source: String = defined
            .map(|name| format!("void {name}(void) {{}}\n"))
            .collect();
        self.write("spdk/build/lib/thing.c", &source);
        let lib = self.path("spdk/build/lib");
        let run = |program: &str, arguments: &[&str]| {
            let status = Command::new(program)
                .args(arguments)
                .current_dir(&lib)
                .status();
            assert!(status.expect(program).success(), "{program} {arguments:?}");
        };
        if shared {
            run(
                "cc",
                &[
                    "-shared",
                    "-fPIC",
                    "-w",
                    "thing.c",
                    "-o",
                    "libspdk_thing.so",
                ],
            );
        } else {
            run("cc", &["-c", "-w", "thing.c", "-o", "thing.o"]);
            run("ar", &["rcs", "libspdk_thing.a", "thing.o"]);
        }
        self
    }

    /// Runs the tool on the copied bindings.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with(arguments, &[])
    }

    /// Runs the tool on the copied bindings with further environment variables.
    pub(crate) fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Outcome {
        let output = Command::new(env!("CARGO_BIN_EXE_abi-check"))
            .arg("--bindings")
            .arg("bindings")
            .args(arguments)
            .envs(variables.iter().copied())
            .current_dir(self.directory.path())
            .output()
            .expect("the tool runs");
        Outcome {
            code: output.status.code().expect("an exit code"),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs the tool on the copied bindings and the fake SPDK.
    pub(crate) fn check(&self) -> Outcome {
        self.run(&["--spdk", "spdk"])
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).expect("a directory of the fixtures") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir_all(&target).expect("a directory");
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).expect("a copy");
        }
    }
}
