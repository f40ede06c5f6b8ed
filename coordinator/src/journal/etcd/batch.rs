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
        Self::in_parts(PART - HEADER, id, first, records)
    }

    /// With parts of at most so many bytes of records.
    fn in_parts(size: usize, id: u128, first: Seq, records: &[Record]) -> Result<Self, JournalError> {
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
        let chunks: Vec<&[u8]> = bytes.chunks(size).collect();
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

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::{Index, select};

    use super::*;
    use crate::journal::tests::records;

    const FIRST: Seq = Seq(12);

    /// Takes values in order; the records of all batches that came to their end.
    fn joined(values: &[Vec<u8>]) -> Result<Vec<Entry>, (Seq, Unreadable)> {
        let (mut joiner, mut all, mut next) = (Joiner::default(), Vec::new(), FIRST);
        for value in values {
            if let Some(entries) = joiner.take(next, value)? {
                next = Seq(next.0 + entries.len() as u64);
                all.extend(entries);
            }
        }
        Ok(all)
    }

    fn some_records() -> impl Strategy<Value = Vec<Record>> {
        vec(select(records::all()), 1..6)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn batches_are_the_same_in_parts_of_any_size(batches in vec((some_records(), 1..3_000_usize), 1..4)) {
            let (mut values, mut next) = (Vec::new(), FIRST);
            for (n, (records, size)) in batches.iter().enumerate() {
                let batch = Batch::in_parts(*size, n as u128, next, records).unwrap();
                next = batch.last.next();
                values.extend(batch.parts);
            }
            let read: Vec<Record> = joined(&values).unwrap().into_iter().map(|entry| entry.record).collect();
            prop_assert_eq!(read, batches.into_iter().flat_map(|(records, _)| records).collect::<Vec<_>>());
        }

        #[test]
        fn a_part_that_is_missing_doubled_or_out_of_order_is_damage(
            records in some_records(),
            (at, how) in (any::<Index>(), 0..3_u8),
        ) {
            let mut parts = Batch::in_parts(64, 1, FIRST, &records).unwrap().parts;
            prop_assume!(parts.len() > 2);
            // Without the last part there is no damage, but a batch that has not come to its end.
            let at = at.index(parts.len() - 1);
            match how {
                0 => drop(parts.remove(at)),
                1 => parts.insert(at, parts[at].clone()),
                _ => parts.swap(at, at + 1),
            }
            prop_assert!(joined(&parts).is_err());
        }

        #[test]
        fn rubbish_and_what_is_almost_right_never_panics(
            records in some_records(),
            rubbish in vec(any::<u8>(), 0..80),
            changes in vec((any::<Index>(), any::<Index>(), any::<u8>()), 1..6),
        ) {
            // It has no checksum that holds.
            prop_assert!(joined(&[rubbish]).map_or(true, |entries| entries.is_empty()));
            let mut parts = Batch::in_parts(500, 1, FIRST, &records).unwrap().parts;
            for (part, byte, value) in changes {
                let part = part.index(parts.len());
                let byte = byte.index(parts[part].len());
                parts[part][byte] = value;
            }
            if let Ok(entries) = joined(&parts) {
                // Every record has a checksum, so what is read is what was written, or its beginning.
                let read: Vec<Record> = entries.into_iter().map(|entry| entry.record).collect();
                prop_assert!(records.starts_with(&read), "{read:?}");
            }
        }
    }
}
