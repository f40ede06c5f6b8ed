//! A damaged store is an error that says what to do, or reads exactly as it was; never anything else.

use std::fs;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use redb::{Database, Table};

use super::super::envelope;
use super::super::tail::{self, Tail};
use super::*;

const LAST: u64 = 150;

/// The files of a store, as a closed process and as a killed one leave it.
fn images() -> [(&'static str, Vec<u8>, Vec<u8>); 2] {
    let dir = tempfile::tempdir().unwrap();
    let journal = filled(dir.path(), LAST);
    let image =
        || (fs::read(dir.path().join(store::NAME)).unwrap(), fs::read(dir.path().join(tail::NAME)).unwrap());
    let killed = image();
    drop(journal);
    let closed = image();
    [("closed", closed.0, closed.1), ("killed", killed.0, killed.1)]
}

/// Opens a store with this content. Damage is `Err`; anything but damage and the whole content fails.
fn judge(journal: &[u8], tail: &[u8], what: &str) -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(store::NAME), journal).unwrap();
    fs::write(dir.path().join(tail::NAME), tail).unwrap();
    match read(dir.path()) {
        Ok(found) => {
            assert!(found == expected(LAST), "{what}: silently other content, {} records", found.len());
            Ok(())
        }
        Err(error @ JournalError::Damaged { .. }) => {
            // It is not repaired by asking again.
            let again = read(dir.path());
            assert!(matches!(again, Err(JournalError::Damaged { .. })), "{what}: {error}, then {again:?}");
            Err(error.to_string())
        }
        Err(error) => panic!("{what}: {error:?}"),
    }
}

/// The one error, as a person sees it, with the folder cut out.
fn told(dir: &Path) -> String {
    read(dir).unwrap_err().to_string().replace(&dir.display().to_string(), "DIR")
}

const GO_ON: &str = "; restore a backup of the whole folder DIR, or move that folder aside to start over; results of \
                     studies are kept in their own folders";

#[test]
fn a_journal_cut_short_is_damage() {
    for (how, journal, tail) in images() {
        let mut errors = 0;
        // Every few hundred bytes where the structure is, and through the rest.
        let dense = (0..32_768).step_by(509);
        let sparse = (32_768..journal.len()).step_by(journal.len() / 100);
        for length in dense.chain(sparse).chain([1, 4, 63, 64, 319, 320, journal.len() - 1]) {
            errors +=
                usize::from(judge(&journal[..length], &tail, &format!("{how}, {length} bytes")).is_err());
        }
        assert!(errors > 100, "{how}: only {errors} were noticed");
        judge(&journal, &tail, how).unwrap();
    }
}

#[test]
fn a_flipped_byte_is_noticed_or_does_not_matter() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for (how, journal, tail) in images() {
        let used = journal.iter().rposition(|&byte| byte != 0).unwrap();
        let mut errors = 0;
        let header = (0..320).map(|place| (place, 1 << (place % 8)));
        let rest: Vec<_> =
            (0..250).map(|_| (rng.random_range(0..=used), rng.random_range(1..=255u8))).collect();
        for (place, flip) in header.chain(rest) {
            let mut hurt = journal.clone();
            hurt[place] ^= flip;
            errors += usize::from(judge(&hurt, &tail, &format!("{how}, byte {place} ^ {flip:#x}")).is_err());
        }
        assert!(errors > 40, "{how}: only {errors} were noticed");
    }
}

#[test]
fn each_bit_of_the_byte_that_chooses_the_newest_commit_is_guarded() {
    for (how, journal, tail) in images() {
        for bit in 0..8 {
            let mut hurt = journal.clone();
            hurt[9] ^= 1 << bit;
            let _ = judge(&hurt, &tail, &format!("{how}, bit {bit}"));
        }
    }
}

#[test]
fn a_damaged_tail_alone_does_not_matter() {
    let (_, journal, tail) = images().into_iter().next().unwrap();
    for place in 0..tail.len() {
        let mut hurt = tail.clone();
        hurt[place] ^= 0x41;
        judge(&journal, &hurt, &format!("tail, byte {place}")).unwrap();
        judge(&journal, &tail[..place], &format!("tail, {place} bytes")).unwrap();
    }
}

#[test]
fn an_empty_file_is_not_taken_for_a_new_store() {
    let (dir, file) = closed(9);
    fs::write(&file, b"").unwrap();
    assert_eq!(told(dir.path()), format!("DIR/journal.redb is damaged: it is empty{GO_ON}"));
    assert_eq!(fs::read(&file).unwrap(), b"");
}

#[test]
fn a_journal_that_is_gone_is_not_made_anew() {
    let (dir, file) = closed(9);
    fs::remove_file(&file).unwrap();
    let what = "it is gone, though journal.tail beside it says that it was there";
    assert_eq!(told(dir.path()), format!("DIR/journal.redb is damaged: {what}{GO_ON}"));
    assert!(!file.exists());
}

#[test]
fn an_older_journal_beside_a_newer_tail_is_noticed() {
    let (dir, _) = closed(9);
    Tail::open(dir.path()).unwrap().settle(Seq(10)).unwrap();
    let what = "it ends at record 9, but 10 records were acknowledged";
    assert_eq!(told(dir.path()), format!("DIR/journal.redb is damaged: {what}{GO_ON}"));
    // And the tail is not brought down to it.
    assert_eq!(Tail::open(dir.path()).unwrap().read().unwrap(), Some(Seq(10)));
}

#[test]
fn a_foreign_file_is_refused_and_left_alone() {
    let (dir, file) = closed(9);
    let text = b"accuracy,model\n0.9,xgb\n".repeat(400);
    fs::write(&file, &text).unwrap();
    let what = "it does not begin as a journal does";
    assert_eq!(told(dir.path()), format!("DIR/journal.redb is damaged: {what}{GO_ON}"));
    assert_eq!(fs::read(&file).unwrap(), text);
}

#[test]
fn a_database_of_something_else_is_refused() {
    let (dir, file) = closed(9);
    fs::remove_file(&file).unwrap();
    drop(Database::create(&file).unwrap());
    let error = told(dir.path());
    assert!(error.contains("Table 'records' does not exist") && error.ends_with(GO_ON), "{error}");
}

/// A closed store with nine records, after `change` was made to its table.
fn changed(change: impl FnOnce(&mut Table<'_, u64, &'static [u8]>)) -> TempDir {
    let (dir, file) = closed(9);
    let database = Database::open(file).unwrap();
    let transaction = database.begin_write().unwrap();
    change(&mut transaction.open_table(store::RECORDS).unwrap());
    transaction.commit().unwrap();
    dir
}

fn bytes_of(seq: u64, record: &Record) -> Vec<u8> {
    let mut bytes = Vec::new();
    envelope::encode(Seq(seq), record, &mut bytes).unwrap();
    bytes
}

#[test]
fn a_gap_is_noticed() {
    let dir = changed(|table| drop(table.remove(5).unwrap()));
    let what = "it is missing, and record 6 is there in its place";
    assert_eq!(told(dir.path()), format!("DIR/journal.redb is damaged at record 5: {what}{GO_ON}"));
    let dir = changed(|table| drop(table.insert(0, bytes_of(0, &sample(2)).as_slice()).unwrap()));
    let what = "it is missing, and record 0 is there in its place";
    assert_eq!(told(dir.path()), format!("DIR/journal.redb is damaged at record 1: {what}{GO_ON}"));
}

#[test]
fn a_record_that_is_not_what_was_written_is_noticed() {
    let whole = bytes_of(5, &sample(5));
    let mut flipped = whole.clone();
    flipped[20] ^= 1;
    let mismatch = "its bytes do not match its checksum";
    let cases = [
        (flipped, mismatch),
        (whole[..whole.len() - 1].to_vec(), mismatch),
        // A whole record, from elsewhere.
        (bytes_of(6, &sample(6)), mismatch),
        (whole[..3].to_vec(), "it is 3 bytes long, too short for a record"),
        (Vec::new(), "it is 0 bytes long, too short for a record"),
    ];
    for (bytes, what) in cases {
        let dir = changed(|table| drop(table.insert(5, bytes.as_slice()).unwrap()));
        assert_eq!(told(dir.path()), format!("DIR/journal.redb is damaged at record 5: {what}{GO_ON}"));
    }
}

#[test]
fn a_journal_that_does_not_begin_with_its_making_is_damage() {
    let dir = changed(|table| drop(table.insert(1, bytes_of(1, &sample(2)).as_slice()).unwrap()));
    assert!(told(dir.path()).contains("damaged at record 1: it does not say how the store was made"));
}

#[test]
fn what_a_newer_version_wrote_asks_for_an_upgrade() {
    let mut later = bytes_of(9, &sample(9));
    later[0] = envelope::FORMAT + 1;
    let raised = Record::StoreMade { format: Record::FORMAT + 1, incarnation: 1 };
    let unknown = super::golden::envelope_of(9, &serde_json::json!({"kind": "Dreamt", "of": "sheep"}));
    let cases = [
        (later, "it is of format 2, known are formats up to 1"),
        (bytes_of(9, &raised), "it raises the format to 2, known are formats up to 1"),
        (unknown, "its kind is `Dreamt`: unknown variant `Dreamt`"),
    ];
    for (bytes, what) in cases {
        let dir = changed(|table| drop(table.insert(9, bytes.as_slice()).unwrap()));
        let error = told(dir.path());
        let start = "DIR/journal.redb was written by a newer version of ar-coordinator: record 9 cannot be read by this one (";
        assert!(error.starts_with(&format!("{start}{what}")), "{error}");
        assert!(error.ends_with("); upgrade, and run the same command again"), "{error}");
    }
}
