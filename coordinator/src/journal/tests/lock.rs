//! One process per store.

use super::*;

const LOCK: &str = "store.lock";

#[test]
fn the_second_one_is_told_who_holds_the_store() {
    let (dir, _) = closed(2);
    let path = dir.path().join(LOCK);
    let held = RedbJournal::open(dir.path(), 0).unwrap();
    let content = std::fs::read_to_string(&path).unwrap();
    assert!(content.starts_with(&format!("pid {}\ncommand ", std::process::id())), "{content}");
    let started = content.lines().find_map(|line| line.strip_prefix("started ")).unwrap();
    assert!(humantime::parse_rfc3339(started).is_ok(), "{started}");

    // As the command would have written it.
    std::fs::write(&path, "pid 1234\ncommand ar-coordinator run data.csv\nstarted 2026-01-02T03:04:05Z\n")
        .unwrap();
    let error = RedbJournal::open(dir.path(), 0).unwrap_err();
    assert!(matches!(error, JournalError::InUse { .. }));
    assert_eq!(
        error.to_string(),
        format!(
            "the store in {} is in use by process 1234 (ar-coordinator run data.csv); wait for it to end, or give \
             this run a folder of its own with --out",
            dir.path().display()
        )
    );
    drop(held);
    RedbJournal::open(dir.path(), 0).unwrap();
}

#[test]
fn what_a_dead_process_wrote_is_no_obstacle() {
    let (dir, _) = closed(2);
    std::fs::write(dir.path().join(LOCK), "pid 1\ncommand init\nand more than is written today\n".repeat(9))
        .unwrap();
    let _journal = RedbJournal::open(dir.path(), 0).unwrap();
    let content = std::fs::read_to_string(dir.path().join(LOCK)).unwrap();
    assert_eq!(content.lines().count(), 3, "{content}");
}

#[test]
fn a_holder_that_has_not_signed_yet_is_still_a_holder() {
    let (dir, _) = closed(2);
    let _held = RedbJournal::open(dir.path(), 0).unwrap();
    std::fs::write(dir.path().join(LOCK), "").unwrap();
    let error = RedbJournal::open(dir.path(), 0).unwrap_err();
    assert!(error.to_string().contains("in use by another process"), "{error}");
}

#[cfg(unix)]
#[test]
fn removing_the_lock_file_does_not_let_a_second_one_in() {
    let dir = tempfile::tempdir().unwrap();
    let mut held = filled(dir.path(), 5);
    std::fs::remove_file(dir.path().join(LOCK)).unwrap();
    let error = RedbJournal::open(dir.path(), 0).unwrap_err();
    assert!(matches!(error, JournalError::InUse { .. }), "{error:?}");
    block_on(held.append(Seq(6), samples(6, 1))).unwrap();
}
