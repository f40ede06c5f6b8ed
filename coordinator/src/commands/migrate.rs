//! `migrate`: moves a store between a folder and etcd.
//!
//! What is moved is the state, as a snapshot, and not the journal: the new store begins with it. It has an incarnation of its own, so
//! that no lease of the old store is taken for one of the new. The old one stays as it was, with a mark that says where to go.

use std::path::Path;
use std::time::Duration;

use ar_common::Seq;
use ar_core::{Record, State};

use super::output::{complain, say};
use super::place::{Place, PlaceError};
use super::serve::{self, ServeError};
use crate::cli::{MigrateArgs, StorePlace};
use crate::election::{Candidate, ElectionSettings, Leadership};
use crate::etcd::{Etcd, EtcdError};
use crate::exit::Exit;
use crate::journal::{EtcdJournal, Journal, JournalError, RedbJournal, Snapshots};

/// Of the leader's key while this command holds it.
const TTL: Duration = Duration::from_secs(10);
/// A coordinator that leads keeps its key alive; a dead one's is gone after its ttl.
const WAIT: Duration = Duration::from_secs(20);

/// Why a store is not moved.
#[derive(Debug, thiserror::Error)]
enum MigrateError {
    #[error("say where etcd is: --etcd http://HOST:2379")]
    NoEtcd,
    #[error(
        "a coordinator leads cluster `{0}`; stop all of its coordinators, and run the same command again"
    )]
    Led(String),
    #[error(
        "cluster `{0}` has a journal in etcd already, so nothing was moved; name another with --cluster, or remove its keys \
         (etcdctl del --prefix /autoresearch/{0}/) if nobody needs them"
    )]
    Occupied(String),
    #[error("cluster `{0}` has no journal in etcd; there is nothing to move")]
    Empty(String),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Etcd(#[from] EtcdError),
}

impl MigrateError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoEtcd | Self::Led(_) | Self::Occupied(_) | Self::Empty(_) | Self::Place(_) => {
                Exit::BadInput
            }
            Self::Etcd(EtcdError::Settings { .. }) => Exit::BadInput,
            Self::Journal(
                JournalError::NoStore { .. }
                | JournalError::Moved { .. }
                | JournalError::MovedFromEtcd { .. }
                | JournalError::Occupied { .. },
            ) => Exit::BadInput,
            Self::Serve(error) => error.exit(),
            Self::Journal(_) | Self::Etcd(_) => Exit::Store,
        }
    }
}

/// Runs the command.
pub(super) async fn migrate(args: MigrateArgs) -> Exit {
    match execute(&args).await {
        Ok(()) => Exit::Done,
        Err(error) => {
            complain(&error.to_string());
            error.exit()
        }
    }
}

async fn execute(args: &MigrateArgs) -> Result<(), MigrateError> {
    if args.etcd.endpoints.is_empty() {
        return Err(MigrateError::NoEtcd);
    }
    let etcd = Etcd::connect(serve::etcd_settings(&args.etcd)?).await?;
    match args.to {
        StorePlace::Etcd => to_etcd(args, etcd).await,
        StorePlace::Folder => to_folder(args, etcd).await,
    }
}

async fn to_etcd(args: &MigrateArgs, mut etcd: Etcd) -> Result<(), MigrateError> {
    if !args.out.join("store").is_dir() {
        return Err(JournalError::NoStore { dir: args.out.join("store") }.into());
    }
    let place = Place::open(&args.out, None)?;
    // Held to the end: no coordinator goes on with it meanwhile.
    let mut from = RedbJournal::open_existing(&place.folder())?;
    let state = from.replay()?;
    let leadership = lead(args, &etcd).await?;
    let snapshots = place.snapshots(&args.etcd.cluster, None);
    let mut to = EtcdJournal::open(&etcd, &leadership, &snapshots, None).await?;
    if to.last() != Seq(0) && !is_copy(&to.replay().await?, &state) {
        let _ = leadership.resign().await;
        return Err(MigrateError::Occupied(args.etcd.cluster.clone()));
    }
    let name = serve::name_of(&place.folder())?;
    if etcd.folder(&name).await? != name {
        return Err(
            ServeError::NotShared { cluster: args.etcd.cluster.clone(), out: args.out.clone() }.into()
        );
    }
    // Two steps, of which an earlier try that was cut off may have made the first, or both.
    if to.last() == Seq(0) {
        let snapshot = snapshots.keep(&state)?;
        to.begin_with(&snapshot).await?;
    }
    if to.last() == state.seq {
        to.append(state.seq.next(), vec![made(&state)]).await?;
    }
    let there = format!("etcd, cluster {}", args.etcd.cluster);
    from.leave_for(&there)?;
    drop(from);
    let _ = leadership.resign().await;
    tell(&state, &there);
    Ok(())
}

async fn to_folder(args: &MigrateArgs, etcd: Etcd) -> Result<(), MigrateError> {
    let leadership = lead(args, &etcd).await?;
    let place = Place::open(&args.out, None)?;
    let snapshots = place.snapshots(&args.etcd.cluster, None);
    let mut from = EtcdJournal::open(&etcd, &leadership, &snapshots, None).await?;
    if from.last() == Seq(0) {
        let _ = leadership.resign().await;
        return Err(MigrateError::Empty(args.etcd.cluster.clone()));
    }
    let state = from.replay().await?;
    let snapshot = Snapshots::of(&place.folder()).keep(&state)?;
    match RedbJournal::begin_with(&place.folder(), &snapshot, &made(&state)) {
        Err(JournalError::Occupied { .. }) if holds_copy(&place.folder(), &state)? => {}
        begun => begun?,
    }
    from.leave_for(&format!("the folder {}", place.folder().display())).await?;
    let _ = leadership.resign().await;
    tell(&state, &format!("the folder {}", args.out.display()));
    Ok(())
}

/// Leads, so that nobody else writes. A cluster that somebody leads is in use.
async fn lead(args: &MigrateArgs, etcd: &Etcd) -> Result<Leadership, MigrateError> {
    let url = "a store that is being moved".to_owned();
    let mut candidate = Candidate::new(etcd, ElectionSettings { url, ttl: TTL, patience: TTL });
    match tokio::time::timeout(WAIT, candidate.campaign()).await {
        Ok(leadership) => Ok(leadership?),
        Err(_) => Err(MigrateError::Led(args.etcd.cluster.clone())),
    }
}

/// Whether this is what a move made of `state`, and nothing since: it was cut off before the old store had its mark.
fn is_copy(there: &State, state: &State) -> bool {
    let after = [state.seq, state.seq.next()].contains(&there.seq);
    after && State { seq: state.seq, incarnation: state.incarnation, ..there.clone() } == *state
}

fn holds_copy(folder: &Path, state: &State) -> Result<bool, JournalError> {
    Ok(is_copy(&RedbJournal::open_existing(folder)?.replay()?, state))
}

/// The first record of the new store.
fn made(state: &State) -> Record {
    let incarnation = State::next_incarnation(state.incarnation, rand::random());
    Record::StoreMade { format: Record::FORMAT, incarnation }
}

fn tell(state: &State, to: &str) {
    let (studies, experiments) = (state.studies.len(), state.experiments.len());
    say(&format!("moved     {studies} studies with {experiments} experiments to {to}"));
    say("kept      what was moved stays where it was, with a mark; blobs, tokens and results stay in --out");
}
