//! gRPC for people and their tools: studies are submitted, looked at and steered.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use ar_common::{Digest, StudyId, StudySpec, WorkerId};
use ar_core::{Input, State};
use ar_net::Role;
use ar_proto::v1::studies_server::Studies;
use ar_proto::v1::{
    BlobList, Document, Empty, FilePiece, Order, StudyName, Submission, Submitted, Verb, WorkerOrder,
};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::actor::Handle;
use crate::archive;
use crate::blobs::{self, Blobs};
use crate::results::{self, Report};
use crate::rpc::Gate;
use crate::standing::{self, StudyLine};
use crate::telemetry;

/// How often a study that is watched is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// Most blobs that may be asked for at once.
const MANY: usize = 1_000_000;

/// The service.
#[derive(Debug, Clone)]
pub struct StudiesService {
    handle: Handle,
    blobs: Blobs,
    gate: Gate,
    /// Folder of results.
    out: PathBuf,
}

impl StudiesService {
    pub(crate) fn new(handle: Handle, blobs: Blobs, gate: Gate, out: PathBuf) -> Self {
        Self { handle, blobs, gate, out }
    }

    /// Writes the results of a study as they are now; returns their folder.
    async fn written(&self, study: StudyId) -> Result<PathBuf, Status> {
        let state = self.handle.ask(|state, _| state.clone()).await?;
        let (out, blobs) = (self.out.clone(), self.blobs.clone());
        let write = move || {
            let state = whole(state, &study, &blobs)?;
            let report = Report::of(&state, &study).ok_or_else(|| Status::not_found("the study is gone"))?;
            let folder = out.join(results::folder_name(&report));
            results::write(&folder, &report, &state, blobs.folder())
                .map_err(|error| Status::internal(format!("the results cannot be written: {error}")))?;
            Ok(folder)
        };
        let written = tokio::task::spawn_blocking(write).await;
        written.map_err(|error| Status::internal(format!("the report failed: {error}")))?
    }

    fn open<T>(&self, request: Request<T>) -> Result<T, Status> {
        self.gate.check(&request, Some(Role::Submit))?;
        Ok(request.into_inner())
    }

    /// The study of a name.
    async fn find(&self, name: String) -> Result<StudyId, Status> {
        let found = self.handle.ask(move |state, _| standing::find(state, &name)).await?;
        found.map_err(|unknown| Status::not_found(unknown.to_string()))
    }

    async fn line(&self, study: StudyId) -> Result<StudyLine, Status> {
        let line = self.handle.ask(move |state, live| {
            state.studies.get(&study).map(|entry| standing::study_line(state, live, entry))
        });
        line.await?.ok_or_else(|| Status::not_found("the study is gone"))
    }

    /// The study as submitted, if it is sound and all its files are here.
    async fn check(&self, submission: &Submission) -> Result<(StudySpec, Digest), Status> {
        let wrong = |why: String| Status::invalid_argument(format!("this is no study: {why}"));
        let spec: StudySpec =
            serde_json::from_str(&submission.spec).map_err(|error| wrong(error.to_string()))?;
        if spec.version != StudySpec::VERSION {
            return Err(wrong(format!(
                "it is of version {}, this coordinator reads version {}; use the same version on both sides",
                spec.version,
                StudySpec::VERSION
            )));
        }
        spec.space.validate().map_err(|error| wrong(error.to_string()))?;
        let tree = blobs::parse(&submission.tree)?;
        let missing =
            |why: String| Status::unavailable(format!("the study's files cannot be looked at: {why}"));
        // Nobody removes what was used just now, so they are there until the study refers to them.
        if !self.blobs.touch(tree).await.map_err(|error| missing(error.to_string()))? {
            return Err(wrong("the list of its files was not sent".to_owned()));
        }
        let folder = self.blobs.folder().clone();
        let read = tokio::task::spawn_blocking(move || folder.read_tree(&tree)).await;
        let files =
            read.map_err(|error| missing(error.to_string()))?.map_err(|error| wrong(error.to_string()))?;
        let digests: Vec<Digest> = files.entries.iter().map(|entry| entry.digest).collect();
        let absent = self.blobs.missing(digests).await.map_err(|error| missing(error.to_string()))?;
        match files.entries.iter().find(|entry| absent.contains(&entry.digest)) {
            Some(missing) => Err(wrong(format!("its file {} was not sent", missing.path))),
            None => Ok((spec, tree)),
        }
    }
}

/// A document of something that can be written down.
fn document<T: Serialize>(of: &T) -> Result<Response<Document>, Status> {
    let json = serde_json::to_string(of).map_err(|error| Status::internal(error.to_string()))?;
    Ok(Response::new(Document { json }))
}

/// The report of one study. It asks the search, which takes its time, so it is made beside everything else.
async fn report(state: State, study: StudyId, blobs: Blobs) -> Result<Report, Status> {
    let make = move || {
        let state = whole(state, &study, &blobs)?;
        Report::of(&state, &study).ok_or_else(|| Status::not_found("the study is gone"))
    };
    let made = tokio::task::spawn_blocking(make).await;
    made.map_err(|error| Status::internal(format!("the report failed: {error}")))?
}

/// The state with the study's experiments, also of one that is archived.
fn whole(state: State, study: &StudyId, blobs: &Blobs) -> Result<State, Status> {
    archive::whole(state, study, blobs.folder()).map_err(|error| Status::data_loss(error.to_string()))
}

/// Whether a file is for this machine alone.
fn stays_here(name: &std::ffi::OsStr) -> bool {
    name == telemetry::FILE || name == telemetry::FORMER
}

/// Sends each file below a folder. Links are not followed, and there are none.
fn pieces(root: &Path, folder: &Path, sender: &mpsc::Sender<Result<FilePiece, Status>>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            pieces(root, &path, sender)?;
        } else if kind.is_file() && !stays_here(&entry.file_name()) {
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            let mut file = std::fs::File::open(&path)?;
            let mut piece = FilePiece { path: name, data: Vec::new() };
            loop {
                let read = file.by_ref().take(ar_proto::CHUNK as u64).read_to_end(&mut piece.data)?;
                let first = !piece.path.is_empty();
                // An empty file is a piece, too.
                if (read > 0 || first) && sender.blocking_send(Ok(std::mem::take(&mut piece))).is_err() {
                    // Whoever asked has gone.
                    return Ok(());
                }
                if read == 0 {
                    break;
                }
            }
        }
    }
    Ok(())
}

#[tonic::async_trait]
impl Studies for StudiesService {
    type FetchStream = ReceiverStream<Result<FilePiece, Status>>;
    type WatchStream = Pin<Box<dyn Stream<Item = Result<Document, Status>> + Send>>;

    async fn missing(&self, request: Request<BlobList>) -> Result<Response<BlobList>, Status> {
        let asked = self.open(request)?.digests;
        if asked.len() > MANY {
            return Err(Status::invalid_argument(format!("{} blobs; ask for {MANY} at a time", asked.len())));
        }
        let asked = asked.iter().map(|digest| blobs::parse(digest)).collect::<Result<Vec<_>, _>>()?;
        let missing = self.blobs.missing(asked).await;
        let missing = missing.map_err(|error| Status::unavailable(error.to_string()))?;
        let digests = missing.iter().map(Digest::to_string).collect();
        Ok(Response::new(BlobList { digests }))
    }

    async fn submit(&self, request: Request<Submission>) -> Result<Response<Submitted>, Status> {
        let submission = self.open(request)?;
        let (spec, tree) = self.check(&submission).await?;
        let study = spec.id();
        tracing::info!(study = study.short(), name = spec.name, "submitted");
        archive::recall(&self.handle, self.blobs.folder(), study.clone())
            .await
            .map_err(|error| Status::data_loss(error.to_string()))?;
        self.handle.input(Input::Submit { spec: Box::new(spec), tree }).await?;
        // Durable before it is told.
        self.handle.settle().await?;
        Ok(Response::new(Submitted { study: study.to_string() }))
    }

    async fn list(&self, request: Request<Empty>) -> Result<Response<Document>, Status> {
        self.open(request)?;
        document(&self.handle.ask(standing::studies).await?)
    }

    async fn report(&self, request: Request<StudyName>) -> Result<Response<Document>, Status> {
        let study = self.find(self.open(request)?.study).await?;
        let state = self.handle.ask(|state, _| state.clone()).await?;
        document(&report(state, study, self.blobs.clone()).await?)
    }

    async fn fetch(&self, request: Request<StudyName>) -> Result<Response<Self::FetchStream>, Status> {
        let study = self.find(self.open(request)?.study).await?;
        let folder = self.written(study).await?;
        let (sender, receiver) = mpsc::channel(4);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = pieces(&folder, &folder, &sender) {
                let _ = sender
                    .blocking_send(Err(Status::internal(format!("the results cannot be read: {error}"))));
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn workers(&self, request: Request<Empty>) -> Result<Response<Document>, Status> {
        self.open(request)?;
        document(&self.handle.ask(standing::workers).await?)
    }

    async fn hold(&self, request: Request<WorkerOrder>) -> Result<Response<Document>, Status> {
        let WorkerOrder { worker, hold } = self.open(request)?;
        let worker = WorkerId(worker);
        let name = worker.clone();
        let known = self.handle.ask(move |state, live| {
            state.holds.contains_key(&name) || live.workers.values().any(|live| live.worker == name)
        });
        if !known.await? {
            let all = "`ar-coordinator workers` lists those that are";
            return Err(Status::not_found(format!("no worker `{worker}` is connected; {all}")));
        }
        tracing::info!(%worker, hold, "somebody holds a worker back, or gives it experiments again");
        let input = match hold {
            true => Input::Hold { worker, why: "somebody drains it".to_owned() },
            false => Input::Readmit { worker },
        };
        self.handle.input(input).await?;
        // Durable before it is told.
        document(&self.handle.ask(standing::workers).await?)
    }

    async fn steer(&self, request: Request<Order>) -> Result<Response<Document>, Status> {
        let Order { study, verb } = self.open(request)?;
        let study = self.find(study).await?;
        let input = match Verb::try_from(verb) {
            Ok(Verb::Pause) => Input::Pause { study: study.clone(), paused: true },
            Ok(Verb::Resume) => Input::Pause { study: study.clone(), paused: false },
            Ok(Verb::Cancel) => Input::Cancel { study: study.clone() },
            Ok(Verb::Unspecified) | Err(_) => {
                return Err(Status::invalid_argument(
                    "this coordinator does not know that order; upgrade it",
                ));
            }
        };
        self.handle.input(input).await?;
        // Durable before it is told.
        self.handle.settle().await?;
        document(&self.line(study).await?)
    }

    async fn watch(&self, request: Request<StudyName>) -> Result<Response<Self::WatchStream>, Status> {
        let study = self.find(self.open(request)?.study).await?;
        let (sender, receiver) = mpsc::channel(4);
        let service = self.clone();
        tokio::spawn(async move {
            let mut look = tokio::time::interval(LOOK);
            let mut last: Option<StudyLine> = None;
            loop {
                look.tick().await;
                let line = match service.line(study.clone()).await {
                    Ok(line) => line,
                    Err(status) => {
                        // Whoever watched may have gone.
                        let _ = sender.send(Err(status)).await;
                        return;
                    }
                };
                if last.as_ref() == Some(&line) {
                    if sender.is_closed() {
                        return;
                    }
                    continue;
                }
                let over = !matches!(line.state.as_str(), "running" | "paused");
                let next = document(&line).map(Response::into_inner);
                if sender.send(next).await.is_err() || over {
                    return;
                }
                last = Some(line);
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}
