//! What is asked of a coordinator that serves.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use ar_common::{EntryKind, Needs, Share};
use ar_net::transfer::{self, TransferError};
use ar_net::{BlobError, BlobStore, Dial, DialError, Token, TokenError};
use ar_proto::v1::coordinator_client::CoordinatorClient;
use ar_proto::v1::studies_client::StudiesClient;
use ar_proto::v1::{BlobList, Empty, Order, StudyName, Submission, Verb, WorkerOrder};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use super::output::{Console, complain, say};
use crate::cli::{RemoteArgs, ResultsArgs, StatusArgs, SteerArgs, SubmitArgs, WorkersArgs};
use crate::exit::Exit;
use crate::intake::{self, Intake, IntakeError};
use crate::results::{self, Report};
use crate::standing::{StudyLine, WorkerLine};
use crate::summary::{self, columns, figure};
use crate::text::plain;

/// Where it is unless something else is said.
const HERE: &str = "http://127.0.0.1:7600";
/// The token of a coordinator in this folder.
const TOKEN: &str = "autoresearch/store/tokens/submit/default";

/// Why it was not answered.
#[derive(Debug, thiserror::Error)]
enum RemoteError {
    #[error("say one of --drain and --readmit at a time")]
    Both,
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(
        "cannot reach a coordinator at {urls} ({why}); start one with `ar-coordinator serve`, or name it with --coordinator URL"
    )]
    Unreachable { urls: String, why: String },
    #[error("{}", .0.message())]
    Refused(Box<Status>),
    #[error(transparent)]
    Intake(#[from] IntakeError),
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error(transparent)]
    Transfer(#[from] TransferError),
    #[error(
        "the coordinator answered what this program cannot read ({0}); use the same version on both sides"
    )]
    Answer(#[from] serde_json::Error),
    #[error("cannot write {} ({source}); name a folder that can be written with --out DIR", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("the coordinator names a file that is not one of the folder: {0}")]
    Path(#[from] ar_common::tree::TreePathError),
    #[error("cannot make a folder for the study's files: {0}")]
    Folder(std::io::Error),
    #[error("cannot write the study as TOML: {0}; this is a bug, please report it")]
    Toml(#[from] toml::ser::Error),
}

impl From<Status> for RemoteError {
    fn from(status: Status) -> Self {
        Self::Refused(Box::new(status))
    }
}

impl RemoteError {
    fn exit(&self) -> Exit {
        match self {
            Self::Refused(status) if matches!(status.code(), Code::Internal | Code::Unknown) => {
                Exit::Internal
            }
            Self::Refused(status) if status.code() == Code::Unavailable => Exit::Store,
            Self::Unreachable { .. } => Exit::Store,
            Self::Answer(_) | Self::Blob(_) | Self::Transfer(_) | Self::Folder(_) | Self::Toml(_) => {
                Exit::Internal
            }
            _ => Exit::BadInput,
        }
    }
}

fn ended(result: Result<Exit, RemoteError>) -> Exit {
    result.unwrap_or_else(|error| {
        complain(&error.to_string());
        error.exit()
    })
}

/// A coordinator that answered.
struct Remote {
    channel: Channel,
    header: String,
}

impl Remote {
    /// Connects to the first of the addresses that answers.
    async fn connect(args: &RemoteArgs) -> Result<Self, RemoteError> {
        let token = args.token_file.clone().unwrap_or_else(|| PathBuf::from(TOKEN));
        let header = Token::load(&token)?.header();
        let urls = args.coordinator.clone().unwrap_or_else(|| vec![HERE.to_owned()]);
        let dial = Dial {
            urls: urls.clone(),
            ca: args.ca.clone(),
            identity: args.client_cert.clone().zip(args.client_key.clone()),
            insecure: args.insecure,
        };
        let mut why = String::new();
        for endpoint in dial.endpoints()? {
            match endpoint.connect().await {
                Ok(channel) => {
                    let remote = Self { channel, header: header.clone() };
                    // One that stands by takes connections, and answers nothing.
                    let asked = remote.request(BlobList { digests: Vec::new() });
                    match remote.studies().missing(asked).await {
                        Err(status) if status.code() == Code::Unavailable => {
                            status.message().clone_into(&mut why);
                        }
                        Err(status) => return Err(status.into()),
                        Ok(_) => return Ok(remote),
                    }
                }
                Err(error) => why = innermost(&error),
            }
        }
        Err(RemoteError::Unreachable { urls: urls.join(", "), why })
    }

    fn studies(&self) -> StudiesClient<Channel> {
        StudiesClient::new(self.channel.clone())
            .max_decoding_message_size(ar_proto::DOCUMENT_LIMIT)
            .max_encoding_message_size(ar_proto::DOCUMENT_LIMIT)
    }

    fn request<T>(&self, of: T) -> Request<T> {
        let mut request = Request::new(of);
        self.authorize(request.metadata_mut());
        request
    }

    fn authorize(&self, metadata: &mut tonic::metadata::MetadataMap) {
        if let Ok(value) = self.header.parse() {
            metadata.insert(ar_proto::AUTHORIZATION, value);
        }
    }
}

/// What is at the bottom of an error, which says most.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

/// `submit`: the study is compiled here, as `run` does, and its files are sent.
pub(super) async fn submit(args: SubmitArgs) -> Exit {
    ended(submitted(&args).await)
}

async fn submitted(args: &SubmitArgs) -> Result<Exit, RemoteError> {
    let mut intake = intake::compile(&args.run)?;
    shares(args, &mut intake);
    if args.run.dry_run {
        say(toml::to_string(&intake.spec)?.trim_end());
        return Ok(Exit::Done);
    }
    let console = Console::new(args.run.json);
    let remote = Remote::connect(&args.remote).await?;
    let folder = tempfile::tempdir().map_err(RemoteError::Folder)?;
    let blobs = BlobStore::open(folder.path())?;
    let tree = intake.store(&blobs)?;
    let sent = send(&remote, &blobs, tree).await?;
    let spec = serde_json::to_string(&intake.spec)?;
    let submission = Submission { spec, tree: tree.to_string() };
    let study = remote.studies().submit(remote.request(submission)).await?.into_inner().study;
    let short = study.get(..8).unwrap_or(&study).to_owned();
    console.line(&format!("submitted {} ({short}), {sent} files sent", plain(&intake.spec.name)));
    if args.wait {
        return follow(&remote, &study, console).await;
    }
    if args.run.json {
        say(&serde_json::json!({ "study": study }).to_string());
    }
    console.line(&format!("          ar-coordinator watch {short}"));
    Ok(Exit::Done)
}

/// How it shares the workers, and what it needs of them.
fn shares(args: &SubmitArgs, intake: &mut Intake) {
    let limits = &mut intake.spec.limits;
    limits.share = Share {
        weight: args.weight.unwrap_or(limits.share.weight),
        priority: args.priority.unwrap_or(limits.share.priority),
        most: args.at_once.or(limits.share.most),
    };
    let mut labels = limits.needs.labels.clone();
    labels.extend(args.need_label.iter().cloned());
    limits.needs = Needs {
        gpus: args.need_gpus.or(limits.needs.gpus),
        gpu: args.need_gpu.clone().or(limits.needs.gpu.clone()),
        memory: args.need_memory.or(limits.needs.memory),
        labels,
    };
}

/// Sends what the coordinator does not have of a tree, and the tree; returns how many files.
async fn send(remote: &Remote, blobs: &BlobStore, tree: ar_common::Digest) -> Result<usize, RemoteError> {
    let files = blobs.read_tree(&tree)?;
    let all =
        files.entries.iter().filter(|entry| entry.kind != EntryKind::Link || blobs.contains(&entry.digest));
    let mut digests: Vec<String> = all.map(|entry| entry.digest.to_string()).collect();
    digests.push(tree.to_string());
    digests.sort_unstable();
    digests.dedup();
    let missing = remote.studies().missing(remote.request(BlobList { digests })).await?.into_inner().digests;
    let mut client = CoordinatorClient::new(remote.channel.clone());
    for digest in &missing {
        let digest = digest.parse().map_err(|_| Status::internal("the coordinator names what is no blob"))?;
        transfer::send(&mut client, blobs, digest, |metadata| remote.authorize(metadata)).await?;
    }
    Ok(missing.len())
}

/// `status`.
pub(super) async fn status(args: StatusArgs) -> Exit {
    let asked = async {
        let remote = Remote::connect(&args.remote).await?;
        let json = remote.studies().list(remote.request(Empty {})).await?.into_inner().json;
        let mut all: Vec<StudyLine> = serde_json::from_str(&json)?;
        if let Some(study) = &args.study {
            all.retain(|line| line.name == *study || line.id.starts_with(study.as_str()));
            if all.is_empty() {
                return Err(Status::not_found(format!("there is no study `{study}`")).into());
            }
        }
        if args.json {
            say(&serde_json::to_string_pretty(&all)?);
        } else if all.is_empty() {
            say("no study was submitted yet");
        } else {
            table(&all).iter().for_each(|line| say(line));
        }
        Ok(Exit::Done)
    };
    ended(asked.await)
}

fn table(all: &[StudyLine]) -> Vec<String> {
    let mut rows = vec![
        ["study", "id", "state", "evaluations", "running", "waiting", "best"].map(str::to_owned).to_vec(),
    ];
    for line in all {
        rows.push(vec![
            plain(&line.name),
            line.id.get(..8).unwrap_or(&line.id).to_owned(),
            line.state.clone(),
            format!("{:.0} of {}", line.spent, line.budget),
            line.running.to_string(),
            line.waiting.to_string(),
            line.best.map(|best| format!("{} {}", plain(&line.metric), figure(best))).unwrap_or_default(),
        ]);
    }
    let mut lines = columns(&rows);
    for line in all {
        if let Some(why) = &line.why_not {
            lines.push(format!("{}: {}", plain(&line.name), plain(why)));
        }
    }
    lines
}

/// `watch`.
pub(super) async fn watch(args: SteerArgs) -> Exit {
    let followed = async {
        let remote = Remote::connect(&args.remote).await?;
        follow(&remote, &args.study, Console::new(args.json)).await
    };
    ended(followed.await)
}

/// Tells each change of a study until it has ended.
async fn follow(remote: &Remote, study: &str, console: Console) -> Result<Exit, RemoteError> {
    let name = StudyName { study: study.to_owned() };
    let mut lines = remote.studies().watch(remote.request(name)).await?.into_inner();
    let mut last = String::new();
    let mut end = None;
    while let Some(document) = lines.message().await? {
        let line: StudyLine = serde_json::from_str(&document.json)?;
        let told = one_line(&line);
        if console.is_json() {
            say(&document.json);
        } else if told != last {
            console.line(&told);
            last = told;
        }
        end = Some(line);
    }
    let Some(end) = end else {
        return Err(Status::unavailable("the coordinator ended; watch again when it is back").into());
    };
    if let Some(verdict) = &end.verdict {
        console.line(&plain(verdict));
    }
    Ok(match end.state.as_str() {
        "failed" => Exit::NothingSucceeded,
        "finished" | "cancelled" => Exit::Done,
        _ => return Err(Status::unavailable("the coordinator ended; watch again when it is back").into()),
    })
}

fn one_line(line: &StudyLine) -> String {
    let best = match (line.best, &line.best_label) {
        (Some(best), Some(label)) => {
            format!(", best {} {}  {}", plain(&line.metric), figure(best), plain(label))
        }
        _ => String::new(),
    };
    let why = line.why_not.as_ref().map(|why| format!("; {}", plain(why))).unwrap_or_default();
    format!("{}: {:.0} of {}, {} running{best}{why}", line.state, line.spent, line.budget, line.running)
}

/// `pause`, `resume` and `cancel`.
pub(super) async fn steer(args: SteerArgs, verb: Verb) -> Exit {
    let steered = async {
        let remote = Remote::connect(&args.remote).await?;
        let order = Order { study: args.study.clone(), verb: verb.into() };
        let json = remote.studies().steer(remote.request(order)).await?.into_inner().json;
        let line: StudyLine = serde_json::from_str(&json)?;
        say(&if args.json { json } else { format!("{} is {}", plain(&line.name), line.state) });
        Ok(Exit::Done)
    };
    ended(steered.await)
}

/// `workers`.
pub(super) async fn workers(args: WorkersArgs) -> Exit {
    let asked = async {
        let remote = Remote::connect(&args.remote).await?;
        let order = match (&args.drain, &args.readmit) {
            (Some(_), Some(_)) => return Err(RemoteError::Both),
            (Some(worker), _) => Some(WorkerOrder { worker: worker.clone(), hold: true }),
            (_, Some(worker)) => Some(WorkerOrder { worker: worker.clone(), hold: false }),
            (None, None) => None,
        };
        let asked = match order {
            Some(order) => remote.studies().hold(remote.request(order)).await?,
            None => remote.studies().workers(remote.request(Empty {})).await?,
        };
        let json = asked.into_inner().json;
        let all: Vec<WorkerLine> = serde_json::from_str(&json)?;
        if args.json {
            say(&serde_json::to_string_pretty(&all)?);
        } else if all.is_empty() {
            say("no worker is connected");
        } else {
            worker_table(&all).iter().chain(&worker_notes(&all)).for_each(|line| say(line));
        }
        Ok(Exit::Done)
    };
    ended(asked.await)
}

fn worker_table(all: &[WorkerLine]) -> Vec<String> {
    let heads = ["worker", "host", "cores", "memory", "GPUs", "slots", "holds", "ready for", "labels"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for worker in all {
        let labels: Vec<String> =
            worker.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let slots = match (worker.draining, &worker.held_back) {
            (true, _) => format!("{} (leaving)", worker.slots),
            (false, Some(_)) => format!("{} (held back)", worker.slots),
            (false, None) => worker.slots.to_string(),
        };
        rows.push(vec![
            plain(&worker.name),
            plain(&worker.host),
            worker.cores.to_string(),
            format!("{:.1} GiB", worker.memory as f64 / f64::from(1 << 30)),
            plain(&worker.gpus.join(", ")),
            slots,
            worker.held.to_string(),
            plain(&worker.ready.join(", ")),
            plain(&labels.join(", ")),
        ]);
    }
    columns(&rows)
}

/// What a person has to know of workers beside what they are.
fn worker_notes(all: &[WorkerLine]) -> Vec<String> {
    let held = all.iter().filter_map(|worker| Some((&worker.name, worker.held_back.as_ref()?)));
    let held = held.map(|(name, why)| format!("{} is held back: {}", plain(name), plain(why)));
    let unready = all.iter().flat_map(|worker| worker.not_ready.iter().map(|of| (&worker.name, of)));
    let unready = unready
        .map(|(name, (study, why))| format!("{} cannot run {}: {}", plain(name), plain(study), plain(why)));
    let fewer =
        all.iter().filter_map(|worker| Some((&worker.name, worker.slots, worker.why_fewer.as_ref()?)));
    let fewer = fewer.map(|(name, slots, why)| match slots {
        0 => format!("{} takes nothing: {}", plain(name), plain(why)),
        _ => format!("{} runs only {slots} at once: {}", plain(name), plain(why)),
    });
    held.chain(fewer).chain(unready).collect()
}

/// `results` of a coordinator that serves.
pub(super) async fn results(args: ResultsArgs) -> Exit {
    let asked = async {
        let remote = Remote::connect(&args.remote).await?;
        let name = StudyName { study: args.study.clone() };
        let json = remote.studies().report(remote.request(name)).await?.into_inner().json;
        let fetched = if args.fetch { Some(fetch(&remote, &args).await?) } else { None };
        if args.json {
            say(&json);
            return Ok(Exit::Done);
        }
        let report: Report = serde_json::from_str(&json)?;
        let folder = args.out.join(results::folder_name(&report));
        say(&summary::text(&report, &folder, &args.out, Console::new(false).width()));
        if let Some(files) = fetched {
            say(&format!("fetched   {files} files"));
        }
        Ok(Exit::Done)
    };
    ended(asked.await)
}

/// Brings the folder of a study's results; returns how many files.
async fn fetch(remote: &Remote, args: &ResultsArgs) -> Result<usize, RemoteError> {
    let name = StudyName { study: args.study.clone() };
    let json = remote.studies().report(remote.request(name.clone())).await?.into_inner().json;
    let report: Report = serde_json::from_str(&json)?;
    let folder = args.out.join(results::folder_name(&report));
    let mut pieces = remote.studies().fetch(remote.request(name)).await?.into_inner();
    let mut open: Option<(PathBuf, File)> = None;
    let mut files = 0;
    while let Some(piece) = pieces.message().await? {
        if !piece.path.is_empty() {
            // It comes from another machine.
            ar_common::tree::check_path(&piece.path)?;
            let path = folder.join(&piece.path);
            let failed = |source| RemoteError::File { path: path.clone(), source };
            std::fs::create_dir_all(path.parent().unwrap_or(&folder)).map_err(failed)?;
            let file = File::create(&path).map_err(failed)?;
            open = Some((path, file));
            files += 1;
        }
        let Some((path, file)) = &mut open else {
            return Err(Status::internal("the coordinator sends a file without a name").into());
        };
        file.write_all(&piece.data).map_err(|source| RemoteError::File { path: path.clone(), source })?;
    }
    Ok(files)
}
