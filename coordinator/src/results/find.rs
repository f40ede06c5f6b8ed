//! Finding the results of a study by what a person calls it.

use std::io;
use std::path::{Path, PathBuf};

use super::report::Report;

/// How near a name must be to be offered (Jaro-Winkler, 0 to 1).
const NEAR: f64 = 0.75;

/// A results folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Where.
    pub folder: PathBuf,
    /// What is in it.
    pub report: Report,
}

/// Why there are no results. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// Nothing there yet.
    #[error("there are no results in {}; start a study with `ar-coordinator run DATA.csv`, or name another folder with --out", .0.display())]
    Empty(PathBuf),
    /// No such study.
    #[error("there is no study `{asked}` in {}; {offered}", root.display())]
    Unknown {
        /// Where was looked.
        root: PathBuf,
        /// What was asked for.
        asked: String,
        /// What there is.
        offered: String,
    },
    /// Several.
    #[error("`{asked}` may be {}; name one of them", names.join(", "))]
    Ambiguous {
        /// What was asked for.
        asked: String,
        /// The folders.
        names: Vec<String>,
    },
    /// Written before there was such a thing.
    #[error("{} does not say what the study teaches: an earlier version wrote it; run the study again, which writes it anew from the store", .0.display())]
    Unexplained(PathBuf),
    /// A file that is not ours, or damaged.
    #[error("cannot read {}: {why}; run the study again, which writes it anew from the store", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// Reads the report in a results folder.
///
/// # Errors
/// When it is missing, damaged, or of another version.
pub fn read(folder: &Path) -> Result<Report, FindError> {
    let path = folder.join("results.json");
    let wrong = |why: String| FindError::Unreadable { path: path.clone(), why };
    let bytes = std::fs::read(&path).map_err(|error| wrong(error.to_string()))?;
    let value: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
    let version = value.get("version").and_then(serde_json::Value::as_u64);
    if version != Some(u64::from(Report::VERSION)) {
        let found = version.map_or("of no version".to_owned(), |version| format!("of version {version}"));
        return Err(wrong(format!("it is {found}, this program reads version {}", Report::VERSION)));
    }
    serde_json::from_value(value).map_err(|error| wrong(error.to_string()))
}

/// Every results folder below `root`, by name.
///
/// # Errors
/// When `root` cannot be listed; a single folder that cannot be read is an error in its place.
pub fn all(root: &Path) -> io::Result<Vec<(PathBuf, Result<Report, FindError>)>> {
    let entries = match std::fs::read_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut folders: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join("results.json").is_file())
        .collect();
    folders.sort();
    Ok(folders.into_iter().map(|folder| (folder.clone(), read(&folder))).collect())
}

/// The results folder of the study that `asked` names: by its folder, its name, or the first digits of
/// its identity.
///
/// # Errors
/// When there is none, or more than one.
pub fn find(root: &Path, asked: &str) -> Result<PathBuf, FindError> {
    let as_path = Path::new(asked);
    if as_path.join("results.json").is_file() {
        return Ok(as_path.to_owned());
    }
    let folders: Vec<PathBuf> = match all(root) {
        Ok(found) => found.into_iter().map(|(folder, _)| folder).collect(),
        Err(error) => {
            return Err(FindError::Unreadable { path: root.to_owned(), why: error.to_string() });
        }
    };
    if folders.is_empty() {
        return Err(FindError::Empty(root.to_owned()));
    }
    let name_of =
        |folder: &Path| folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    // The whole name of a folder means that folder, whatever else it may mean.
    if let Some(folder) = folders.iter().find(|folder| name_of(folder) == asked) {
        return Ok(folder.clone());
    }
    let given = if asked.is_empty() { String::new() } else { super::plain(asked) };
    let matches = |folder: &&PathBuf| {
        let name = name_of(folder);
        let (study, id) = name.rsplit_once('-').unwrap_or((&name, ""));
        study == asked
            || study == given
            || (asked.len() >= 4 && !id.is_empty() && (id.starts_with(asked) || asked.starts_with(id)))
    };
    let found: Vec<&PathBuf> = folders.iter().filter(matches).collect();
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] => {
            let names: Vec<String> = folders.iter().map(|folder| name_of(folder)).collect();
            let near: Vec<&str> = names.iter().map(String::as_str).filter(|n| is_near(n, asked)).collect();
            let offered = if near.is_empty() {
                format!("there are: {}", names.join(", "))
            } else {
                format!("did you mean {}?", near.join(" or "))
            };
            Err(FindError::Unknown { root: root.to_owned(), asked: asked.to_owned(), offered })
        }
        several => Err(FindError::Ambiguous {
            asked: asked.to_owned(),
            names: several.iter().map(|folder| name_of(folder)).collect(),
        }),
    }
}

fn is_near(name: &str, asked: &str) -> bool {
    let study = name.rsplit_once('-').map_or(name, |(study, _)| study);
    strsim::jaro_winkler(study, asked) > NEAR
}
