//! Why a study of the bench has no figures.

use std::io;
use std::path::{Path, PathBuf};

use ar_coordinator::data::DataError;
use ar_worker::environment::EnvironmentError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    #[error("cannot use {} ({source}); make it readable, or free the disk", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("cannot use the table {} ({source}); its rows must all have as many cells as its head", path.display())]
    Csv { path: PathBuf, source: csv::Error },
    #[error("cannot use {}: {why}", path.display())]
    Table { path: PathBuf, why: String },
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    #[error("there is no table `{asked}`; there are: {}", there.join(", "))]
    Unknown { asked: String, there: Vec<String> },
    #[error("`{what}` failed: {said}; run it by hand to see more")]
    Failed { what: String, said: String },
    #[error("the program's JSON has no `{0}`; the bench and the program must be of one version")]
    Lacks(&'static str),
    #[error("{rows} rows of {} have predictions, {wanted} should; this is a bug, please report it", path.display())]
    Predictions { path: PathBuf, rows: usize, wanted: usize },
    #[error(
        "what was handed over and the same configuration ({0}) fitted by the bench predict differently: the gains of the rules would not compare; look whether the worker's last fit has changed"
    )]
    Differs(String),
}

/// For `map_err`: the error of a file with its path.
pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> BenchError + '_ {
    |source| BenchError::File { path: path.to_owned(), source }
}

/// For `map_err`: the error of a table with its path.
pub(crate) fn table(path: &Path) -> impl FnOnce(csv::Error) -> BenchError + '_ {
    |source| BenchError::Csv { path: path.to_owned(), source }
}
