//! A large study: what it takes in memory, how fast it is replayed, and how soon after a restart the next grant is out.

use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use ar_common::frames::{Hardware, Hello, outcome_digest};
use ar_common::{Epoch, ExperimentId, LeaseSeq, Measures, Outcome, Seq, WorkerId};
use ar_coordinator::actor::{self, Outgoing};
use ar_coordinator::journal::{Journal, RedbJournal};
use ar_core::{Input, Record, State, Timing};
use ar_tests::figures::Figures;

use crate::Failure;
use crate::planner::{Enumerate, planned, study};

/// Records of one append.
const BATCH: usize = 4_096;
/// Records of the journal of the restart figure.
const RECORDS: u64 = 100_000;

pub(crate) async fn measure(experiments: u64, figures: &Figures) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let written = write(folder.path(), experiments).await?;
    let began = Instant::now();
    let mut journal = RedbJournal::open(folder.path(), 1)?;
    let opened = began.elapsed().as_secs_f64();
    let began = Instant::now();
    let state = journal.replay()?;
    let seconds = began.elapsed().as_secs_f64();
    drop(journal);
    figures.tell("records replayed", written as f64 / seconds, "1/s", ">= 300000", &[]);
    figures.note(&format!("opening the store, which checks every page, took {opened:.2} s"));
    // In a process of its own: what the writing left to the allocator is not the state's.
    let program = std::env::current_exe()?;
    let output = std::process::Command::new(program).arg("--replay").arg(folder.path()).output()?;
    let memory: f64 = String::from_utf8_lossy(&output.stdout).trim().parse()?;
    let name = format!("memory of the state of a study of {} experiments", state.experiments.len());
    figures.tell(&name, memory, "MiB", "< 100", &[("HyperQueue", 120.0)]);
    drop(state);
    let small = tempfile::tempdir()?;
    write(small.path(), RECORDS / 3).await?;
    let seconds = restart(small.path()).await?;
    figures.tell(&format!("restart with {RECORDS} records to the next grant"), seconds, "s", "< 1", &[]);
    Ok(())
}

/// Prints the MiB that the state in this folder takes.
pub(crate) fn replay(folder: &std::path::Path) -> Result<(), Failure> {
    let mut journal = RedbJournal::open(folder, 1)?;
    let before = resident()?;
    let state = journal.replay()?;
    drop(journal);
    let memory = resident()?.saturating_sub(before) as f64 / f64::from(1 << 20);
    drop(state);
    writeln!(std::io::stdout(), "{memory}")?;
    Ok(())
}

/// A journal of a study with so many experiments that have ended: three records each but for the plans.
async fn write(folder: &std::path::Path, experiments: u64) -> Result<u64, Failure> {
    let mut journal = RedbJournal::open(folder, 1)?;
    let mut state = journal.replay()?;
    let spec = study();
    let id = spec.id();
    let mut batch = vec![
        Record::Elected { epoch: Epoch(1) },
        Record::Submitted { study: id.clone(), spec: Box::new(spec), tree: ar_common::Digest::of(b"none") },
    ];
    for n in 0..experiments {
        let experiment = ExperimentId(n + 1);
        let plan = ar_core::PlannedExperiment { id: experiment, ..planned(n) };
        let score = n as f64;
        let outcome = Outcome::Done(Measures {
            score: Some(score),
            folds: [score].into(),
            seconds: 1.0,
            ..Measures::default()
        });
        let seq = state.seq.0 + batch.len() as u64 + 2;
        let lease = LeaseSeq { incarnation: 1, seq: Seq(seq) };
        batch.push(Record::Planned { study: id.clone(), as_of: Seq(1), experiments: vec![plan] });
        let (attempt, worker, boot) = (ar_common::Attempt(1), WorkerId("w1".into()), 1);
        batch.push(Record::Granted { experiment, attempt, worker, boot, deadline_ms: 60_000 });
        batch.push(Record::Done {
            experiment,
            lease: Some(lease),
            digest: outcome_digest(&outcome),
            outcome,
        });
        if batch.len() >= BATCH {
            append(&mut journal, &mut state, &mut batch).await?;
        }
    }
    append(&mut journal, &mut state, &mut batch).await?;
    Ok(state.seq.0)
}

async fn append(
    journal: &mut RedbJournal,
    state: &mut State,
    batch: &mut Vec<Record>,
) -> Result<(), Failure> {
    batch.iter().for_each(|record| state.apply(record));
    let first = Seq(state.seq.0 + 1 - batch.len() as u64);
    Ok(journal.append(first, std::mem::take(batch)).await?)
}

/// Seconds from the start of a coordinator over this store to its first grant to a worker that waits.
async fn restart(folder: &std::path::Path) -> Result<f64, Failure> {
    let began = Instant::now();
    let journal = RedbJournal::open(folder, 1)?;
    let planner = Arc::new(Enumerate::starting_at(RECORDS));
    let (handle, actor) = actor::start_with(Box::new(journal), Timing::default(), planner).await?;
    let (session, mut outgoing) = handle.open().await?;
    let hello = Hello {
        worker: WorkerId("w1".into()),
        boot: 2,
        protocol_min: 1,
        protocol_max: 1,
        hardware: Hardware::default(),
        slots: 1,
        leases: Vec::new(),
        spooled: Vec::new(),
        labels: Default::default(),
    };
    handle.input(Input::Hello { session, hello }).await?;
    handle.input(Input::Ready { session, study: study().id(), unavailable: Vec::new() }).await?;
    while let Some(said) = outgoing.recv().await {
        let Outgoing::Frames(_, frames) = said else { break };
        if frames.iter().any(|frame| matches!(frame, ar_common::frames::CoordinatorFrame::Grant(_))) {
            let seconds = began.elapsed().as_secs_f64();
            handle.stop().await;
            actor.await??;
            return Ok(seconds);
        }
    }
    Err("no grant came".into())
}

/// Bytes of memory of this process.
fn resident() -> Result<u64, Failure> {
    let text = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = text.split_ascii_whitespace().nth(1).ok_or("no such form of statm")?.parse()?;
    Ok(pages * 4096)
}
