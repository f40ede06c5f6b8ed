//! The journal of tests and the simulation behaves as the real one.

use super::super::{Failure, MemoryJournal};
use super::*;

#[test]
fn a_restart_replays_what_was_appended() {
    let mut journal = MemoryJournal::new(INCARNATION);
    block_on(journal.append(Seq(2), samples(2, 4))).unwrap();
    let error = block_on(journal.append(Seq(2), samples(2, 4))).unwrap_err();
    assert!(matches!(error, JournalError::NotNext { expected: Seq(6), got: Seq(2) }), "{error}");
    let mut restarted = journal.reopen();
    assert_eq!(entries(&mut restarted).unwrap(), expected(5));
    assert_eq!(block_on(restarted.replay()).unwrap().incarnation, INCARNATION);
}

#[test]
fn a_failed_append_stops_the_handle_and_keeps_the_store() {
    for (failure, last) in [(Failure::Lost, 3), (Failure::Kept, 5)] {
        let mut journal = MemoryJournal::new(INCARNATION);
        block_on(journal.append(Seq(2), samples(2, 2))).unwrap();
        journal.fail_next(failure);
        assert!(block_on(journal.append(Seq(4), samples(4, 2))).is_err());
        let error = block_on(journal.append(Seq(last + 1), samples(last + 1, 1))).unwrap_err();
        assert!(matches!(error, JournalError::Stopped { .. }), "{error}");
        let mut restarted = journal.reopen();
        assert_eq!(entries(&mut restarted).unwrap(), expected(last));
        block_on(restarted.append(Seq(last + 1), samples(last + 1, 1))).unwrap();
    }
}
