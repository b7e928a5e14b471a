//! Tests of the build script's parts on made-up SPDKs; none of them needs a real one.
#![allow(missing_docs)]

#[allow(dead_code)]
#[path = "../build/mod.rs"]
mod build;

use std::fs;
use std::path::{Path, PathBuf};

use build::error::Error;
use build::find::Spdk;
use build::link::{Link, Mode, driver_dir};
use build::pc::Pc;
use build::version::Version;

fn header(major: &str, minor: &str, patch: &str) -> String {
    format!(
        "/* The version. */\n#ifndef SPDK_VERSION_H\n#define SPDK_VERSION_MAJOR\t{major}\n\
         #define SPDK_VERSION_MINOR\t{minor}\n#define SPDK_VERSION_PATCH {patch}\n\
         #define SPDK_VERSION_MAJOR_STRING x\n#endif\n"
    )
}

/// A directory of a test, empty at first.
fn scratch(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("build_script")
        .join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}

fn write(path: PathBuf, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// An install prefix with a framework, two modules and what they need.
fn prefix(name: &str) -> PathBuf {
    let dir = scratch(name);
    let lib = dir.join("lib");
    write(dir.join("include/spdk/version.h"), &header("26", "1", "0"));
    let pcs = [
        ("spdk_event", "spdk_log spdk_env_dpdk"),
        ("spdk_log", ""),
        ("spdk_env_dpdk", "spdk_log spdk_dpdklibs"),
        ("spdk_bdev_null", "spdk_log, spdk_bdev >= 1.0"),
        ("spdk_bdev", ""),
        ("spdk_sock_posix", "spdk_log"),
        ("spdk_ut_mock", ""),
    ];
    for (name, requires) in pcs {
        let text = format!(
            "Name: {name}\nRequires: {requires}\nLibs: -L{} -l{name}\nCflags: -I{}/include\n",
            lib.display(),
            dir.display()
        );
        write(lib.join(format!("pkgconfig/{name}.pc")), &text);
        write(lib.join(format!("lib{name}.a")), "");
    }
    write(lib.join("pkgconfig/spdk_dpdklibs.pc"), "Libs: -lrte_eal\n");
    write(lib.join("librte_eal.a"), "");
    write(
        lib.join("pkgconfig/spdk_syslibs.pc"),
        "Libs: -L/none -lisal -pthread -lno-such-library\n",
    );
    write(lib.join("libisal.a"), "");
    dir
}

fn link(dir: &Path, mode: Mode) -> Result<Link, Error> {
    Link::with(&Spdk::find(Some(dir), "no-pkg-config")?, mode)
}

/// The names of the arguments, without the directories.
fn names(link: &Link) -> Vec<&str> {
    link.arguments
        .iter()
        .map(|argument| argument.rsplit('/').next().unwrap())
        .collect()
}

#[test]
fn version_of_a_header() {
    let version = Version::from_header(&header("26", "1", "3")).unwrap();
    assert_eq!(
        version,
        Version {
            major: 26,
            minor: 1,
            patch: 3
        }
    );
    assert_eq!(version.to_string(), "v26.01.3");
    assert!(version.is_wanted());
    assert!(
        !Version::from_header(&header("26", "5", "0"))
            .unwrap()
            .is_wanted()
    );
    assert!(
        !Version::from_header(&header("25", "1", "0"))
            .unwrap()
            .is_wanted()
    );
}

#[test]
fn header_without_a_version() {
    assert_eq!(
        Version::from_header(""),
        Err("it does not define SPDK_VERSION_MAJOR".to_owned())
    );
    assert_eq!(
        Version::from_header("#define SPDK_VERSION_MAJOR 26\n#define SPDK_VERSION_MINOR_STRING x"),
        Err("it does not define SPDK_VERSION_MINOR".to_owned())
    );
    assert_eq!(
        Version::from_header(&header("26", "$SPDK_VERSION_MINOR", "0")),
        Err(
            r#"it defines SPDK_VERSION_MINOR as "$SPDK_VERSION_MINOR", not as a number"#.to_owned()
        )
    );
    assert!(Version::from_header(&header("-26", "1", "0")).is_err());
}

#[test]
fn version_of_a_source_tree() {
    let parse = Version::from_version_file;
    assert_eq!(
        parse("26.01.0\n"),
        Some(Version {
            major: 26,
            minor: 1,
            patch: 0
        })
    );
    assert_eq!(
        parse("26.05-pre"),
        Some(Version {
            major: 26,
            minor: 5,
            patch: 0
        })
    );
    assert_eq!(parse("26"), None);
    assert_eq!(parse("26.01.0.1"), None);
    assert_eq!(parse("not a version"), None);
    assert_eq!(parse(""), None);
}

#[test]
fn pc_file() {
    let pc = Pc::parse(
        "prefix=/p\nlibdir=${prefix}/lib\n# a comment\nName: x\nRequires: a, b >= 1.2 c\n\
         Requires.private: d\nLibs: -L${libdir} -lx ${unknown}\nLibs.private: -lm\n\
         Cflags: -I${prefix}/include -DX=1\n",
    );
    assert_eq!(pc.requires, ["a", "b", "c", "d"]);
    assert_eq!(pc.libs, ["-L/p/lib", "-lx", "-lm"]);
    assert_eq!(pc.lib_dirs().collect::<Vec<_>>(), ["/p/lib"]);
    assert_eq!(pc.include_dirs().collect::<Vec<_>>(), ["/p/include"]);
    assert_eq!(Pc::parse("nonsense\nLibs -lx\n${"), Pc::default());
}

#[test]
fn link_mode() {
    assert_eq!(Mode::parse(None), Ok(Mode::Static));
    assert_eq!(Mode::parse(Some("")), Ok(Mode::Static));
    assert_eq!(Mode::parse(Some("static")), Ok(Mode::Static));
    assert_eq!(Mode::parse(Some("shared")), Ok(Mode::Shared));
    let error = Mode::parse(Some("dynamic")).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with(r#"SPDK_LINK is "dynamic", but must be "static""#)
    );
}

#[test]
fn modules_are_linked_as_a_whole() {
    let link = link(&prefix("whole"), Mode::Static).unwrap();
    assert_eq!(
        names(&link),
        [
            "-Wl,--whole-archive",
            "libspdk_bdev_null.a",
            "libspdk_log.a",
            "libspdk_bdev.a",
            "libspdk_env_dpdk.a",
            "librte_eal.a",
            "libspdk_event.a",
            "libspdk_sock_posix.a",
            "-Wl,--no-whole-archive",
            "libisal.a",
            "-pthread",
            "-lno-such-library",
        ]
    );
    assert_eq!(link.doubtful, ["no-such-library"]);
}

#[test]
fn shared_libraries_are_kept_and_found_at_run_time() {
    let dir = prefix("shared");
    for file in fs::read_dir(dir.join("lib"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        if file.extension().is_some_and(|extension| extension == "a") {
            fs::rename(&file, file.with_extension("so")).unwrap();
        }
    }
    let link = link(&dir, Mode::Shared).unwrap();
    let names = names(&link);
    assert_eq!(names[0], "-Wl,--push-state,--no-as-needed");
    let end = names
        .iter()
        .position(|&name| name == "-Wl,--pop-state")
        .unwrap();
    for name in [
        "libspdk_event.so",
        "libspdk_bdev_null.so",
        "librte_eal.so",
        "libisal.so",
    ] {
        assert!(names[..end].contains(&name), "{name} in {names:?}");
    }
    let rpath = format!("-Wl,-rpath,{}/lib", dir.display());
    assert!(link.arguments.contains(&rpath), "{:?}", link.arguments);
}

#[test]
fn shared_dpdk_is_taken_from_beside_its_drivers() {
    let dir = prefix("drivers");
    for file in fs::read_dir(dir.join("lib"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        if file.extension().is_some_and(|extension| extension == "a") {
            fs::rename(&file, file.with_extension("so")).unwrap();
        }
    }
    let built = dir.join("built/lib");
    let drivers = built.join("dpdk/pmds-24.0");
    let eal = format!("\u{7f}ELF\0see dpdk/pmds-1\0{}\0", drivers.display());
    assert_eq!(driver_dir(eal.as_bytes()), Some(drivers.clone()));
    write(dir.join("lib/librte_eal.so"), &eal);

    let installed = dir.join("lib/librte_eal.so").display().to_string();
    assert!(
        link(&dir, Mode::Shared)
            .unwrap()
            .arguments
            .contains(&installed)
    );

    write(built.join("librte_eal.so"), &eal);
    let arguments = link(&dir, Mode::Shared).unwrap().arguments;
    assert!(!arguments.contains(&installed), "{arguments:?}");
    assert!(arguments.contains(&built.join("librte_eal.so").display().to_string()));
    let mut rpaths = arguments
        .iter()
        .filter(|argument| argument.starts_with("-Wl,-rpath,"));
    assert_eq!(
        rpaths.next(),
        Some(&format!("-Wl,-rpath,{}", built.display()))
    );
}

#[test]
fn a_moved_tree_is_linked_from_where_it_is() {
    let dir = prefix("moved");
    let pkgconfig = dir.join("lib/pkgconfig");
    for file in fs::read_dir(&pkgconfig)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace(dir.to_str().unwrap(), "/where/it/was")).unwrap();
    }
    let link = link(&dir, Mode::Static).unwrap();
    assert!(
        link.files.iter().all(|file| file.starts_with(&dir)),
        "{:?}",
        link.files
    );
}

#[test]
fn a_built_tree() {
    let installed = prefix("tree-prefix");
    let dir = scratch("tree");
    fs::create_dir_all(dir.join("build")).unwrap();
    fs::rename(installed.join("include"), dir.join("include")).unwrap();
    fs::rename(installed.join("lib"), dir.join("build/lib")).unwrap();
    fs::create_dir_all(dir.join("dpdk/build/lib")).unwrap();
    fs::rename(
        dir.join("build/lib/librte_eal.a"),
        dir.join("dpdk/build/lib/librte_eal.a"),
    )
    .unwrap();
    let link = link(&dir, Mode::Static).unwrap();
    assert!(
        link.files
            .contains(&dir.join("dpdk/build/lib/librte_eal.a")),
        "{:?}",
        link.files
    );
}

#[test]
fn no_spdk_in_the_directory() {
    let dir = scratch("empty");
    let text = link(&dir, Mode::Static).unwrap_err().to_string();
    let shown = dir.display();
    assert!(
        text.starts_with(&format!("no SPDK in SPDK_DIR={shown}; looked for:\n")),
        "{text}"
    );
    assert!(
        text.contains(&format!("  {shown}/include/spdk/version.h\n")),
        "{text}"
    );
    assert!(
        text.contains("Set SPDK_DIR to a built SPDK v26.01"),
        "{text}"
    );
}

#[test]
fn a_relative_directory() {
    let error = link(Path::new("spdk"), Mode::Static).unwrap_err();
    assert_eq!(error, Error::RelativeDir("spdk".into()));
}

#[test]
fn another_version() {
    let dir = prefix("version");
    write(dir.join("include/spdk/version.h"), &header("26", "5", "0"));
    let text = link(&dir, Mode::Static).unwrap_err().to_string();
    assert!(
        text.starts_with("found SPDK v26.05, but wanted v26.01"),
        "{text}"
    );
    assert!(text.contains("include/spdk/version.h"), "{text}");
}

#[test]
fn source_trees_that_are_not_built() {
    let dir = scratch("source");
    write(dir.join("VERSION"), "26.05.0\n");
    let text = link(&dir, Mode::Static).unwrap_err().to_string();
    assert!(
        text.starts_with("found SPDK v26.05, but wanted v26.01"),
        "{text}"
    );
    write(dir.join("VERSION"), "26.01.0\n");
    let text = link(&dir, Mode::Static).unwrap_err().to_string();
    assert!(text.starts_with("the SPDK v26.01 in "), "{text}");
    assert!(text.contains(" is not built"), "{text}");
    write(dir.join("include/spdk/version.h"), &header("26", "1", "0"));
    let text = link(&dir, Mode::Static).unwrap_err().to_string();
    assert!(
        text.contains("/build/lib/pkgconfig/spdk_event.pc"),
        "{text}"
    );
}

#[test]
fn a_header_that_does_not_tell() {
    let dir = prefix("broken");
    write(
        dir.join("include/spdk/version.h"),
        "#define SPDK_VERSION_MAJOR 26\n",
    );
    let text = link(&dir, Mode::Static).unwrap_err().to_string();
    assert!(
        text.contains("version.h does not tell SPDK's version: it does not define"),
        "{text}"
    );
}

#[test]
fn a_missing_library() {
    let dir = prefix("library");
    fs::remove_file(dir.join("lib/libspdk_bdev.a")).unwrap();
    let text = link(&dir, Mode::Static).unwrap_err().to_string();
    assert!(
        text.starts_with("libspdk_bdev.a, needed by spdk_bdev.pc, is missing"),
        "{text}"
    );
    assert!(
        text.contains(&format!("  {}/lib\n", dir.display())),
        "{text}"
    );
    assert!(!text.contains("--with-shared"), "{text}");

    let text = link(&prefix("no-shared"), Mode::Shared)
        .unwrap_err()
        .to_string();
    assert!(text.contains(".so, needed by "), "{text}");
    assert!(text.contains("configured --with-shared"), "{text}");
}

#[test]
fn a_missing_pc_file() {
    let dir = prefix("pc");
    fs::remove_file(dir.join("lib/pkgconfig/spdk_dpdklibs.pc")).unwrap();
    let text = link(&dir, Mode::Static).unwrap_err().to_string();
    assert!(
        text.starts_with("spdk_dpdklibs.pc, needed by spdk_env_dpdk.pc, is missing"),
        "{text}"
    );
}

#[test]
fn pkg_config_is_missing() {
    let error = Spdk::find(None, "no-such-pkg-config").unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::NoPkgConfig { .. }), "{text}");
    assert!(text.starts_with("no SPDK found: SPDK_DIR is not set, and `no-such-pkg-config`"));
}

#[test]
fn pkg_config_does_not_know_spdk() {
    // A command that fails, as pkg-config does.
    let error = Spdk::find(None, "false").unwrap_err();
    assert!(matches!(error, Error::UnknownToPkgConfig { .. }), "{error}");
}
