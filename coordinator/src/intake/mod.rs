//! From flags or a `study.toml` to one [`StudySpec`] and the files that its attempts need.

mod data;
mod project;
mod promoted;
mod snapshot;
mod steer;
mod table;
mod variants;
mod words;

use std::path::{Path, PathBuf};

use ar_common::{Digest, StudySpec, Workload};
use ar_net::{BlobError, BlobStore};

use crate::catalog::CatalogError;
use crate::cli::RunArgs;
use crate::data::DataError;

pub use project::Project;
pub use promoted::{Stored, promoted};
pub use snapshot::ProjectError;
pub use table::Table;

/// A study ready to be submitted.
#[derive(Debug)]
pub struct Intake {
    /// What it is.
    pub spec: StudySpec,
    /// What it is about.
    pub subject: Subject,
}

/// What a study is about.
#[derive(Debug)]
pub enum Subject {
    /// A table.
    Table(Box<Table>),
    /// A folder with a training script.
    Project(Box<Project>),
    /// What another study kept.
    Stored(Box<Stored>),
}

/// Why there is no study. Each line says what to do.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The project.
    #[error(transparent)]
    Project(#[from] ProjectError),
    /// A flag.
    #[error("{0}")]
    Flag(String),
    /// A `study.toml` that cannot be read.
    #[error("cannot read the study {path}: {why}")]
    Study {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The catalog of this binary.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The store.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The data changed between two readings.
    #[error("{0} changed while it was read; wait until it is written, and run the same command again")]
    Moving(PathBuf),
}

/// Compiles the input of `run`.
///
/// # Errors
/// When the data, a flag or the study file cannot be used.
pub fn compile(args: &RunArgs) -> Result<Intake, IntakeError> {
    let is_study = args.input.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
    if project::is_project(&args.input) {
        return project::from_flags(args);
    }
    let refuse = |given: Option<&'static str>| match given {
        Some(flag) => Err(IntakeError::Flag(format!(
            "{flag} is for training scripts, and {} is no folder with one",
            args.input.display()
        ))),
        None => Ok(()),
    };
    refuse(args.training.given())?;
    if !is_study {
        refuse(args.training.beside())?;
        return table::from_flags(args);
    }
    let spec = read_study(&args.input)?;
    match spec.workload {
        Workload::Tabular(_) => {
            refuse(args.training.beside())?;
            table::from_study(args, spec)
        }
        Workload::Training(_) => project::from_study(args, spec),
    }
}

/// Reads a `study.toml`.
fn read_study(path: &Path) -> Result<StudySpec, IntakeError> {
    let wrong = |why: String| IntakeError::Study { path: path.to_owned(), why };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let spec: StudySpec = toml::from_str(&text).map_err(|error| wrong(in_a_line(&error, &text)))?;
    if spec.version != StudySpec::VERSION {
        return Err(wrong(format!(
            "it is of version {}, this program reads version {}; print it anew with --dry-run",
            spec.version,
            StudySpec::VERSION
        )));
    }
    Ok(spec)
}

/// What is wrong with a file, without the drawing of the place that the parser adds over several lines, and with what may
/// have been meant.
fn in_a_line(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().lines().collect::<Vec<_>>().join(" ");
    let message = match meant(&message) {
        Some(meant) => format!("{message}; did you mean `{meant}`?"),
        None => message,
    };
    let before = error.span().and_then(|span| text.get(..span.start));
    match before.filter(|before| !before.is_empty()) {
        Some(before) => format!("line {}: {message}", before.matches('\n').count() + 1),
        None => format!("{message}; `run --dry-run` prints a whole one"),
    }
}

/// The name that was probably meant, of a message such as "unknown field `a`, expected one of `b`, `c`".
fn meant(message: &str) -> Option<&str> {
    let rest =
        ["unknown field `", "unknown variant `"].iter().find_map(|begin| message.strip_prefix(begin))?;
    let (name, expected) = rest.split_once('`')?;
    ar_net::near::nearest(name, expected.split('`').skip(1).step_by(2))
}

impl Intake {
    /// Puts the study's files into the blob store and returns the digest of their list.
    ///
    /// # Errors
    /// When the data changed since it was profiled, or the store fails.
    pub fn store(&self, blobs: &BlobStore) -> Result<Digest, IntakeError> {
        match &self.subject {
            Subject::Table(table) => table.store(&self.spec, blobs),
            Subject::Project(project) => project.store(&self.spec, blobs),
            Subject::Stored(stored) => stored.store(&self.spec, blobs),
        }
    }

    /// Rows of its table, if it is about one.
    pub fn rows(&self) -> Option<u64> {
        match &self.subject {
            Subject::Table(table) => Some(table.profile.rows as u64),
            Subject::Project(_) | Subject::Stored(_) => None,
        }
    }
}

/// A name for people and folders, from the name of a file or a folder.
fn name_of(path: &Path) -> String {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let plain: String = stem
        .chars()
        .map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' })
        .take(60)
        .collect();
    let plain = plain.trim_matches(['-', '.']).to_owned();
    if plain.is_empty() { "study".to_owned() } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_study_file_is_told_with_its_line() {
        let said = |text: &str| in_a_line(&toml::from_str::<StudySpec>(text).unwrap_err(), text);
        assert_eq!(said(""), "missing field `version`; `run --dry-run` prints a whole one");
        let syntax = said("version = 1\nname = \n");
        assert!(syntax.starts_with("line 2: ") && syntax.lines().count() == 1, "{syntax}");
        let unknown = said("version = 1\nname = \"a\"\nbuget = 3\n");
        assert!(unknown.starts_with("line 3: unknown field `buget`, expected one of"), "{unknown}");
        assert!(unknown.ends_with("; did you mean `budget`?"), "{unknown}");
        let within = said("version = 1\n[limits]\nstudy_second = 3\n");
        assert!(
            within.starts_with("line 3: ") && within.ends_with("did you mean `study_seconds`?"),
            "{within}"
        );
    }

    #[test]
    fn a_name_fits_a_folder() {
        assert_eq!(name_of(Path::new("/x/heart-statlog.csv")), "heart-statlog");
        assert_eq!(name_of(Path::new("my data, v2.csv")), "my-data--v2");
        assert_eq!(name_of(Path::new("..csv")), "study");
    }
}
