//! `--data`: files and folders that runs read where they lie.

use std::path::{Path, PathBuf};

use ar_common::data::overlap;
use ar_common::{DataRef, TreeEntry};
use ar_net::data;

use super::IntakeError;

/// Reads the flags: `PATH` or `NAME=PATH` each. A path that lies in the project has by default the name that it has there, any
/// other one its last part.
///
/// # Errors
/// With one line, where nothing is at a path, or a name cannot be used.
pub(super) fn read(flags: &[String], project: &Path, out: &Path) -> Result<Vec<DataRef>, IntakeError> {
    flags.iter().map(|flag| one(flag, project, out)).collect()
}

fn one(text: &str, project: &Path, out: &Path) -> Result<DataRef, IntakeError> {
    let wrong = |why: String| IntakeError::Flag(format!("--data {text}: {why}"));
    let (name, given) = match text.split_once('=') {
        Some((name, path)) => (Some(name.strip_suffix('/').unwrap_or(name).to_owned()), path),
        None => (None, text),
    };
    if given.is_empty() {
        return Err(wrong(
            "write it as PATH, or NAME=PATH with the name that it has inside the project".to_owned(),
        ));
    }
    let path = std::path::absolute(given).map_err(|error| wrong(error.to_string()))?;
    let fingerprint = data::fingerprint(&path).map_err(|error| wrong(error.to_string()))?;
    let name = name.or_else(|| name_of(&path, project)).ok_or_else(|| {
        wrong("it has no last part that could be its name inside the project; write NAME=PATH".to_owned())
    })?;
    let whole = path.canonicalize().unwrap_or_else(|_| path.clone());
    let out = settled(out);
    if overlaps(&whole, &out) {
        return Err(wrong(format!(
            "results are written to {}, which would change it; name another folder with --out",
            out.display()
        )));
    }
    let path = path.into_os_string().into_string().map_err(|_| wrong("its path is no text".to_owned()))?;
    let reference = DataRef { name, path, fingerprint };
    reference.check_name().map_err(|error| wrong(format!("{error}; a name is one inside the project")))?;
    Ok(reference)
}

fn name_of(path: &Path, project: &Path) -> Option<String> {
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    let whole = path.file_name().and_then(|last| Some(folder?.join(last)));
    let inside = whole.as_deref().zip(project.canonicalize().ok());
    let inside = inside.and_then(|(whole, project)| whole.strip_prefix(project).ok().map(Path::to_owned));
    let name = inside.or_else(|| path.file_name().map(PathBuf::from))?;
    name.into_os_string().into_string().ok()
}

/// Where a folder is or would be, links followed as far as it exists.
fn settled(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for above in path.ancestors() {
        if let Ok(whole) = above.canonicalize() {
            return path.strip_prefix(above).map(|rest| whole.join(rest)).unwrap_or(whole);
        }
    }
    path
}

fn overlaps(a: &Path, b: &Path) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

/// Refuses names that stand where the study has files of its own; `own` are those, each with what it is.
///
/// # Errors
/// With one line that names both.
pub(super) fn check(
    data: &[DataRef],
    own: &[(&str, &str)],
    entries: &[TreeEntry],
) -> Result<(), IntakeError> {
    for DataRef { name, path, .. } in data {
        if let Some((file, what)) = own.iter().find(|(file, _)| overlap(file, name)) {
            return Err(IntakeError::Flag(format!(
                "--data {name}={path}: the project's `{file}` is {what}, and data would stand in its place; give it another NAME"
            )));
        }
    }
    match DataRef::conflict(entries, data) {
        Some(name) => Err(IntakeError::Flag(format!(
            "--data: `{name}` is given twice, or lies below other data, a file or a link of the project; give it another NAME"
        ))),
        None => Ok(()),
    }
}

/// Refuses data that are no longer what a study file says.
///
/// # Errors
/// With the reason, for one line.
pub(super) fn unchanged(data: &[DataRef]) -> Result<(), String> {
    for DataRef { name, path, fingerprint } in data {
        let found =
            data::fingerprint(Path::new(path)).map_err(|error| format!("its data `{name}`: {error}"))?;
        if found != *fingerprint {
            return Err(format!("{path} has changed since it was written; print it anew with --dry-run"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_name_is_the_one_given_the_place_in_the_project_or_the_last_part() {
        let home = tempfile::tempdir().unwrap();
        let (project, out) = (home.path().join("project"), home.path().join("out"));
        fs::create_dir_all(project.join("data")).unwrap();
        fs::write(project.join("data/tokens.bin"), "t").unwrap();
        fs::create_dir(home.path().join("corpus")).unwrap();
        let at = |path: &str| home.path().join(path).display().to_string();
        let named = |flag: String| one(&flag, &project, &out).map(|data| (data.name, data.path));
        assert_eq!(named(at("corpus/")).unwrap().0, "corpus");
        assert_eq!(named(at("project/data/tokens.bin")).unwrap().0, "data/tokens.bin");
        let given = named(format!("big/tokens={}", at("corpus"))).unwrap();
        assert_eq!(given, ("big/tokens".to_owned(), at("corpus")));
        let refused = |flag: String| one(&flag, &project, &out).unwrap_err().to_string();
        assert!(refused(at("gone")).contains("there is nothing at"));
        assert!(refused("x=".to_owned()).contains("NAME=PATH"));
        assert!(refused(format!("../x={}", at("corpus"))).contains("`../x`"));
        assert!(refused(at("")).contains("results are written to"), "the folder of the results is in it");
    }
}
