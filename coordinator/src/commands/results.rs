//! `results`: what a study found.

use std::path::Path;

use crate::results::{self, FindError};
use crate::summary;

/// The summary of a study, or its `results.json`.
///
/// # Errors
/// When there is no such study.
pub fn results(out: &Path, study: &str, json: bool, width: usize) -> Result<String, FindError> {
    let folder = results::find(out, study)?;
    let report = results::read(&folder)?;
    Ok(if json { report.to_json() } else { summary::text(&report, &folder, out, width) })
}
