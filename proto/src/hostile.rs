//! What a peer may send that means harm, or is broken: rubbish, and messages that are almost right.

use ar_common::Epoch;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use prost::Message;

use crate::{convert_coordinator, convert_worker, v1};
use crate::{coordinator_message, read_coordinator_message, read_worker_message, worker_message};

/// Valid bytes with a few of them changed, taken out, or said twice, and perhaps cut short.
fn mutated(valid: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let changes = vec((any::<Index>(), any::<u8>(), 0..4_u8), 1..6);
    (changes, any::<Index>(), any::<bool>()).prop_map(move |(changes, end, cut)| {
        let mut bytes = valid.clone();
        for (at, byte, how) in changes {
            let at = at.index(bytes.len().max(1)).min(bytes.len());
            match how {
                0 => bytes.insert(at, byte),
                1 => drop(bytes.splice(at..bytes.len().min(at + usize::from(byte % 16)), [])),
                2 => bytes.extend_from_within(at..),
                _ => bytes.iter_mut().skip(at).take(1).for_each(|old| *old = byte),
            }
        }
        bytes.truncate(if cut { end.index(bytes.len() + 1) } else { bytes.len() });
        bytes
    })
}

fn from_worker() -> Vec<u8> {
    worker_message(&convert_worker::tests::frames()).encode_to_vec()
}

fn from_coordinator() -> Vec<u8> {
    coordinator_message(Epoch(4), &convert_coordinator::tests::frames()).encode_to_vec()
}

/// A message is refused, or means something that can be said again.
fn worker_reads(bytes: &[u8]) -> bool {
    let Ok(message) = v1::WorkerMessage::decode(bytes) else { return false };
    let Ok(frames) = read_worker_message(message) else { return false };
    let again = v1::WorkerMessage::decode(worker_message(&frames).encode_to_vec().as_slice()).unwrap();
    // Compared as text: what is no number is not equal to itself.
    assert_eq!(format!("{:?}", read_worker_message(again).unwrap()), format!("{frames:?}"));
    true
}

fn coordinator_reads(bytes: &[u8]) -> bool {
    let Ok(message) = v1::CoordinatorMessage::decode(bytes) else { return false };
    let Ok((epoch, frames)) = read_coordinator_message(message) else { return false };
    let again = coordinator_message(epoch, &frames).encode_to_vec();
    let again = v1::CoordinatorMessage::decode(again.as_slice()).unwrap();
    let said = format!("{:?}", read_coordinator_message(again).unwrap());
    assert_eq!(said, format!("{:?}", (epoch, frames)));
    true
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rubbish_never_panics(bytes in vec(any::<u8>(), 0..400)) {
        worker_reads(&bytes);
        coordinator_reads(&bytes);
    }

    #[test]
    fn a_worker_s_message_that_is_almost_right_is_refused_or_means_something(bytes in mutated(from_worker())) {
        worker_reads(&bytes);
    }

    #[test]
    fn a_coordinator_s_message_that_is_almost_right_is_refused_or_means_something(
        bytes in mutated(from_coordinator()),
    ) {
        coordinator_reads(&bytes);
    }
}

/// What is tested above is not only refused.
#[test]
fn valid_messages_are_read() {
    assert!(worker_reads(&from_worker()) && coordinator_reads(&from_coordinator()));
}

/// One that says of itself that it is larger than memory is refused before anything is set aside for it.
#[test]
fn a_length_that_is_a_lie_is_refused() {
    for length in [u64::MAX, u64::from(u32::MAX), 1 << 40] {
        // Field 1, of bytes, and their length.
        let mut bytes = vec![0x0a];
        prost::encoding::encode_varint(length, &mut bytes);
        bytes.extend([0; 64]);
        assert!(!worker_reads(&bytes) && !coordinator_reads(&bytes));
    }
}
