//! `run`: a study from its input to its results, on one machine. The composition root: it opens the
//! store, starts the coordinator and a local worker, and watches the study to its end.

mod branch;
mod promote;
mod watch;

use std::io;
use std::path::{Path, PathBuf};

use ar_common::StudyId;
use ar_core::{Finish, Input, State};
use ar_net::{BlobError, Role};
use tokio::net::TcpListener;

use super::output::{Console, complain, say};
use super::place::{Place, PlaceError};
use super::show::{self, Slots};
use crate::actor::{self, ActorError, Ended, Handle};
use crate::archive::{self, ArchivingError};
use crate::blobs::{Sweeper, UNREFERENCED};
use crate::cli::RunArgs;
use crate::exit::Exit;
use crate::intake::{self, Intake, IntakeError, Subject};
use crate::journal::{Journal, JournalError};
use crate::local::{self, LocalWorker, TooFewGpus};
use crate::results::{self, Report};
use crate::{listener, rpc, summary, telemetry};

use crate::publish::Publisher;
use branch::{BranchError, Repository};
pub(super) use promote::promote;
use watch::{Ending, Watch};

/// How many of the commonest errors are told when nothing succeeded.
const ERRORS: usize = 3;

/// Why a run did not end with results.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error(transparent)]
    Intake(#[from] IntakeError),
    #[error("cannot write the study as TOML: {0}; this is a bug, please report it")]
    Toml(#[from] toml::ser::Error),
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error(transparent)]
    Gpus(#[from] TooFewGpus),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Archive(#[from] ArchivingError),
    #[error(transparent)]
    Actor(#[from] ActorError),
    #[error("{0}")]
    NotReady(String),
    #[error("the local worker ended {times} times in a row{said}; its log is {}", log.display())]
    Worker { times: u32, said: String, log: PathBuf },
    #[error("{0}")]
    WorkerFolder(String),
    #[error("cannot start the local worker: {0}")]
    Start(io::Error),
    #[error("cannot listen on this machine's loopback address: {0}")]
    Listen(io::Error),
    #[error("cannot write the results to {} ({source}); the store has them: free the folder and run the same command again", path.display())]
    Results { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Find(#[from] results::FindError),
    #[error("the store has no study `{0}`, only its results; run it again")]
    NotInStore(String),
    #[error("`{0}` has not ended; run it to its end first, by the same command")]
    NotEnded(String),
    #[error(transparent)]
    Branch(#[from] BranchError),
    #[error(transparent)]
    Ended(#[from] Ended),
    #[error("an internal task ended: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl RunError {
    fn exit(&self) -> Exit {
        match self {
            Self::Intake(IntakeError::Blob(BlobError::Io { .. })) => Exit::Store,
            Self::Intake(IntakeError::Blob(_) | IntakeError::Catalog(_)) => Exit::Internal,
            Self::Intake(_)
            | Self::Gpus(_)
            | Self::Place(PlaceError::Folder { .. } | PlaceError::Observe(_))
            | Self::NotReady(_)
            | Self::Results { .. }
            | Self::Find(_)
            | Self::NotInStore(_)
            | Self::NotEnded(_)
            | Self::Branch(_) => Exit::BadInput,
            Self::Journal(_) | Self::Actor(ActorError::Journal(_)) | Self::WorkerFolder(_) => Exit::Store,
            Self::Place(PlaceError::Blob(BlobError::Io { .. })) => Exit::Store,
            _ => Exit::Internal,
        }
    }
}

/// Runs the command.
pub(super) async fn run(args: RunArgs) -> Exit {
    match execute(&args).await {
        Ok(exit) => exit,
        Err(error) => {
            complain(&error.to_string());
            error.exit()
        }
    }
}

async fn execute(args: &RunArgs) -> Result<Exit, RunError> {
    let intake = intake::compile(args)?;
    if args.dry_run {
        say(toml::to_string(&intake.spec)?.trim_end());
        return Ok(Exit::Done);
    }
    let repository = match &intake.subject {
        Subject::Project(project) if args.training.branch => {
            let branch = results::branch(&intake.spec.name, &intake.spec.id());
            Some(Repository::find(project.root(), branch)?)
        }
        _ => None,
    };
    let conditions = Conditions {
        out: &args.out,
        json: args.json,
        slots: args.slots,
        gpus: args.training.gpus_per_experiment,
        python: args.python.as_deref(),
        keep_failed: args.training.keep_failed,
        repository,
    };
    carry_out(&conditions, &intake).await
}

/// How a study is run, whatever it is.
struct Conditions<'a> {
    out: &'a Path,
    json: bool,
    slots: Option<u32>,
    gpus: Option<u32>,
    python: Option<&'a Path>,
    keep_failed: bool,
    repository: Option<Repository>,
}

/// Runs a study to its end and tells what came out.
async fn carry_out(on: &Conditions<'_>, intake: &Intake) -> Result<Exit, RunError> {
    let console = Console::new(on.json);
    let hardware = local::hardware();
    let slots = match intake.spec.training() {
        Some(_) => local::training_slots(&hardware, on.gpus, on.slots)?,
        None => on.slots.unwrap_or(hardware.cores).max(1),
    };
    show::study(console, &hardware, Slots { count: slots, gpus: on.gpus }, intake);

    let place = Place::open(on.out, None)?;
    let tree = intake.store(place.blobs.folder())?;
    let study = intake.spec.id();
    let mut journal = place.journal()?;
    let known = archive::whole(journal.replay()?, &study, place.blobs.folder())?;
    let rows = intake.rows();
    let tell = |state: &State| report(on, console, &place, state, &study, rows);
    if is_answered(&known, &study, intake) {
        console
            .line("this study has ended before; raise --rounds, --budget or --time-limit to go on with it");
        return tell(&known);
    }
    let coordinator = Coordinator::start(Box::new(journal), &place).await?;
    let mut sweeper = Sweeper::new(&coordinator.handle, &place.blobs, UNREFERENCED);
    archive::recall(&coordinator.handle, place.blobs.folder(), study.clone()).await?;
    let telemetry = telemetry::start(&coordinator.handle, on.out).await?;
    let (state, events) = coordinator.handle.watch().await?;
    coordinator.handle.input(Input::Submit { spec: Box::new(intake.spec.clone()), tree }).await?;

    // Once, beside the study: what earlier ones left and nobody refers to.
    sweeper.look().await?;
    let worker = LocalWorker {
        coordinator: coordinator.address.clone(),
        token_file: place.access.file(Role::Worker),
        folder: place.worker.clone(),
        slots: Some(slots),
        gpus_per_experiment: on.gpus,
        python: on.python.map(Path::to_owned),
        keep_failed: on.keep_failed.then(|| place.failed.clone()),
    };
    let publisher = Publisher::new(on.out.to_owned(), place.blobs.folder().clone(), study.clone(), rows);
    let mut watch = Watch::new(console, state, &intake.spec, slots, publisher);
    let ended = watch.follow(&coordinator, events, &worker).await;
    let state = watch.into_state();
    sweeper.settle().await;
    // Whatever happened, what is durable stays; the journal is closed before the results are written.
    coordinator.stop().await?;
    if let Some(telemetry) = telemetry {
        let _ = telemetry.await;
    }
    let ending = ended?;
    let exit = tell(&state)?;
    match ending {
        Ending::Finished => Ok(exit),
        Ending::Interrupted => {
            console.line("interrupted; the same command goes on where this stopped");
            Ok(Exit::Interrupted)
        }
    }
}

/// Whether the store holds the answer to what is asked, no further experiment being wanted.
fn is_answered(state: &State, study: &StudyId, intake: &Intake) -> bool {
    let spec = &intake.spec;
    state
        .studies
        .get(study)
        .is_some_and(|known| known.is_finished() && !known.reopens(&spec.budget, &spec.limits))
}

/// Writes the results folder and tells what came out.
fn report(
    on: &Conditions<'_>,
    console: Console,
    place: &Place,
    state: &State,
    study: &StudyId,
    rows: Option<u64>,
) -> Result<Exit, RunError> {
    let Some(report) = Report::of(state, study) else {
        return Ok(Exit::Interrupted);
    };
    let report = report.with_rows(rows);
    let folder = on.out.join(results::folder_name(&report));
    results::write(&folder, &report, state, place.blobs.folder())
        .map_err(|source| RunError::Results { path: folder.clone(), source })?;
    console.line("");
    console.line(&summary::text(&report, &folder, on.out, console.width()));
    if on.json {
        say(&report.to_json());
    }
    if let Some(repository) = &on.repository {
        let branch = repository.fetch(&folder.join(results::REPOSITORY))?;
        console.line(&format!("branch    {branch} of the project's repository"));
    }
    let failed =
        state.studies.get(study).is_some_and(|s| s.phase == ar_core::Phase::Finished(Finish::Failed));
    if !failed {
        return Ok(Exit::Done);
    }
    complain(match report.ranking.is_empty() {
        true => "no experiment succeeded; the commonest errors:",
        false => {
            "nothing that has a score keeps to the constraints: widen them and run again; the commonest errors:"
        }
    });
    for (count, reason) in summary::commonest_errors(&report, ERRORS) {
        complain(&format!("{count} x {reason}"));
    }
    Ok(Exit::NothingSucceeded)
}

/// The coordinator's tasks.
struct Coordinator {
    handle: Handle,
    actor: tokio::task::JoinHandle<Result<(), ActorError>>,
    address: String,
    stop_serving: tokio::sync::watch::Sender<bool>,
    serving: tokio::task::JoinHandle<()>,
}

impl Coordinator {
    async fn start(journal: Box<dyn Journal>, place: &Place) -> Result<Self, RunError> {
        let (handle, actor) = actor::start(journal, ar_core::Timing::default()).await?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(RunError::Listen)?;
        let address = format!("http://{}", listener.local_addr().map_err(RunError::Listen)?);
        tracing::info!(address, "listening");
        let (stop_serving, stopped) = tokio::sync::watch::channel(false);
        let (blobs, access, out) = (place.blobs.clone(), place.access.clone(), place.out());
        let services = rpc::services(handle.clone(), blobs, access, out);
        let serve = listener::serve(listener, None, tokio::sync::watch::channel(services).1, stopped);
        Ok(Self { handle, actor, address, stop_serving, serving: tokio::spawn(serve) })
    }

    /// Ends the tasks; on return the journal is closed and its lock is free.
    async fn stop(self) -> Result<(), RunError> {
        let _ = self.stop_serving.send(true);
        self.handle.stop().await;
        // Connections that linger must not hold the end.
        self.serving.abort();
        Ok(self.actor.await??)
    }
}
