//! What was appended is there, in order, whole; what could not be is not half there.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::{Context, Poll, Waker};

use ar_common::Epoch;

use super::backends::{Full, Slow};
use super::*;
use crate::journal::lock::StoreLock;

#[test]
fn a_new_store_says_how_it_was_made_and_keeps_its_incarnation() {
    let dir = tempfile::tempdir().unwrap();
    let state = RedbJournal::open(dir.path(), 7).unwrap().replay().unwrap();
    assert_eq!((state.seq, state.incarnation), (Seq(1), 7));
    let again = RedbJournal::open(dir.path(), 8).unwrap().replay().unwrap();
    assert_eq!(again, state);
}

#[test]
fn records_are_there_after_a_restart_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = filled(dir.path(), 500);
    assert_eq!(entries(&mut journal).unwrap(), expected(500));
    drop(journal);
    assert_eq!(entries(&mut RedbJournal::open_existing(dir.path()).unwrap()).unwrap(), expected(500));
}

#[test]
fn replay_folds_what_was_appended() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = RedbJournal::open(dir.path(), 7).unwrap();
    block_on(journal.append(Seq(2), vec![Record::Elected { epoch: Epoch(3) }])).unwrap();
    let state = journal.replay().unwrap();
    assert_eq!((state.seq, state.incarnation, state.epoch), (Seq(2), 7, Epoch(3)));
}

#[test]
fn a_position_that_does_not_follow_is_refused_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = filled(dir.path(), 5);
    for wrong in [0, 4, 5, 7] {
        let error = block_on(journal.append(Seq(wrong), samples(6, 2))).unwrap_err();
        let (expected, got) = (Seq(6), Seq(wrong));
        assert!(
            matches!(error, JournalError::NotNext { expected: e, got: g } if (e, g) == (expected, got)),
            "{error}"
        );
    }
    block_on(journal.append(Seq(6), Vec::new())).unwrap();
    block_on(journal.append(Seq(6), samples(6, 1))).unwrap();
    assert_eq!(entries(&mut journal).unwrap(), expected(6));
}

#[test]
fn an_existing_store_is_asked_for_where_there_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("inner");
    let error = RedbJournal::open_existing(&inner).unwrap_err();
    assert!(matches!(error, JournalError::NoStore { .. }), "{error}");
    assert!(!inner.exists(), "looking for a store must not make one");
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("a/store");
    drop(filled(&inner, 3));
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&dir.path().join("a")), mode(&inner)), (0o700, 0o700));
    let files: Vec<_> = inner.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 4, "{files:?}");
    assert!(files.iter().all(|file| mode(file) == 0o600), "{files:?}");
}

#[test]
fn a_store_that_was_being_made_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(store::UNFINISHED), b"half of it").unwrap();
    drop(filled(dir.path(), 3));
    assert_eq!(read(dir.path()).unwrap(), expected(3));
    assert!(!dir.path().join(store::UNFINISHED).exists());
}

#[test]
fn a_full_disk_is_told_and_takes_nothing_that_was_acknowledged() {
    let (dir, file) = closed(40);
    let (backend, full) = Full::over(&file);
    let mut journal =
        RedbJournal::over(Store::of(backend, file).into(), dir.path(), StoreLock::take(dir.path()).unwrap())
            .unwrap();
    block_on(journal.append(Seq(41), samples(41, 3))).unwrap();
    full.set(true);
    let error = block_on(journal.append(Seq(44), samples(44, 9))).unwrap_err();
    assert!(matches!(error, JournalError::NoSpace { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!(
            "no space left in {}; free some and run the same command again: nothing acknowledged is lost",
            dir.path().display()
        )
    );
    // Even with space again: what is durable is not known.
    full.set(false);
    let error = block_on(journal.append(Seq(44), samples(44, 1))).unwrap_err();
    assert!(matches!(error, JournalError::Stopped { .. }), "{error:?}");
    drop(journal);
    let found = read(dir.path()).unwrap();
    assert!(found == expected(43) || found == expected(52), "{} records", found.len());
}

#[test]
fn a_slow_disk_does_not_hold_up_the_runtime() {
    let (dir, file) = closed(4);
    let (backend, disk) = Slow::over(&file);
    let mut journal =
        RedbJournal::over(Store::of(backend, file).into(), dir.path(), StoreLock::take(dir.path()).unwrap())
            .unwrap();
    let held = disk.hold();
    let mut append = journal.append(Seq(5), samples(5, 1));
    let polled = append.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Pending), "acknowledged before the disk had it");
    drop(held);
    block_on(append).unwrap();
    assert_eq!(entries(&mut journal).unwrap(), expected(5));
}

#[test]
fn records_stay_when_nobody_waits_for_them() {
    let (dir, file) = closed(4);
    let (backend, disk) = Slow::over(&file);
    let mut journal =
        RedbJournal::over(Store::of(backend, file).into(), dir.path(), StoreLock::take(dir.path()).unwrap())
            .unwrap();
    let held = disk.hold();
    {
        let mut append = journal.append(Seq(5), samples(5, 2));
        let polled = append.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
    }
    drop(held);
    drop(journal);
    assert_eq!(read(dir.path()).unwrap(), expected(6));
}

#[test]
fn a_panic_of_the_visitor_is_not_taken_for_damage() {
    let (dir, _) = closed(3);
    let mut journal = RedbJournal::open(dir.path(), 0).unwrap();
    // Resumed, so that no hook prints it.
    let visit = AssertUnwindSafe(|| journal.each(&mut |_| resume_unwind(Box::new("of the visitor"))));
    assert!(catch_unwind(visit).is_err());
    assert_eq!(entries(&mut journal).unwrap(), expected(3));
}
