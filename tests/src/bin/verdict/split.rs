//! The outer rows: drawn once, before anything else is done with a table.

use std::collections::BTreeMap;
use std::path::Path;

use ar_common::Task;
use ar_coordinator::data::MISSING;
use csv::StringRecord;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::error::{BenchError, table};

/// The share of the rows that the study never gets.
const OUTER: f64 = 0.3;

/// A table in memory; its last column is the target.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) head: StringRecord,
    rows: Vec<StringRecord>,
    delimiter: u8,
}

/// What is written of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Columns {
    All,
    /// All but the last: whoever predicts has no target to look at.
    Features,
}

impl Rows {
    /// Reads the rows that have a target: no other can be learned from or scored.
    pub(crate) fn read(path: &Path, delimiter: char, task: Task) -> Result<Self, BenchError> {
        let unusable = |why: &str| BenchError::Table { path: path.to_owned(), why: why.to_owned() };
        let delimiter = u8::try_from(delimiter).map_err(|_| unusable("its delimiter is not ASCII"))?;
        let mut reader =
            csv::ReaderBuilder::new().delimiter(delimiter).from_path(path).map_err(table(path))?;
        let head = reader.headers().map_err(table(path))?.clone();
        if head.len() < 2 {
            return Err(unusable("it has fewer than two columns; the last one must be the target"));
        }
        let rows: Result<Vec<StringRecord>, _> = reader.records().collect();
        let mut rows = rows.map_err(table(path))?;
        rows.retain(|row| is_known(target(row), task));
        Ok(Self { head, rows, delimiter })
    }

    /// The target of each row.
    pub(crate) fn targets(&self) -> Vec<String> {
        self.rows.iter().map(|row| target(row).to_owned()).collect()
    }

    /// Name of the target.
    pub(crate) fn target_name(&self) -> &str {
        target(&self.head)
    }

    /// The rows that stay, and the outer ones, both in the order of the file.
    pub(crate) fn split(self, task: Task, seed: u64) -> (Self, Self) {
        let outer = outer(&self.targets(), task, seed);
        let part = |wanted: bool| {
            let rows = self.rows.iter().zip(&outer).filter(|(_, is_outer)| **is_outer == wanted);
            let rows = rows.map(|(row, _)| row.clone()).collect();
            Self { head: self.head.clone(), rows, delimiter: self.delimiter }
        };
        (part(false), part(true))
    }

    /// Writes them as CSV.
    pub(crate) fn write(&self, path: &Path, columns: Columns) -> Result<(), BenchError> {
        let width = self.head.len() - usize::from(columns == Columns::Features);
        let mut writer =
            csv::WriterBuilder::new().delimiter(self.delimiter).from_path(path).map_err(table(path))?;
        for row in std::iter::once(&self.head).chain(&self.rows) {
            writer.write_record(row.iter().take(width)).map_err(table(path))?;
        }
        writer.flush().map_err(crate::error::file(path))
    }
}

fn target(row: &StringRecord) -> &str {
    row.iter().next_back().unwrap_or("").trim()
}

fn is_known(cell: &str, task: Task) -> bool {
    match task {
        Task::Classification => !MISSING.contains(&cell),
        Task::Regression => cell.parse::<f64>().is_ok_and(f64::is_finite),
    }
}

/// Whether each row is an outer one: a fixed share of each class, or of all rows where the target is a number.
fn outer(targets: &[String], task: Task, seed: u64) -> Vec<bool> {
    let mut strata: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (position, target) in targets.iter().enumerate() {
        let stratum = if task == Task::Classification { target.as_str() } else { "" };
        strata.entry(stratum).or_default().push(position);
    }
    let mut draws = ChaCha8Rng::seed_from_u64(seed);
    let mut outer = vec![false; targets.len()];
    for rows in strata.values_mut() {
        rows.shuffle(&mut draws);
        let share = (rows.len() as f64 * OUTER).round();
        // `take` of a share that is below the number of rows and not negative.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a few rows")]
        for row in rows.iter().take(share as usize) {
            outer[*row] = true;
        }
    }
    outer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(counts: &[(&str, usize)]) -> Vec<String> {
        counts.iter().flat_map(|(label, count)| vec![(*label).to_owned(); *count]).collect()
    }

    #[test]
    fn three_in_ten_rows_of_each_class_are_outer_ones() {
        let labels = labels(&[("yes", 100), ("no", 20), ("maybe", 1)]);
        let outer = outer(&labels, Task::Classification, 0);
        let of = |label: &str| labels.iter().zip(&outer).filter(|(l, o)| *l == label && **o).count();
        assert_eq!((of("yes"), of("no"), of("maybe")), (30, 6, 0));
    }

    #[test]
    fn a_seed_draws_the_same_rows_again_and_another_seed_others() {
        let labels = labels(&[("a", 60), ("b", 40)]);
        for task in [Task::Classification, Task::Regression] {
            let drawn = outer(&labels, task, 7);
            assert_eq!(drawn, outer(&labels, task, 7));
            assert_ne!(drawn, outer(&labels, task, 8));
            assert_eq!(drawn.iter().filter(|o| **o).count(), 30);
        }
    }

    #[test]
    fn every_row_with_a_target_is_in_one_part_and_the_outer_file_has_no_target() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        let rows: String = (0..20).map(|n| format!("{n},\"a, b\",{}\n", n % 2)).collect();
        std::fs::write(&path, format!("n,text,target\n{rows}20,c,\n21,c,?\n")).unwrap();
        let (train, outer) =
            Rows::read(&path, ',', Task::Classification).unwrap().split(Task::Classification, 3);
        assert_eq!((train.targets().len(), outer.targets().len()), (14, 6));
        assert_eq!(train.target_name(), "target");

        let (a, b) = (folder.path().join("train.csv"), folder.path().join("outer.csv"));
        train.write(&a, Columns::All).unwrap();
        outer.write(&b, Columns::Features).unwrap();
        let (a, b) = (std::fs::read_to_string(&a).unwrap(), std::fs::read_to_string(&b).unwrap());
        assert!(a.starts_with("n,text,target\n") && b.starts_with("n,text\n"), "{a}{b}");
        let number = |line: &str| line.split(',').next().unwrap().parse::<u32>().unwrap();
        let mut numbers: Vec<u32> = a.lines().skip(1).chain(b.lines().skip(1)).map(number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn a_number_to_predict_must_be_one() {
        assert!(is_known("3.5", Task::Regression) && is_known("high", Task::Classification));
        assert!(!is_known("high", Task::Regression) && !is_known("inf", Task::Regression));
        assert!(!is_known("NA", Task::Classification));
    }
}
