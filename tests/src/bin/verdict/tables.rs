//! Which tables are judged, and where they come from. None is downloaded.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{BenchError, file};
use crate::process;

/// Tables in the repository.
const EXAMPLES: [&str; 4] = ["heart-statlog", "pima-diabetes", "kr-vs-kp", "concrete"];
const SKLEARN: &str = include_str!("sklearn_tables.py");

/// A CSV file whose last column is the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

/// The tables to judge, by name: those of the repository, those that scikit-learn carries (written to `scratch`), those
/// of the user's folder where it has others; of all these just the `asked` ones, if any are.
pub(crate) fn find(
    python: &Path,
    scratch: &Path,
    folder: Option<&Path>,
    asked: &[String],
) -> Result<Vec<Table>, BenchError> {
    let mut tables: Vec<Table> = EXAMPLES
        .iter()
        .map(|name| Table { name: (*name).to_owned(), path: ar_tests::run::example(&format!("{name}.csv")) })
        .collect();
    let script = scratch.join("sklearn_tables.py");
    fs::write(&script, SKLEARN).map_err(file(&script))?;
    let carried = scratch.join("sklearn");
    fs::create_dir(&carried).map_err(file(&carried))?;
    process::python(python, &script, &[&carried], None)?;
    for folder in [Some(carried.as_path()), folder].into_iter().flatten() {
        for table in csv_files(folder)? {
            if tables.iter().all(|known| known.name != table.name) {
                tables.push(table);
            }
        }
    }
    chosen(tables, asked)
}

fn csv_files(folder: &Path) -> Result<Vec<Table>, BenchError> {
    let mut tables = Vec::new();
    for entry in fs::read_dir(folder).map_err(file(folder))? {
        let path = entry.map_err(file(folder))?.path();
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"))
            && let Some(name) = path.file_stem()
        {
            tables.push(Table { name: name.to_string_lossy().into_owned(), path });
        }
    }
    // The order of a folder is the file system's.
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tables)
}

fn chosen(tables: Vec<Table>, asked: &[String]) -> Result<Vec<Table>, BenchError> {
    let names = || tables.iter().map(|table| table.name.clone()).collect();
    match asked.iter().find(|asked| tables.iter().all(|table| table.name != **asked)) {
        Some(unknown) => Err(BenchError::Unknown { asked: unknown.clone(), there: names() }),
        None if asked.is_empty() => Ok(tables),
        None => Ok(tables.into_iter().filter(|table| asked.contains(&table.name)).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_chosen_by_name_and_an_unknown_name_is_told_with_those_there_are() {
        let table = |name: &str| Table { name: name.into(), path: name.into() };
        let all = || vec![table("iris"), table("wine")];
        assert_eq!(chosen(all(), &[]).unwrap(), all());
        assert_eq!(chosen(all(), &["wine".into()]).unwrap(), [table("wine")]);
        let error = chosen(all(), &["beer".into()]).unwrap_err().to_string();
        assert!(error.contains("beer") && error.contains("iris, wine"), "{error}");
    }

    #[test]
    fn of_a_folder_the_csv_files_are_taken_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.csv", "a.CSV", "README.md"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let names: Vec<String> = csv_files(folder.path()).unwrap().into_iter().map(|t| t.name).collect();
        assert_eq!(names, ["a", "b"]);
    }
}
