//! Bytes that were never written: rubbish, and records that are almost right, whose checksum may hold.

use ar_common::Seq;
use ar_core::State;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::records;
use crate::journal::envelope;

const SEQ: Seq = Seq(7);
/// Format and checksum.
const HEADER: usize = 5;

fn encoded() -> Vec<Vec<u8>> {
    let encode = |record| {
        let mut bytes = Vec::new();
        envelope::encode(SEQ, &record, &mut bytes).unwrap();
        bytes
    };
    records::all().into_iter().map(encode).collect()
}

/// A record with some of its bytes changed, taken out, or said twice.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let changes = vec((any::<Index>(), any::<u8>(), 0..4_u8), 1..6);
    (select(encoded()), changes).prop_map(|(mut bytes, changes)| {
        for (at, byte, how) in changes {
            let at = at.index(bytes.len().max(1)).min(bytes.len());
            match how {
                0 => bytes.insert(at, byte),
                1 => drop(bytes.splice(at..bytes.len().min(at + usize::from(byte % 16)), [])),
                2 => bytes.extend_from_within(at..),
                _ => bytes.iter_mut().skip(at).take(1).for_each(|old| *old = byte),
            }
        }
        bytes
    })
}

/// The same with a checksum that holds, as whoever writes into a store on purpose would have it.
fn sealed(payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![envelope::FORMAT; HEADER];
    let checksum = envelope::checksum(envelope::FORMAT, SEQ, payload);
    bytes[1..].copy_from_slice(&checksum.to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// It is refused, or it is a record that can be written and folded.
fn is_read(bytes: &[u8]) -> bool {
    let Ok(record) = envelope::decode(SEQ, bytes) else { return false };
    let mut again = Vec::new();
    envelope::encode(SEQ, &record, &mut again).unwrap();
    let reread = envelope::decode(SEQ, &again).unwrap();
    // Compared as text: what is no number is not equal to itself.
    assert_eq!(format!("{reread:?}"), format!("{record:?}"));
    State::default().apply(&record);
    true
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rubbish_is_refused(bytes in vec(any::<u8>(), 0..400)) {
        prop_assert!(!is_read(&bytes));
    }

    #[test]
    fn a_record_that_was_changed_is_refused(bytes in mutated()) {
        let changed = !encoded().contains(&bytes);
        prop_assert!(!(changed && is_read(&bytes)));
    }

    #[test]
    fn a_payload_that_was_made_up_is_refused_or_means_something(bytes in mutated()) {
        is_read(&sealed(bytes.get(HEADER..).unwrap_or_default()));
    }

    #[test]
    fn rubbish_with_a_checksum_is_refused_or_means_something(bytes in vec(any::<u8>(), 0..400)) {
        is_read(&sealed(&bytes));
    }
}

/// What is tested above is not only refused.
#[test]
fn what_was_written_is_read() {
    assert!(encoded().iter().all(|bytes| is_read(bytes) && is_read(&sealed(&bytes[HEADER..]))));
}

/// One that says that it holds more than memory does is refused before anything is set aside for it.
#[test]
fn a_length_that_is_a_lie_is_refused() {
    // A map, an array, a text and bytes of 4 billion, and maps within maps.
    for start in [0xdf, 0xdd, 0xdb, 0xc6] {
        let mut payload = vec![start, 0xff, 0xff, 0xff, 0xff];
        payload.extend(b"\xa4kind\xa9StoreMade");
        assert!(!is_read(&sealed(&payload)));
    }
    assert!(!is_read(&sealed(&[0x81; 1 << 20])), "no stack is deep enough for that");
}
