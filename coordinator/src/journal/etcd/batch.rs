//! A batch as the values of etcd: a few bytes that say which part of which batch it is, and the
//! records as in every store, each behind its length.

use ar_common::Seq;
use ar_core::Record;
use serde::{Deserialize, Serialize};

use crate::journal::error::JournalError;
use crate::journal::{Entry, envelope};
use envelope::Unreadable;

/// Largest value: a request, with the head and two keys, stays well under etcd's 1.5 MiB.
const PART: usize = 1_000_000;
const FORMAT: u8 = 1;
const HEADER: usize = 33;

/// What the head key holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    format: u8,
    /// The last record.
    pub(super) last: Seq,
    /// The batch that put it there, so that whoever got no answer knows its own.
    pub(super) batch: String,
}

impl Head {
    pub(super) fn new(last: Seq, batch: u128) -> Self {
        Self { format: FORMAT, last, batch: format!("{batch:032x}") }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::json!(self).to_string().into_bytes()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        #[derive(Deserialize)]
        struct Probe {
            format: u8,
        }
        match serde_json::from_slice::<Probe>(bytes) {
            Ok(Probe { format }) if format > FORMAT => Err(newer(format)),
            _ => serde_json::from_slice(bytes).map_err(|e| Unreadable::Damaged(format!("the head: {e}"))),
        }
    }
}

/// Records as values.
pub(super) struct Batch {
    pub(super) id: u128,
    pub(super) last: Seq,
    pub(super) parts: Vec<Vec<u8>>,
}

impl Batch {
    pub(super) fn new(id: u128, first: Seq, records: &[Record]) -> Result<Self, JournalError> {
        let mut bytes = Vec::new();
        let mut seq = first;
        for record in records {
            let unwritable = |what: String| JournalError::Unwritable { seq, what };
            let start = bytes.len();
            bytes.extend_from_slice(&[0; 4]);
            envelope::encode(seq, record, &mut bytes).map_err(|e| unwritable(e.to_string()))?;
            let length =
                u32::try_from(bytes.len() - start - 4).map_err(|_| unwritable("it is over 4 GiB".into()))?;
            bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
            seq = seq.next();
        }
        let chunks: Vec<&[u8]> = bytes.chunks(PART - HEADER).collect();
        let parts = chunks.iter().enumerate().map(|(index, chunk)| {
            let mut value = Vec::with_capacity(HEADER + chunk.len());
            value.push(FORMAT);
            value.extend_from_slice(&id.to_le_bytes());
            value.extend_from_slice(&first.0.to_le_bytes());
            value.extend_from_slice(&(index as u32).to_le_bytes());
            value.extend_from_slice(&(chunks.len() as u32).to_le_bytes());
            value.extend_from_slice(chunk);
            value
        });
        Ok(Self { id, last: Seq(seq.0 - 1), parts: parts.collect() })
    }
}

/// Puts parts together again.
#[derive(Default)]
pub(super) struct Joiner {
    of: Option<(u128, u32, u32)>,
    bytes: Vec<u8>,
}

impl Joiner {
    /// Takes the next part, of the batch that begins at `first`; returns the records if it is the last.
    pub(super) fn take(&mut self, first: Seq, value: &[u8]) -> Result<Option<Vec<Entry>>, (Seq, Unreadable)> {
        let damaged = |what: &str| (first, Unreadable::Damaged(what.to_owned()));
        match value.first() {
            Some(&format) if format > FORMAT => return Err((first, newer(format))),
            _ => {}
        }
        let Some((header, payload)) = value.split_first_chunk::<HEADER>() else {
            return Err(damaged("its value is too short"));
        };
        let id = u128::from_le_bytes(header[1..17].try_into().unwrap_or_default());
        let at = u64::from_le_bytes(header[17..25].try_into().unwrap_or_default());
        let part = u32::from_le_bytes(header[25..29].try_into().unwrap_or_default());
        let parts = u32::from_le_bytes(header[29..33].try_into().unwrap_or_default());
        if at != first.0 {
            return Err(damaged(&format!("it is missing, and record {at} is there in its place")));
        }
        if (id, part, parts) != self.of.unwrap_or((id, 0, parts)) {
            return Err(damaged("a part of its batch is missing"));
        }
        self.bytes.extend_from_slice(payload);
        if part + 1 < parts {
            self.of = Some((id, part + 1, parts));
            return Ok(None);
        }
        self.of = None;
        split(first, &std::mem::take(&mut self.bytes)).map(Some)
    }

    /// Whether parts are still to come.
    pub(super) fn waits(&self) -> bool {
        self.of.is_some()
    }
}

fn split(first: Seq, mut bytes: &[u8]) -> Result<Vec<Entry>, (Seq, Unreadable)> {
    let mut entries = Vec::new();
    let mut seq = first;
    while !bytes.is_empty() {
        let short = || (seq, Unreadable::Damaged("its batch ends too early".to_owned()));
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or_else(short)?;
        let (record, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(short)?;
        let record = envelope::decode(seq, record).map_err(|why| (seq, why))?;
        entries.push(Entry { seq, record });
        (seq, bytes) = (seq.next(), rest);
    }
    Ok(entries)
}

fn newer(format: u8) -> Unreadable {
    Unreadable::Newer(format!("its batch is of format {format}, known are formats up to {FORMAT}"))
}
