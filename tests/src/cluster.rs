//! A coordinator in this process, with the real journal and the real gRPC service, and workers as real
//! processes. For studies that no command line would make: with options that misbehave.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use ar_common::{EntryKind, OptionSpec, StudyId, TreeEntry};
use ar_coordinator::actor::{self, Event, Handle, unseen};
use ar_coordinator::cli::{Cli, Command};
use ar_coordinator::journal::RedbJournal;
use ar_coordinator::{intake, listener, rpc};
use ar_core::{Input, State, Timing};
use ar_net::{Access, BlobStore, Role};
use clap::Parser;
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdin};
use tokio::sync::broadcast::Receiver;
use tokio::sync::watch;

use crate::run;

/// A variable that every worker of these tests has and that must not reach an experiment.
pub const SECRET: &str = "ANTHROPIC_API_KEY";
/// How long a study of these tests may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// An option of `build_model` that exists in one test only.
#[derive(Debug, Clone, Copy)]
pub struct Model {
    /// Its name, also of its file.
    pub name: &'static str,
    /// The Python file: defines `make(context)`.
    pub code: &'static str,
}

/// A coordinator that listens.
#[derive(Debug)]
pub struct Cluster {
    /// To hand it inputs.
    pub handle: Handle,
    /// The durable state, as far as it was seen.
    pub state: State,
    events: Receiver<Event>,
    blobs: BlobStore,
    address: String,
    token_file: PathBuf,
    folder: PathBuf,
    /// Serving ends with it.
    _stop: watch::Sender<bool>,
}

/// A worker process; dropping it kills it.
#[derive(Debug)]
pub struct WorkerProcess {
    child: Child,
    _held: Option<ChildStdin>,
}

impl Cluster {
    /// Starts one that keeps everything below `folder`.
    ///
    /// # Panics
    /// When it cannot start: the tests rely on that.
    pub async fn start(folder: &Path) -> Self {
        let store = folder.join("store");
        let journal = RedbJournal::open(&store, 1).expect("the store opens");
        let blobs = BlobStore::open(&store.join("blobs")).expect("the blobs open");
        let access = Access::open(&store.join("tokens")).expect("there are tokens");
        let token_file = access.file(Role::Worker);
        let (handle, _) = actor::start(Box::new(journal), Timing::default()).await.expect("it starts");
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback is there");
        let address = format!("http://{}", listener.local_addr().expect("it has an address"));
        let services = rpc::services(handle.clone(), blobs.clone().into(), access, folder.to_owned());
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(listener::serve(listener, None, watch::channel(services).1, stopped));
        let (state, events) = handle.watch().await.expect("it runs");
        Self { handle, state, events, blobs, address, token_file, folder: folder.to_owned(), _stop: stop }
    }

    /// Submits a study of `arguments` (as after `ar-coordinator run`) whose `build_model` slot holds
    /// `base`, the floor and `models`, and whose other slots hold `base` alone.
    ///
    /// # Panics
    /// When there is no such study.
    pub async fn submit(&self, arguments: &[&str], models: &[Model]) -> StudyId {
        self.submit_with(arguments, models, &[]).await
    }

    /// As [`Cluster::submit`], but these slots keep their options.
    ///
    /// # Panics
    /// When there is no such study.
    pub async fn submit_with(&self, arguments: &[&str], models: &[Model], kept: &[&str]) -> StudyId {
        let command = ["ar-coordinator", "run"].iter().chain(arguments);
        let Command::Run(args) = Cli::try_parse_from(command).expect("a command line").command else {
            panic!("it is not `run`");
        };
        let intake = intake::compile(&args).expect("a study");
        let tree = intake.store(&self.blobs).expect("it is stored");
        let mut entries = self.blobs.read_tree(&tree).expect("it is there").entries;
        for model in models {
            let digest = self.blobs.put(model.code.as_bytes()).expect("it is stored");
            let path = format!("ar_runner/options/build_model/{}.py", model.name);
            entries.push(TreeEntry { path, digest, bytes: model.code.len() as u64, kind: EntryKind::Plain });
        }
        let mut spec = intake.spec;
        for dimension in &mut spec.space.dimensions {
            let is_model = dimension.name == "build_model";
            let is_kept = kept.contains(&dimension.name.as_str());
            dimension.options.retain(|o| o.name == "base" || is_kept || (is_model && o.floor));
            if is_model {
                dimension.options.extend(models.iter().map(|model| OptionSpec {
                    name: model.name.to_owned(),
                    family: model.name.to_owned(),
                    floor: false,
                    inactive_under: Default::default(),
                    only_with: Default::default(),
                    value: None,
                }));
            }
        }
        spec.space.validate().expect("a space");
        let study = spec.id();
        let tree = self.blobs.put_tree(entries).expect("it is stored");
        self.handle.input(Input::Submit { spec: Box::new(spec), tree }).await.expect("it runs");
        study
    }

    /// Starts a worker process.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn worker(&self, name: &str, slots: u32) -> WorkerProcess {
        let mut command = tokio::process::Command::new(run::binary());
        command.args([
            "worker",
            "--coordinator",
            &self.address,
            "--name",
            name,
            "--slots",
            &slots.to_string(),
        ]);
        command.arg("--token-file").arg(&self.token_file).arg("--folder").arg(self.folder.join(name));
        // What a worker's own surroundings may hold, and no experiment may see.
        command.env(SECRET, "sk-secret");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
        let mut child = command.spawn().expect("it starts");
        let held = child.stdin.take();
        WorkerProcess { child, _held: held }
    }

    /// Follows the events until the study has ended.
    ///
    /// # Panics
    /// When it does not end in time, or its environment cannot be made.
    pub async fn finish(&mut self, study: &StudyId) {
        let follow = async {
            while !self.state.studies.get(study).is_some_and(|study| study.is_finished()) {
                match self.events.recv().await.expect("the coordinator runs") {
                    Event::Records(first, records) => {
                        let new = unseen(&self.state, first, &records).to_vec();
                        new.iter().for_each(|record| self.state.apply(record));
                    }
                    Event::NotReady { why, .. } => panic!("{why}"),
                    _ => {}
                }
            }
        };
        tokio::time::timeout(PATIENCE, follow).await.expect("the study ends");
    }

    /// How the first evaluation of a model, everything else at its base, ended.
    ///
    /// # Panics
    /// When it was not tried.
    pub fn outcome_of(&self, study: &StudyId, model: &str) -> &ar_common::Outcome {
        let study = self.state.studies.get(study).expect("the study is there");
        let mut found =
            self.state.experiments_of(study).filter(|e| e.config.get("build_model") == Some(model));
        found.find_map(ar_core::Experiment::outcome).unwrap_or_else(|| panic!("{model} was not tried"))
    }
}

impl WorkerProcess {
    /// Its process number.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Asks it to leave and waits until it has.
    ///
    /// # Panics
    /// When it cannot be waited for.
    pub async fn leave(mut self) {
        drop(self._held.take());
        self.child.wait().await.expect("it can be waited for");
    }
}
