//! A journal that begins with a snapshot.

use std::fs;

use ar_core::State;

use super::*;
use crate::journal::{Pointer, snapshot};

/// A snapshot of the state after all that is there.
fn compacted(journal: &mut RedbJournal) -> (State, Pointer) {
    let state = journal.replay().unwrap();
    let pointer = journal.snapshots().unwrap().keep(&state).unwrap();
    block_on(journal.compact(pointer.clone())).unwrap();
    (state, pointer)
}

fn trim(journal: &mut RedbJournal) {
    while block_on(journal.trim()).unwrap() {}
}

/// The first record that is still there.
fn first(journal: &RedbJournal) -> u64 {
    let mut first = None;
    journal.store().each_row(&mut |seq| first = first.or(Some(seq)));
    first.unwrap()
}

#[test]
fn a_replay_goes_on_from_the_snapshot_and_older_records_go() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = filled(dir.path(), 10_000);
    let (state, _) = compacted(&mut journal);
    assert_eq!(first(&journal), 1, "until they are removed");
    block_on(journal.append(Seq(10_001), samples(10_001, 5))).unwrap();
    trim(&mut journal);
    assert_eq!(first(&journal), 10_001);
    let (mut whole, live) = (state, journal.replay().unwrap());
    samples(10_001, 5).iter().for_each(|record| whole.apply(record));
    assert_eq!(live.hash(), whole.hash(), "I6");
    drop(journal);
    let mut again = RedbJournal::open_existing(dir.path()).unwrap();
    assert_eq!(again.replay().unwrap().hash(), whole.hash());
    assert_eq!(entries(&mut again).unwrap(), expected(10_005)[10_000..]);
    block_on(again.append(Seq(10_006), samples(10_006, 1))).unwrap();
}

#[test]
fn a_snapshot_of_the_last_record_leaves_that_record() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = filled(dir.path(), 100);
    let (state, _) = compacted(&mut journal);
    trim(&mut journal);
    drop(journal);
    let mut again = RedbJournal::open_existing(dir.path()).unwrap();
    assert_eq!((first(&again), again.replay().unwrap()), (100, state));
    block_on(again.append(Seq(101), samples(101, 1))).unwrap();
}

#[test]
fn a_newer_snapshot_takes_the_place_of_an_older_one_and_the_last_before_it_stays_for_copies_under_way() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = filled(dir.path(), 50);
    let (_, first) = compacted(&mut journal);
    block_on(journal.append(Seq(51), samples(51, 50))).unwrap();
    let (_, second) = compacted(&mut journal);
    let all = journal.snapshots().unwrap();
    assert!(all.load(&first).is_ok() && all.load(&second).is_ok());
    block_on(journal.append(Seq(101), samples(101, 50))).unwrap();
    let (_, third) = compacted(&mut journal);
    assert_eq!(journal.snapshot_at(), third.seq);
    assert!(all.load(&first).is_err() && all.load(&second).is_ok() && all.load(&third).is_ok());
    assert_eq!(fs::read_dir(dir.path().join(snapshot::FOLDER)).unwrap().count(), 2);
}

#[test]
fn a_snapshot_that_is_damaged_or_gone_is_told_and_nothing_is_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = filled(dir.path(), 50);
    compacted(&mut journal);
    trim(&mut journal);
    drop(journal);
    let file = fs::read_dir(dir.path().join(snapshot::FOLDER)).unwrap().next().unwrap().unwrap().path();
    let bytes = fs::read(&file).unwrap();
    for at in [0, 7, 8, bytes.len() / 2, bytes.len() - 1] {
        let mut wrong = bytes.clone();
        wrong[at] ^= 1;
        fs::write(&file, wrong).unwrap();
        let error = RedbJournal::open_existing(dir.path()).unwrap().replay().unwrap_err();
        assert!(matches!(error, JournalError::Snapshot { .. }), "{error}");
    }
    fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    assert!(RedbJournal::open_existing(dir.path()).unwrap().replay().is_err());
    fs::remove_file(&file).unwrap();
    let error = RedbJournal::open_existing(dir.path()).unwrap().replay().unwrap_err().to_string();
    assert!(error.contains("it is gone") && error.contains("restore a backup"), "{error}");
}

#[test]
fn the_name_of_a_snapshot_cannot_lead_elsewhere() {
    for file in ["../x.snapshot", "/etc/x", ".x", "a/b", "a\nb"] {
        let text = format!(
            "{{\"format\":1,\"seq\":1,\"file\":{file:?},\"digest\":\"{}\"}}",
            ar_common::Digest::of(b"")
        );
        assert!(Pointer::from_bytes(text.as_bytes()).is_err(), "{file}");
    }
}

#[test]
fn a_copy_of_a_store_is_known_for_one_until_it_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = filled(dir.path(), 20);
    assert!(!journal.is_restored());
    drop(journal);
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()) {
        fs::copy(&entry, copy.path().join(entry.file_name().unwrap())).unwrap();
    }
    assert!(!RedbJournal::open_existing(dir.path()).unwrap().is_restored());
    assert!(RedbJournal::open_existing(copy.path()).unwrap().is_restored());
    journal = RedbJournal::open_existing(copy.path()).unwrap();
    assert!(journal.is_restored(), "a look is not yet a record");
    block_on(journal.append(Seq(21), vec![Record::StoreMade { format: 1, incarnation: INCARNATION + 1 }]))
        .unwrap();
    drop(journal);
    assert!(!RedbJournal::open_existing(copy.path()).unwrap().is_restored());
}

#[test]
fn a_store_that_was_moved_is_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = filled(dir.path(), 20);
    let state = journal.replay().unwrap();
    journal.leave_for("etcd, cluster c").unwrap();
    let pointer = journal.snapshots().unwrap().keep(&state).unwrap();
    drop(journal);
    let error = RedbJournal::open_existing(dir.path()).unwrap_err().to_string();
    assert!(error.contains("was moved to etcd, cluster c"), "{error}");
    let made = Record::StoreMade { format: 1, incarnation: INCARNATION + 1 };
    RedbJournal::begin_with(dir.path(), &pointer, &made).unwrap();
    assert!(matches!(
        RedbJournal::begin_with(dir.path(), &pointer, &made),
        Err(JournalError::Occupied { .. })
    ));
    let back = RedbJournal::open_existing(dir.path()).unwrap().replay().unwrap();
    assert_eq!((back.seq, back.incarnation), (Seq(21), INCARNATION + 1));
    let aside = |name: &str| std::fs::read(dir.path().join(name)).ok();
    let old = aside("journal.redb.moved").expect("what was there is set aside");
    // As if the move had been cut off before the mark was removed.
    RedbJournal::open_existing(dir.path()).unwrap().leave_for("etcd, cluster c").unwrap();
    RedbJournal::begin_with(dir.path(), &pointer, &made).unwrap();
    assert_eq!(aside("journal.redb.moved"), Some(old), "nothing is written over");
    assert!(aside("journal.redb.moved-2").is_some());
}
