//! Profiles of files as people have them.

mod dialect;
mod errors;
mod kinds;
mod notes;
mod properties;
mod roles;
mod splits;
mod target;
mod text;

use std::fmt::Write;
use std::path::PathBuf;

use super::{Column, ColumnKind, DataError, Profile, Request, profile};

/// A file that lives as long as this does.
struct File {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl File {
    fn new(content: impl AsRef<[u8]>) -> Self {
        Self::named("data.csv", content)
    }

    fn named(name: &str, content: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        Self { _folder: folder, path }
    }

    /// Profiles it with a request that leaves open what `change` does not set.
    fn with<'a>(&'a self, change: impl FnOnce(&mut Request<'a>)) -> Result<Profile, DataError> {
        let mut request = Request::new(&self.path);
        change(&mut request);
        profile(&request)
    }

    fn profile(&self) -> Profile {
        self.with(|_| ()).unwrap()
    }

    /// Why it is refused.
    fn refusal(&self) -> String {
        self.refusal_with(|_| ())
    }

    fn refusal_with<'a>(&'a self, change: impl FnOnce(&mut Request<'a>)) -> String {
        let said = self.with(change).unwrap_err().to_string();
        assert_tells_what_to_do(&said);
        said
    }
}

/// One line: what is wrong, a semicolon, what to do.
#[track_caller]
fn assert_tells_what_to_do(said: &str) {
    assert_eq!(said.lines().count(), 1, "{said:?}");
    assert!(!said.contains(char::is_control), "{said:?}");
    let has_advice = said.match_indices("; ").any(|(at, _)| at > 8 && said.len() - at > 10);
    assert!(has_advice, "{said}");
}

#[track_caller]
fn assert_says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "`{said}` lacks `{part}`");
    }
}

/// A table of a header and as many rows.
fn table(header: &str, rows: usize, row: impl Fn(usize) -> String) -> String {
    let mut text = format!("{header}\n");
    for index in 0..rows {
        writeln!(text, "{}", row(index)).unwrap();
    }
    text
}

/// A table whose first column holds these cells and whose target has two classes.
fn column_of(name: &str, rows: usize, cell: impl Fn(usize) -> String) -> String {
    let header = format!("{name},other,target");
    table(&header, rows, |i| format!("{},{},{}", cell(i), (i * 7) % 13, yes_or_no(i)))
}

/// A table with this target and one feature.
fn target_of(rows: usize, cell: impl Fn(usize) -> String) -> String {
    table("a,target", rows, |i| format!("{},{}", (i * 7) % 13, cell(i)))
}

fn yes_or_no(row: usize) -> &'static str {
    if row.is_multiple_of(2) { "yes" } else { "no" }
}

/// A table that nothing is wrong with.
fn plain(rows: usize) -> String {
    column_of("a", rows, |i| format!("{}.5", (i * 5) % 11))
}

fn names(profile: &Profile) -> Vec<&str> {
    profile.columns.iter().map(|column| column.name.as_str()).collect()
}

fn column<'a>(profile: &'a Profile, name: &str) -> &'a Column {
    profile.columns.iter().find(|column| column.name == name).unwrap()
}

/// What a first column of these cells is taken for.
fn kind_of(name: &str, rows: usize, cell: impl Fn(usize) -> String) -> ColumnKind {
    File::new(column_of(name, rows, cell)).profile().columns[0].kind
}

#[test]
fn the_python_side_takes_the_same_cells_for_missing() {
    let python = ar_runner::files().into_iter().find(|(path, _)| path == "ar_runner/load.py").unwrap();
    let text = String::from_utf8_lossy(python.1);
    let list = text.split_once("\nMISSING = (").and_then(|(_, rest)| rest.split_once("\n)")).unwrap().0;
    let markers: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
    assert_eq!(markers, super::MISSING);
}
