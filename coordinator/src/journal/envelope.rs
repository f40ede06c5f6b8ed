//! One record as bytes: a format byte, a CRC-32, and the record as a MessagePack map with names.
//!
//! The checksum covers the position too, so that a whole record in another's place is noticed.

use ar_common::Seq;
use ar_core::Record;
use serde::Deserialize;

/// The format that this code writes, and the newest that it reads.
pub(super) const FORMAT: u8 = 1;

// Whoever raises the record format decides here how the older one is read.
const _: () = assert!(FORMAT as u32 == Record::FORMAT);

const HEADER: usize = 5;
/// Most maps and arrays within each other in a record: several times what any has. What is deeper was made up, and would overflow
/// the stack.
const DEPTH: usize = 128;

/// Why bytes are no record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// They are not what was written.
    Damaged(String),
    /// They are what was written, by a version that knows more.
    Newer(String),
}

/// Adds the bytes of `record` to `buffer`.
pub(super) fn encode(
    seq: Seq,
    record: &Record,
    buffer: &mut Vec<u8>,
) -> Result<(), rmp_serde::encode::Error> {
    let start = buffer.len();
    buffer.push(FORMAT);
    buffer.extend_from_slice(&[0; HEADER - 1]);
    rmp_serde::encode::write_named(buffer, record)?;
    let checksum = checksum(FORMAT, seq, &buffer[start + HEADER..]);
    buffer[start + 1..start + HEADER].copy_from_slice(&checksum.to_le_bytes());
    Ok(())
}

/// Reads the record at `seq` back.
pub(super) fn decode(seq: Seq, bytes: &[u8]) -> Result<Record, Unreadable> {
    let Some((&[format, a, b, c, d], payload)) = bytes.split_first_chunk::<HEADER>() else {
        return Err(Unreadable::Damaged(format!("it is {} bytes long, too short for a record", bytes.len())));
    };
    if format > FORMAT {
        return Err(Unreadable::Newer(format!("it is of format {format}, known are formats up to {FORMAT}")));
    }
    if format == 0 || checksum(format, seq, payload) != u32::from_le_bytes([a, b, c, d]) {
        return Err(Unreadable::Damaged("its bytes do not match its checksum".to_owned()));
    }
    match read(payload) {
        Ok(Record::StoreMade { format, .. }) if format > Record::FORMAT => Err(Unreadable::Newer(format!(
            "it raises the format to {format}, known are formats up to {}",
            Record::FORMAT
        ))),
        Ok(record) => Ok(record),
        // The checksum holds, so these are the bytes that were written: not damage.
        Err(error) => Err(Unreadable::Newer(unknown(payload, &error))),
    }
}

fn read<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, rmp_serde::decode::Error> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(payload);
    deserializer.set_max_depth(DEPTH);
    T::deserialize(&mut deserializer)
}

pub(super) fn checksum(format: u8, seq: Seq, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[format]);
    hasher.update(&seq.0.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

fn unknown(payload: &[u8], error: &rmp_serde::decode::Error) -> String {
    #[derive(Deserialize)]
    struct Probe {
        kind: String,
    }
    match read::<Probe>(payload) {
        Ok(Probe { kind }) => format!("its kind is `{kind}`: {error}"),
        Err(_) => format!("it has no kind: {error}"),
    }
}
