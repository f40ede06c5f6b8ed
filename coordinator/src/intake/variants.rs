//! `variants/SLOT/`: files of a project that may stand in the place of another one.
//!
//! `variants/optimizer/lion.py` is the option `lion` of the slot `optimizer`: in a run that has it, it stands where the
//! project's `optimizer.py` stands, which is the option `base`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ar_common::space::BASE;
use ar_common::{Dimension, EntryKind, OptionSpec, Space, TreeEntry, Variants};

use super::IntakeError;

/// The folder in which they are.
const FOLDER: &str = "variants/";

/// The slots of a project, each with its dimension.
///
/// # Errors
/// With one line, where a slot has no file to stand in for, or several.
pub(super) fn find(entries: &[TreeEntry]) -> Result<Vec<(Variants, Dimension)>, IntakeError> {
    let mut slots: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for entry in entries {
        let Some((slot, file)) = entry.path.strip_prefix(FOLDER).and_then(|rest| rest.split_once('/')) else {
            continue;
        };
        if !file.contains('/') && !file.starts_with('.') {
            slots.entry(slot).or_default().push((file, &entry.path));
        }
    }
    slots.into_iter().map(|(slot, files)| read(entries, slot, &files)).collect()
}

fn read(
    entries: &[TreeEntry],
    slot: &str,
    files: &[(&str, &str)],
) -> Result<(Variants, Dimension), IntakeError> {
    let wrong = |why: String| IntakeError::Flag(format!("{FOLDER}{slot}: {why}"));
    let kinds: BTreeSet<&str> = files.iter().map(|(file, _)| split(file).1).collect();
    let [kind] = kinds.iter().copied().collect::<Vec<_>>()[..] else {
        return Err(wrong(
            "its files have different endings; options of one slot stand in the same place".into(),
        ));
    };
    let whole = if kind.is_empty() { slot.to_owned() } else { format!("{slot}.{kind}") };
    let stands = |entry: &&TreeEntry| {
        !entry.path.starts_with(FOLDER)
            && Path::new(&entry.path).file_name().is_some_and(|name| *name == *whole)
    };
    let places: Vec<&str> = entries.iter().filter(stands).map(|entry| entry.path.as_str()).collect();
    let link = |path: &str| entries.iter().any(|entry| entry.path == path && entry.kind == EntryKind::Link);
    if let Some(link) = places.iter().chain(files.iter().map(|(_, path)| path)).find(|path| link(path)) {
        return Err(wrong(format!(
            "`{link}` is a symbolic link, whose target would be another file there; copy it"
        )));
    }
    let [file] = places[..] else {
        return Err(wrong(match places.len() {
            0 => format!("the project has no `{whole}`, in whose place they could stand; that is their base"),
            _ => format!("which file do they stand in for: {}? rename all but one", places.join(", ")),
        }));
    };
    let option = |name: &str, family: &str| OptionSpec {
        name: name.to_owned(),
        // What was written with the same word before the first `_` is of a kind.
        family: format!("{slot}/{}", family.split('_').next().unwrap_or(family)),
        ..OptionSpec::default()
    };
    let mut dimension =
        Dimension { name: slot.to_owned(), options: vec![option(BASE, BASE)], ..Dimension::default() };
    let mut options = BTreeMap::new();
    for (name, path) in files {
        let name = split(name).0;
        if name == BASE {
            return Err(wrong(format!(
                "`{BASE}` is the project's own `{file}`; give the other one another name"
            )));
        }
        dimension.options.push(option(name, name));
        options.insert(name.to_owned(), (*path).to_owned());
    }
    Ok((Variants { dimension: slot.to_owned(), file: file.to_owned(), options }, dimension))
}

/// A file's name without its last ending, and the ending.
fn split(file: &str) -> (&str, &str) {
    file.rsplit_once('.').unwrap_or((file, ""))
}

/// Takes the slots into the space: constants of a file count only where that file stands in its place.
///
/// # Errors
/// With one line, where a slot has the name of a constant, or stands in for what is fixed.
pub(super) fn take(
    space: &mut Space,
    slots: &[(Variants, Dimension)],
    knobs: &[(String, String)],
    fixed: &[(&str, &str)],
) -> Result<(), IntakeError> {
    for (variants, dimension) in slots {
        let wrong = |why: String| IntakeError::Flag(format!("{FOLDER}{}: {why}", variants.dimension));
        if let Some((_, why)) = fixed.iter().find(|(file, _)| *file == variants.file) {
            return Err(wrong(format!("`{}` is {why}, so nothing may stand in its place", variants.file)));
        }
        if space.dimension(&dimension.name).is_some() {
            return Err(wrong("a constant has the same name; rename the folder".to_owned()));
        }
        let others: Vec<String> =
            dimension.options.iter().skip(1).map(|option| option.family.clone()).collect();
        for (file, name) in knobs {
            let knob = space.dimensions.iter_mut().find(|d| d.name == *name && *file == variants.file);
            knob.into_iter().for_each(|knob| {
                knob.inactive_under.insert(dimension.name.clone(), others.clone());
            });
        }
        space.dimensions.push(dimension.clone());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use ar_common::Digest;

    use super::*;

    fn entries(paths: &[&str]) -> Vec<TreeEntry> {
        let entry = |path: &&str| TreeEntry {
            path: (*path).to_owned(),
            digest: Digest::of(path.as_bytes()),
            bytes: 1,
            kind: EntryKind::Plain,
        };
        paths.iter().map(entry).collect()
    }

    #[test]
    fn files_of_a_slot_are_its_options_with_families() {
        let project = entries(&[
            "nets/mlp.py",
            "train.py",
            "variants/mlp/glu_a.py",
            "variants/mlp/glu_b.py",
            "variants/mlp/moe.py",
        ]);
        let found = find(&project).unwrap();
        let (variants, dimension) = &found[0];
        assert_eq!(
            (variants.file.as_str(), &variants.options["moe"]),
            ("nets/mlp.py", &"variants/mlp/moe.py".to_owned())
        );
        let options: Vec<(&str, &str)> =
            dimension.options.iter().map(|o| (o.name.as_str(), o.family.as_str())).collect();
        assert_eq!(
            options,
            [("base", "mlp/base"), ("glu_a", "mlp/glu"), ("glu_b", "mlp/glu"), ("moe", "mlp/moe")]
        );
        assert!(find(&entries(&["train.py", "variants/README.md"])).unwrap().is_empty());
    }

    #[test]
    fn a_slot_without_one_place_is_refused() {
        let refused = |paths: &[&str]| find(&entries(paths)).unwrap_err().to_string();
        assert!(refused(&["train.py", "variants/mlp/a.py"]).contains("has no `mlp.py`"));
        assert!(refused(&["a/mlp.py", "b/mlp.py", "variants/mlp/a.py"]).contains("a/mlp.py, b/mlp.py"));
        assert!(refused(&["mlp.py", "variants/mlp/a.py", "variants/mlp/b.rs"]).contains("different endings"));
        assert!(refused(&["mlp.py", "variants/mlp/base.py"]).contains("another name"));
        for link in ["mlp.py", "variants/mlp/a.py"] {
            let mut project = entries(&["mlp.py", "variants/mlp/a.py"]);
            project.iter_mut().filter(|e| e.path == link).for_each(|e| e.kind = EntryKind::Link);
            let said = find(&project).unwrap_err().to_string();
            assert!(said.contains(&format!("`{link}` is a symbolic link")), "{said}");
        }
    }
}
