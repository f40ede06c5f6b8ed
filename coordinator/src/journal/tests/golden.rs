//! What earlier versions wrote is read today, and what today writes is what they read.
//!
//! `journal-v1.bin` holds each record as in the store, after its length in 4 little-endian bytes;
//! `journal-v1.json` holds the same records for people. Files of a format that was released are
//! never written again.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::envelope;
use super::*;

fn golden(extension: &str) -> PathBuf {
    let name = format!("journal-v{}.{extension}", envelope::FORMAT);
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn numbered(records: &[Record]) -> impl Iterator<Item = (Seq, &Record)> {
    (1..).map(Seq).zip(records)
}

fn written(records: &[Record]) -> Vec<u8> {
    let mut file = Vec::new();
    for (seq, record) in numbered(records) {
        let mut bytes = Vec::new();
        envelope::encode(seq, record, &mut bytes).unwrap();
        file.extend_from_slice(&u32::try_from(bytes.len()).unwrap().to_le_bytes());
        file.append(&mut bytes);
    }
    file
}

/// Any map as if it were a record at `seq`.
pub(super) fn envelope_of(seq: u64, record: &Value) -> Vec<u8> {
    let payload = rmp_serde::to_vec_named(record).unwrap();
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[envelope::FORMAT]);
    hasher.update(&seq.to_le_bytes());
    hasher.update(&payload);
    [&[envelope::FORMAT][..], &hasher.finalize().to_le_bytes(), &payload].concat()
}

#[test]
fn the_golden_file_is_read_as_the_records_that_it_was_written_from() {
    let file = std::fs::read(golden("bin")).unwrap();
    let mut rest = file.as_slice();
    let mut found = Vec::new();
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let (bytes, tail) = tail.split_at(u32::from_le_bytes(*length) as usize);
        let seq = Seq(found.len() as u64 + 1);
        found.push(envelope::decode(seq, bytes).unwrap());
        rest = tail;
    }
    assert_eq!(found, records::all());
    let shown: Vec<Record> = serde_json::from_slice(&std::fs::read(golden("json")).unwrap()).unwrap();
    assert_eq!(shown, records::all());
}

#[test]
fn today_writes_the_bytes_of_the_golden_file() {
    let file = std::fs::read(golden("bin")).unwrap();
    assert!(written(&records::all()) == file, "the bytes of format {} have changed", envelope::FORMAT);
}

#[test]
fn every_kind_is_in_the_golden_file() {
    let kinds: BTreeSet<_> = records::all().iter().map(records::kind).collect();
    assert_eq!(kinds.len(), records::KINDS, "{kinds:?}");
    // The names in the code are the names in the journal.
    for record in records::all() {
        assert_eq!(serde_json::to_value(&record).unwrap()["kind"], records::kind(&record));
    }
}

#[test]
fn a_field_that_is_not_known_is_passed_over() {
    let value = json!({"epoch": 7, "since": {"a": [1, 2.5, null]}, "kind": "Elected"});
    let record = envelope::decode(Seq(3), &envelope_of(3, &value)).unwrap();
    assert_eq!(record, Record::Elected { epoch: ar_common::Epoch(7) });
}

#[test]
fn what_was_written_but_is_not_understood_is_newer_not_damaged() {
    let cases = [
        (json!({"kind": "Elected"}), "its kind is `Elected`: missing field `epoch`"),
        (json!({"epoch": 7}), "it has no kind: "),
        (json!(7), "it has no kind: "),
    ];
    for (value, what) in cases {
        match envelope::decode(Seq(3), &envelope_of(3, &value)) {
            Err(envelope::Unreadable::Newer(text)) => assert!(text.starts_with(what), "{text}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_race_and_what_was_expected_are_journaled_by_these_names() {
    let (accuracy, _) = ar_common::Metric::tabular("accuracy").unwrap();
    let race = ar_common::Race::against(&accuracy, &[0.5, 0.25, 0.75]).map(Box::new);
    let planned =
        ar_core::PlannedExperiment { race, expected_gain: Some(0.5), ..records::planned().remove(0) };
    let value = serde_json::to_value(&planned).unwrap();
    let metric = json!({"name": "accuracy", "direction": "maximize", "low": 0.0, "high": 1.0});
    assert_eq!(value["expected_gain"], json!(0.5));
    assert_eq!(value["race"], json!({"metric": metric, "incumbent": [0.5, 0.25, 0.75], "least_folds": 2}));
    let bytes = rmp_serde::to_vec_named(&planned).unwrap();
    assert_eq!(rmp_serde::from_slice::<ar_core::PlannedExperiment>(&bytes).unwrap(), planned);
}

/// Writes the golden files of a format that is not released yet.
#[test]
#[ignore = "run by hand, with --ignored, after the record format was raised"]
fn write_golden_files() {
    let records = records::all();
    let mut shown = serde_json::to_string_pretty(&records).unwrap();
    shown.push('\n');
    std::fs::write(golden("bin"), written(&records)).unwrap();
    std::fs::write(golden("json"), shown).unwrap();
}
