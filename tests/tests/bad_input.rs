//! Bad input: one line that says what is wrong and what to do, exit code 2, nothing written over.

use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ar_tests::run;

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Runs on `input` and returns the one line that it ends with.
    fn refused(&self, input: &Path, more: &[&str]) -> String {
        let out = self.folder.path().join("out");
        let mut arguments = vec!["run", input.to_str().unwrap(), "--out", out.to_str().unwrap()];
        arguments.extend(more);
        let ended = run::finish(&arguments);
        let said = run::stderr(&ended);
        assert_eq!(ended.status.code(), Some(2), "{more:?}: {said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
        assert!(!out.exists(), "nothing is written for bad input");
        said
    }

    fn refused_with(&self, input: &Path, more: &[&str], parts: &[&str]) {
        let said = self.refused(input, more);
        assert!(parts.iter().all(|part| said.contains(part)), "{said} lacks one of {parts:?}");
    }
}

/// A table of two features and a target.
fn table(rows: usize, target: impl Fn(usize) -> String) -> String {
    let mut text = String::from("age,weight,target\n");
    for row in 0..rows {
        let _ = writeln!(text, "{},{},{}", row % 50, (row * 7) % 31, target(row));
    }
    text
}

fn two_classes(rows: usize) -> String {
    table(rows, |row| if row % 2 == 0 { "yes".into() } else { "no".into() })
}

#[test]
fn files_that_are_no_tables_are_refused() {
    let bench = Bench::new();
    bench.refused_with(&bench.folder.path().join("absent.csv"), &[], &["absent.csv", "there is no file"]);
    bench.refused_with(bench.folder.path(), &[], &["folder without a train.py", "--train"]);
    bench.refused_with(&bench.file("empty.csv", ""), &[], &["empty"]);
    bench.refused_with(&bench.file("binary.csv", b"\x7fELF\0\x01\x02\0\0\xff\xfe"), &[], &["binary"]);
    bench.refused_with(&bench.file("head.csv", "a,b,target\n"), &[], &["header"]);
    bench.refused_with(&bench.file("one.csv", "target\n1\n2\n1\n"), &[], &["column"]);
    bench.refused_with(&bench.file("twice.csv", "a,a,target\n1,2,x\n3,4,y\n"), &[], &["twice", "`a`"]);
}

#[test]
fn targets_that_cannot_be_learned_are_refused() {
    let bench = Bench::new();
    let good = bench.file("good.csv", two_classes(100));
    bench.refused_with(&good, &["--target", "weigth"], &["weigth", "`weight`"]);
    bench.refused_with(&good, &["--drop", "aeg"], &["aeg", "`age`"]);
    bench.refused_with(&good, &["--metric", "acuracy"], &["acuracy", "accuracy"]);
    bench.refused_with(&good, &["--holdout", "half"], &["half"]);
    bench.refused_with(&good, &["--enqueue", "build_modle=rf"], &["--enqueue", "build_modle", "build_model"]);
    bench.refused_with(&good, &["--forbid", "build_model=base"], &["--forbid", "untouched"]);
    bench.refused_with(&bench.file("missing.csv", table(50, |_| String::new())), &[], &["target"]);
    bench.refused_with(&bench.file("one-class.csv", table(50, |_| "yes".into())), &[], &["one"]);
    let rare = table(40, |row| if row < 2 { "rare".into() } else { "usual".into() });
    bench.refused_with(&bench.file("rare.csv", rare), &[], &["rare"]);
    bench.refused_with(&bench.file("few.csv", two_classes(6)), &[], &["rows"]);
}

#[test]
fn a_folder_that_cannot_be_written_is_refused() {
    let bench = Bench::new();
    let good = bench.file("good.csv", two_classes(100));
    // Root may write anywhere, but nobody makes a folder below a file.
    let out = bench.file("a-file", "").join("out");
    let ended = run::finish(&["run", good.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    assert_eq!(ended.status.code(), Some(2));
    let said = run::stderr(&ended);
    assert!(said.contains("--out") && said.trim_end().lines().count() == 1, "{said}");
}

#[test]
fn pythons_that_do_not_do_are_refused_with_what_mends_it() {
    let bench = Bench::new();
    let good = bench.file("good.csv", two_classes(100));
    let python = |name: &str, text: &str| {
        let path = bench.file(name, format!("#!/bin/sh\n{text}\n"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    let old = python("old-python", "echo 3 8 3.8.10");
    let absent = bench.folder.path().join("no-python");
    for (python, part) in [(old, "3.8.10"), (absent, "--python")] {
        let out = bench.folder.path().join("store");
        let ended = run::finish(&[
            "run",
            good.to_str().unwrap(),
            "--out",
            out.to_str().unwrap(),
            "--python",
            python.to_str().unwrap(),
        ]);
        let said = run::stderr(&ended);
        assert_eq!(ended.status.code(), Some(2), "{said}");
        assert!(said.contains(part) && said.trim_end().lines().count() == 1, "{said}");
    }
}

/// With a path that holds these programs alone, and a cache of its own.
fn with_path(bench: &Bench, good: &Path, path: &Path) -> String {
    let out = bench.folder.path().join("store");
    let mut command = run::command(&["run", good.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    command.env("PATH", path).env("XDG_CACHE_HOME", bench.folder.path().join("cache"));
    let ended = command.output().unwrap();
    let said = run::stderr(&ended);
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    said
}

#[test]
fn no_python_and_an_installer_that_fails_come_with_what_mends_them() {
    let bench = Bench::new();
    let good = bench.file("good.csv", two_classes(100));
    let bin = bench.folder.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let said = with_path(&bench, &good, &bin);
    assert!(said.contains("no Python was found") && said.contains("install"), "{said}");

    let uv = bin.join("uv");
    std::fs::write(&uv, "#!/bin/sh\necho 'error: no route to the index' >&2\nexit 1\n").unwrap();
    std::fs::set_permissions(&uv, std::fs::Permissions::from_mode(0o755)).unwrap();
    let said = with_path(&bench, &good, &bin);
    assert!(said.contains("no route to the index") && said.contains("network"), "{said}");
}

#[test]
fn a_damaged_store_is_refused_and_left_as_it_is() {
    let bench = Bench::new();
    let good = bench.file("good.csv", two_classes(100));
    let out = bench.folder.path().join("out");
    let store = out.join("store");
    std::fs::create_dir_all(&store).unwrap();
    std::fs::write(store.join("journal.redb"), vec![7_u8; 9000]).unwrap();
    let ended = run::finish(&["run", good.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    let said = run::stderr(&ended);
    assert_eq!(ended.status.code(), Some(3), "{said}");
    assert!(said.contains("damaged") && said.contains("aside"), "{said}");
    assert_eq!(std::fs::read(store.join("journal.redb")).unwrap(), vec![7_u8; 9000]);
}

#[test]
fn odd_but_usable_tables_are_understood() {
    let bench = Bench::new();
    let mut semicolons = String::from("Größe in m;Name, mit Komma;Ziel\n");
    for row in 0..60 {
        let _ = writeln!(semicolons, "{}.5;\"a;{}\";{}", row % 9, row % 3, if row % 2 == 0 { 7 } else { 9 });
    }
    let path = bench.file("Daten für später.csv", semicolons);
    let ended = run::finish(&["run", path.to_str().unwrap(), "--dry-run"]);
    assert!(ended.status.success(), "{}", run::stderr(&ended));
    let study: toml::Table = toml::from_str(&run::stdout(&ended)).unwrap();
    assert_eq!(study["data"]["delimiter"].as_str(), Some(";"));
    assert_eq!(study["data"]["target"].as_str(), Some("Ziel"));
    assert_eq!(study["metric"]["name"].as_str(), Some("accuracy"));
}

#[test]
fn two_tables_and_two_targets_are_two_studies_and_a_moved_table_is_the_same() {
    let bench = Bench::new();
    let id = |path: &Path, more: &[&str]| {
        let mut arguments = vec!["run", path.to_str().unwrap(), "--dry-run"];
        arguments.extend(more);
        let printed = run::finish(&arguments);
        let spec: ar_common::StudySpec = toml::from_str(&run::stdout(&printed)).unwrap();
        spec.id()
    };
    let first = bench.file("first.csv", two_classes(100));
    let moved = bench.file("moved.csv", two_classes(100));
    let changed = bench.file("changed.csv", two_classes(101));
    assert_eq!(id(&first, &[]), id(&moved, &[]));
    assert_eq!(id(&first, &[]), id(&first, &["--budget", "99"]));
    assert_ne!(id(&first, &[]), id(&changed, &[]));
    assert_ne!(id(&first, &[]), id(&first, &["--target", "weight"]));
    assert_ne!(id(&first, &[]), id(&first, &["--seed", "5"]));
}
