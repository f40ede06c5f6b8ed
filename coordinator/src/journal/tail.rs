//! `journal.tail`: the position of the last acknowledged record, beside the journal.
//!
//! The database falls back to its last but one commit when the last one does not verify. That is
//! right for a commit that was cut short, and loses records when an acknowledged one was damaged
//! since; this file tells the two apart. It also tells a journal that was removed from one that
//! never was. It is written after each commit without an fsync: a killed process leaves it exact, a
//! power cut may leave it behind, and it is never ahead.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use ar_common::Seq;

use super::files;

pub(super) const NAME: &str = "journal.tail";
const MAGIC: &[u8; 8] = b"ar-tail\x01";
const SIZE: usize = 20;

/// The open file.
#[derive(Debug)]
pub(super) struct Tail {
    file: File,
}

impl Tail {
    /// Opens or makes the file in `dir`.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let file = files::private().create(true).truncate(false).open(dir.join(NAME))?;
        Ok(Self { file })
    }

    /// Whether there is such a file in `dir`, and so was a journal.
    pub(super) fn exists(dir: &Path) -> bool {
        dir.join(NAME).exists()
    }

    /// What it says; `None` if it is new, cut short or damaged.
    pub(super) fn read(&mut self) -> io::Result<Option<Seq>> {
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(0))?;
        (&self.file).take(SIZE as u64 + 1).read_to_end(&mut bytes)?;
        let seq =
            bytes.get(8..16).and_then(|seq| seq.try_into().ok()).map(|seq| Seq(u64::from_le_bytes(seq)));
        Ok(seq.filter(|seq| bytes == image(*seq)))
    }

    /// Writes the position, over the old one in one write within one sector.
    pub(super) fn write(&mut self, seq: Seq) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&image(seq))
    }

    /// Makes the file as it should be and durable.
    pub(super) fn settle(&mut self, seq: Seq) -> io::Result<()> {
        self.write(seq)?;
        self.file.set_len(SIZE as u64)?;
        self.file.sync_all()
    }
}

fn image(seq: Seq) -> [u8; SIZE] {
    let mut bytes = [0; SIZE];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..16].copy_from_slice(&seq.0.to_le_bytes());
    let checksum = crc32fast::hash(&bytes[..16]);
    bytes[16..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}
