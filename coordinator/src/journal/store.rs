//! `journal.redb`: the records in one table of an embedded database.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use ar_common::Seq;
use ar_core::Record;
use redb::backends::FileBackend;
use redb::{Builder, Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use super::envelope::{self, Unreadable};
use super::error::JournalError;
use super::quiet::quietly;
use super::{Entry, Pointer, files};

pub(super) const NAME: &str = "journal.redb";
/// Where a new store is made, so that one under its own name is always whole.
pub(super) const UNFINISHED: &str = "journal.redb.new";
pub(super) const RECORDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("records");
/// One row: which snapshot a replay begins with.
const SNAPSHOT: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("snapshot");
const POINTER: &str = "pointer";
/// Records that are removed in one transaction.
const SLICE: u64 = 4096;
/// Pages kept in memory. Records are read once, at the start, and written at the end of one tree.
const CACHE: usize = 16 << 20;
const MAGIC: &[u8; 4] = b"redb";

type Rows = redb::Range<'static, u64, &'static [u8]>;

/// An open database, and where it is.
#[derive(Debug)]
pub(super) struct Store {
    database: Database,
    file: PathBuf,
}

/// Records as bytes, ready to be written.
#[derive(Debug)]
pub(super) struct Batch {
    first: Seq,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Batch {
    /// `records` as `first`, `first + 1`, ...
    pub(super) fn new(first: Seq, records: &[Record]) -> Result<Self, JournalError> {
        let mut batch = Self { first, bytes: Vec::new(), ends: Vec::with_capacity(records.len()) };
        for record in records {
            let seq = batch.after();
            envelope::encode(seq, record, &mut batch.bytes)
                .map_err(|e| JournalError::Unwritable { seq, what: e.to_string() })?;
            batch.ends.push(batch.bytes.len());
        }
        Ok(batch)
    }

    /// The position after its last record.
    pub(super) fn after(&self) -> Seq {
        Seq(self.first.0 + self.ends.len() as u64)
    }

    fn rows(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        (self.first.0..).zip(starts.zip(&self.ends).map(|(start, &end)| &self.bytes[start..end]))
    }
}

impl Store {
    /// Makes the store in `dir` with its first record, which follows the snapshot if there is one; it is there whole, or not at all.
    pub(super) fn make(dir: &Path, snapshot: Option<&Pointer>, first: &Record) -> Result<(), JournalError> {
        let (path, done) = (dir.join(UNFINISHED), dir.join(NAME));
        let io = |error| JournalError::io("make", &done, error);
        // Left by a process that ended while it made the store: nothing in it was acknowledged.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
        let file = files::private().create_new(true).open(&path).map_err(io)?;
        let database = FileBackend::new(file).and_then(|file| Builder::new().create_with_backend(file));
        let database = database.map_err(|e| JournalError::redb("make", &done, e.into()))?;
        let store = Self { database, file: path.clone() };
        snapshot.map(|snapshot| store.point(snapshot)).transpose()?;
        let seq = snapshot.map_or(Seq(0), |snapshot| snapshot.seq).next();
        store.write(&Batch::new(seq, std::slice::from_ref(first))?)?;
        store.database.close().map_err(|e| JournalError::redb("make", &done, e.into()))?;
        fs::rename(&path, &done).map_err(io)?;
        files::sync_dir(dir).map_err(io)
    }

    /// Opens the store in `dir`, which must be there. Every page that is in use is read, and checked.
    pub(super) fn open(dir: &Path) -> Result<Self, JournalError> {
        let file = dir.join(NAME);
        recognise(&file)?;
        let opened =
            quietly(|| Builder::new().set_cache_size(CACHE).set_check_integrity_on_open(true).open(&file));
        let database = opened
            .map_err(|panic| JournalError::damaged(&file, panic))?
            .map_err(|e| JournalError::redb("open", &file, e.into()))?;
        Ok(Self { database, file })
    }

    #[cfg(test)]
    pub(super) fn of(database: Database, file: PathBuf) -> Self {
        Self { database, file }
    }

    /// The file it is in.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// The position of the last record; 0 if there is none.
    pub(super) fn last(&self) -> Result<Seq, JournalError> {
        let read = || -> Result<Seq, redb::Error> {
            let table = self.database.begin_read()?.open_table(RECORDS)?;
            Ok(Seq(table.last()?.map_or(0, |(seq, _)| seq.value())))
        };
        self.guard("read", read)
    }

    /// Makes a batch durable.
    pub(super) fn write(&self, batch: &Batch) -> Result<(), JournalError> {
        let write = || -> Result<(), redb::Error> {
            let mut transaction = self.database.begin_write()?;
            transaction.set_durability(Durability::Immediate)?;
            let mut table = transaction.open_table(RECORDS)?;
            for (seq, bytes) in batch.rows() {
                table.insert(seq, bytes)?;
            }
            drop(table);
            Ok(transaction.commit()?)
        };
        self.guard("write", write)
    }

    /// Which snapshot a replay begins with.
    pub(super) fn snapshot(&self) -> Result<Option<Pointer>, JournalError> {
        let read = || -> Result<Option<Vec<u8>>, redb::Error> {
            match self.database.begin_read()?.open_table(SNAPSHOT) {
                Ok(table) => Ok(table.get(POINTER)?.map(|bytes| bytes.value().to_vec())),
                Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
                Err(error) => Err(error.into()),
            }
        };
        let bytes = self.guard("read", read)?;
        let wrong = |what| JournalError::damaged(&self.file, format!("the name of its snapshot: {what}"));
        bytes.map(|bytes| Pointer::from_bytes(&bytes).map_err(wrong)).transpose()
    }

    /// From now on a replay begins with this one.
    pub(super) fn point(&self, pointer: &Pointer) -> Result<(), JournalError> {
        let write = || -> Result<(), redb::Error> {
            let mut transaction = self.database.begin_write()?;
            transaction.set_durability(Durability::Immediate)?;
            transaction.open_table(SNAPSHOT)?.insert(POINTER, &*pointer.to_bytes())?;
            Ok(transaction.commit()?)
        };
        self.guard("write", write)
    }

    /// Removes some records up to this one, but never the last of all. Whether there are more.
    pub(super) fn trim(&self, upto: Seq) -> Result<bool, JournalError> {
        let remove = || -> Result<bool, redb::Error> {
            let mut transaction = self.database.begin_write()?;
            // Should it be lost, it is done again.
            transaction.set_durability(Durability::None)?;
            let mut table = transaction.open_table(RECORDS)?;
            let first = table.first()?.map(|(seq, _)| seq.value());
            let last = table.last()?.map(|(seq, _)| seq.value());
            let (Some(first), Some(last)) = (first, last) else { return Ok(false) };
            let end = (upto.0 + 1).min(last);
            let until = end.min(first + SLICE);
            if first < until {
                table.retain_in(first..until, |_, _| false)?;
            }
            drop(table);
            transaction.commit()?;
            Ok(until < end)
        };
        self.guard("write", remove)
    }

    /// Visits every record after this one in order, and returns the position of the last one.
    pub(super) fn each(&self, after: Seq, visit: &mut dyn FnMut(Entry)) -> Result<Seq, JournalError> {
        // Without a snapshot nothing may stand before the first record either.
        let from = if after == Seq(0) { 0 } else { after.next().0 };
        let open = || -> Result<Rows, redb::Error> {
            Ok(self.database.begin_read()?.open_table(RECORDS)?.range::<u64>(from..)?)
        };
        let mut rows = self.guard("read", open)?;
        let mut last = after;
        // The visitor runs outside: its panics are its own.
        while let Some(entry) = self.next(&mut rows, last.next())? {
            last = entry.seq;
            visit(entry);
        }
        Ok(last)
    }

    /// Visits the position of every record that is there.
    #[cfg(test)]
    pub(super) fn each_row(&self, visit: &mut dyn FnMut(u64)) {
        let table = self.database.begin_read().unwrap().open_table(RECORDS).unwrap();
        table.range::<u64>(..).unwrap().for_each(|row| visit(row.unwrap().0.value()));
    }

    fn next(&self, rows: &mut Rows, seq: Seq) -> Result<Option<Entry>, JournalError> {
        let read = || -> Result<_, redb::Error> {
            let Some(row) = rows.next() else { return Ok(None) };
            let (key, bytes) = row?;
            Ok(Some((key.value(), envelope::decode(seq, bytes.value()))))
        };
        match self.guard("read", read)? {
            None => Ok(None),
            Some((key, _)) if key != seq.0 => {
                let what = format!("it is missing, and record {key} is there in its place");
                Err(self.damaged_at(seq, what))
            }
            Some((_, Ok(record))) => {
                if seq == Seq(1) && !matches!(record, Record::StoreMade { .. }) {
                    return Err(self.damaged_at(seq, "it does not say how the store was made".to_owned()));
                }
                Ok(Some(Entry { seq, record }))
            }
            Some((_, Err(Unreadable::Damaged(what)))) => Err(self.damaged_at(seq, what)),
            Some((_, Err(Unreadable::Newer(what)))) => {
                Err(JournalError::Newer { file: self.file.clone(), seq, what })
            }
        }
    }

    fn damaged_at(&self, seq: Seq, what: String) -> JournalError {
        JournalError::Damaged { file: self.file.clone(), seq: Some(seq), what }
    }

    fn guard<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce() -> Result<T, redb::Error>,
    ) -> Result<T, JournalError> {
        quietly(work)
            .map_err(|panic| JournalError::damaged(&self.file, panic))?
            .map_err(|e| JournalError::redb(doing, &self.file, e))
    }
}

/// Refuses what is plainly no journal, before the database may write to it.
fn recognise(file: &Path) -> Result<(), JournalError> {
    let io = |error| JournalError::io("open", file, error);
    let mut start = Vec::new();
    fs::File::open(file).map_err(io)?.take(MAGIC.len() as u64).read_to_end(&mut start).map_err(io)?;
    if start.is_empty() {
        return Err(JournalError::damaged(file, "it is empty"));
    }
    if start != MAGIC {
        return Err(JournalError::damaged(file, "it does not begin as a journal does"));
    }
    Ok(())
}
