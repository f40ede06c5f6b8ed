//! The second pass: the header and the rows, streamed.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::collect::{Classes, Stats, is_missing, trim};
use super::content::{BOM, Content, Encoding, Head};
use super::dialect;
use super::error::{DataError, show, show_all};
use super::target::Roles;

/// Name of a first column that has none.
const INDEX: &str = "Unnamed: 0";

/// What the rows say.
pub(super) struct Pass {
    /// Rows that have a target.
    pub(super) rows: usize,
    /// Rows that have none.
    pub(super) dropped_rows: usize,
    /// One per column, over the rows that have a target.
    pub(super) stats: Vec<Stats>,
    /// The labels of the target.
    pub(super) classes: Classes,
}

/// The file, opened for reading records.
pub(super) struct Source {
    path: PathBuf,
    reader: csv::Reader<File>,
    record: csv::ByteRecord,
    encoding: Encoding,
    has_crlf: bool,
    open_end: Option<u64>,
}

impl Source {
    pub(super) fn open(path: &Path, delimiter: u8, content: &Content) -> Result<Self, DataError> {
        let failed = |e| DataError::io(path, e);
        let mut file = File::open(path).map_err(failed)?;
        if content.has_bom {
            file.seek(SeekFrom::Start(BOM.len() as u64)).map_err(failed)?;
        }
        let reader = dialect::reader(file, delimiter);
        let record = csv::ByteRecord::new();
        let (encoding, has_crlf, open_end) = (content.encoding, content.has_crlf, content.open_end);
        Ok(Self { path: path.to_owned(), reader, record, encoding, has_crlf, open_end })
    }

    /// Moves to the next record that is not blank; false at the end.
    fn advance(&mut self) -> Result<bool, DataError> {
        loop {
            match self.reader.read_byte_record(&mut self.record) {
                Ok(false) => return Ok(false),
                Ok(true) if dialect::is_blank(&self.record) => {}
                Ok(true) => return Ok(true),
                // Ragged rows are allowed here and bytes need no decoding: what is left is I/O.
                Err(e) => return Err(DataError::io(&self.path, std::io::Error::other(e))),
            }
        }
    }

    /// The line on which the current record begins. Its own position is where the one before it
    /// ended, before blank lines and before the second half of a CRLF.
    fn line(&self) -> u64 {
        let end = self.reader.position();
        let within = self.record.as_slice().iter().filter(|&&byte| byte == b'\n').count() as u64;
        let took_line_feed = !self.has_crlf && self.open_end != Some(end.byte());
        end.line().saturating_sub(within + u64::from(took_line_feed))
    }

    /// The names of the columns, which must be there and differ.
    pub(super) fn header(&mut self, head: &Head) -> Result<Vec<String>, DataError> {
        if dialect::starts_with_quoted_blank(head) {
            return Err(DataError::UnnamedColumn { path: self.path.clone(), position: 1 });
        }
        if !self.advance()? {
            return Err(DataError::Empty { path: self.path.clone() });
        }
        let mut names: Vec<String> =
            self.record.iter().map(|cell| trim(&self.encoding.decode(cell)).to_owned()).collect();
        if let [first, second] = names.as_slice()
            && first == "sep="
            && second.is_empty()
        {
            return Err(DataError::Preamble { path: self.path.clone(), line: show(first) });
        }
        if looks_like_data(&names) {
            let example = show_all(names.iter().map(String::as_str), 3);
            return Err(DataError::NoHeader { path: self.path.clone(), example });
        }
        // The index that pandas and R write along, under the name that pandas reads it back with.
        if !names.iter().any(|name| name == INDEX)
            && let [first, _, ..] = names.as_mut_slice()
            && first.is_empty()
        {
            INDEX.clone_into(first);
        }
        if let Some(index) = names.iter().position(String::is_empty) {
            return Err(DataError::UnnamedColumn { path: self.path.clone(), position: index + 1 });
        }
        let mut known = std::collections::HashMap::new();
        for (index, name) in names.iter().enumerate() {
            if let Some(first) = known.insert(name.as_str(), index) {
                let (first, second) = (first + 1, index + 1);
                let column = show(name);
                return Err(DataError::DuplicateColumn { path: self.path.clone(), column, first, second });
            }
        }
        Ok(names)
    }

    /// Reads all rows.
    pub(super) fn rows(&mut self, names: &[String], roles: &Roles) -> Result<Pass, DataError> {
        let mut stats: Vec<Stats> = names.iter().map(|_| Stats::new(names.len())).collect();
        // However wide the file, how many values the target has decides the task.
        if let Some(target) = stats.get_mut(roles.target) {
            *target = Stats::new(1);
        }
        let mut classes = Classes::default();
        let (mut rows, mut dropped_rows) = (0, 0);
        while self.advance()? {
            let line = self.line();
            if self.record.len() != names.len() {
                let (cells, expected) = (self.record.len(), names.len());
                return Err(DataError::Ragged { path: self.path.clone(), line, cells, expected });
            }
            let target = self.encoding.decode(self.record.get(roles.target).unwrap_or_default());
            let target = trim(&target);
            if is_missing(target) {
                dropped_rows += 1;
                continue;
            }
            classes.add(target);
            rows += 1;
            for (stats, cell) in stats.iter_mut().zip(&self.record) {
                stats.add(trim(&self.encoding.decode(cell)), line);
            }
        }
        if rows + dropped_rows == 0 {
            return Err(DataError::HeaderOnly { path: self.path.clone() });
        }
        if rows == 0 {
            let column = names.get(roles.target).map(|name| show(name)).unwrap_or_default();
            return Err(DataError::TargetMissing { path: self.path.clone(), column });
        }
        stats.iter_mut().for_each(Stats::finish);
        Ok(Pass { rows, dropped_rows, stats, classes })
    }
}

/// Whether the names are cells of a first row: mostly numbers, and not just 0, 1, 2 as tools write
/// for columns without names.
fn looks_like_data(names: &[String]) -> bool {
    let numbers: Vec<f64> = names.iter().filter_map(|name| name.parse().ok()).collect();
    let odd = numbers.iter().any(|x| x.fract() != 0.0 || *x < 0.0);
    odd && numbers.len() * 2 >= names.len()
}
