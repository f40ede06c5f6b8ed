//! Reading what a run left in its store.

use std::collections::BTreeMap;
use std::path::Path;

use ar_common::ExperimentId;
use ar_coordinator::journal::RedbJournal;
use ar_core::{Record, State};

/// The records of a store, in order.
///
/// # Panics
/// When the store cannot be opened: the tests rely on that.
pub fn records(out: &Path) -> Vec<Record> {
    let mut journal = RedbJournal::open_existing(&out.join("store")).expect("the store opens");
    let mut records = Vec::new();
    journal.each(&mut |entry| records.push(entry.record)).expect("every record is read");
    records
}

/// The state of a store.
///
/// # Panics
/// When the store cannot be opened: the tests rely on that.
pub fn state(out: &Path) -> State {
    let mut journal = RedbJournal::open_existing(&out.join("store")).expect("the store opens");
    journal.replay().expect("every record is read")
}

/// The fold of records.
pub fn fold(records: &[Record]) -> State {
    let mut state = State::default();
    records.iter().for_each(|record| state.apply(record));
    state
}

/// The ends of experiments, as recorded.
///
/// # Panics
/// When an experiment ended twice, or a lease was granted for one that had ended.
pub fn ends(records: &[Record]) -> BTreeMap<ExperimentId, Record> {
    let mut ends = BTreeMap::new();
    for record in records {
        match record {
            Record::Done { experiment, .. } => {
                let again = ends.insert(*experiment, record.clone());
                assert!(again.is_none(), "experiment {experiment} ended twice");
            }
            Record::Granted { experiment, .. } => {
                assert!(!ends.contains_key(experiment), "experiment {experiment} was granted after its end");
            }
            _ => {}
        }
    }
    ends
}

/// How many records are of the kind that `is` accepts.
pub fn count(records: &[Record], is: impl Fn(&Record) -> bool) -> usize {
    records.iter().filter(|record| is(record)).count()
}
