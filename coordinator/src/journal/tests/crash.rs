//! What was acknowledged survives: a process that is killed, and a power cut.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use redb::Builder;

use super::super::tail::{self, Tail};
use super::backends::Fragile;
use super::*;
use crate::journal::lock::StoreLock;

const STORE: &str = "AR_TEST_JOURNAL_STORE";
const KILLS: usize = 20;

/// The process that is killed: appends for ever, and says what was acknowledged.
#[test]
#[ignore = "run by `every_acknowledged_record_survives_kill_9` as a process of its own"]
fn child() {
    let Some(dir) = std::env::var_os(STORE).map(PathBuf::from) else {
        return;
    };
    let mut journal = RedbJournal::open(&dir, INCARNATION).unwrap();
    let mut next = journal.replay().unwrap().seq.0 + 1;
    loop {
        let count = next * 31 % 13 + 1;
        block_on(journal.append(Seq(next), samples(next, count))).unwrap();
        next += count;
        let mut out = std::io::stdout().lock();
        writeln!(out, "\nacknowledged {}", next - 1).unwrap();
        out.flush().unwrap();
    }
}

/// Starts the child, kills it after `lines` acknowledgements, and returns the last one that it gave.
fn kill_after(dir: &Path, lines: usize) -> u64 {
    let name = module_path!().split_once("::").unwrap().1;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([&format!("{name}::child"), "--exact", "--ignored", "--nocapture"])
        .env(STORE, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut said = said.filter_map(|line| line.strip_prefix("acknowledged ")?.parse::<u64>().ok());
    let mut last = said.by_ref().nth(lines).expect("the child ended by itself");
    child.kill().unwrap();
    // What it said before it noticed counts too.
    last = said.last().unwrap_or(last);
    assert!(!child.wait().unwrap().success());
    last
}

#[test]
fn every_acknowledged_record_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let mut unclean = 0;
    for round in 0..KILLS {
        let acknowledged = kill_after(dir.path(), rng.random_range(0..40));
        let found = read(dir.path()).unwrap();
        assert!(found.len() as u64 >= acknowledged, "{} of {acknowledged} left in {round}", found.len());
        assert_eq!(found, expected(found.len() as u64), "round {round}");
        unclean += usize::from(found.len() as u64 > acknowledged);
    }
    // Not asserted on: how often the kill fell between a commit and its acknowledgement.
    println!("{unclean} of {KILLS} kills came after a commit that was not acknowledged");
}

#[test]
fn every_acknowledged_record_survives_a_power_cut() {
    let (dir, file) = closed(30);
    let disk = Fragile::with(std::fs::read(&file).unwrap(), 4);
    let database = Builder::new().create_with_backend(disk.clone()).unwrap();
    let mut journal =
        RedbJournal::over(Store::of(database, file).into(), dir.path(), StoreLock::take(dir.path()).unwrap())
            .unwrap();
    let mut acknowledged = 30;
    let (mut before, mut after) = (0, 0);
    disk.cuts();
    for count in [1, 3, 200, 1, 40, 2, 1, 1, 90, 5] {
        let first = acknowledged + 1;
        block_on(journal.append(Seq(first), samples(first, count))).unwrap();
        for image in disk.cuts() {
            let cut = tempfile::tempdir().unwrap();
            std::fs::write(cut.path().join(store::NAME), image).unwrap();
            Tail::open(cut.path()).unwrap().settle(Seq(acknowledged)).unwrap();
            let found = read(cut.path()).unwrap();
            let whole = acknowledged + count;
            assert!([acknowledged, whole].contains(&(found.len() as u64)), "half a batch: {}", found.len());
            assert_eq!(found, expected(found.len() as u64));
            let side = if found.len() as u64 == whole { &mut after } else { &mut before };
            *side += 1;
        }
        acknowledged += count;
    }
    assert!(before > 0 && after > 0, "no cut fell on one side: {before} before, {after} after the commit");
}

#[test]
fn the_tail_says_what_was_acknowledged_before_it_is_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let _journal = filled(dir.path(), 20);
    // Not closed: as a killed process leaves it.
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(dir.path().join(tail::NAME), copy.path().join(tail::NAME)).unwrap();
    assert_eq!(Tail::open(copy.path()).unwrap().read().unwrap(), Some(Seq(20)));
}
