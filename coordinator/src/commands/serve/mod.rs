//! `serve`: a coordinator for many studies and many workers, until it is told to end.

mod keeper;
mod reign;
mod supervision;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ar_core::Timing;
use ar_net::Role;
use axum::Router;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::output::{complain, say};
use super::place::{Place, PlaceError};
use crate::actor::{self, ActorError, Ended, Handle};
use crate::blobs::{Blobs, BucketError};
use crate::cli::ServeArgs;
use crate::election::Leader;
use crate::etcd::EtcdError;
use crate::exit::Exit;
use crate::journal::JournalError;
use crate::listener::{self, Tls, TlsError, TlsFiles};
use crate::{http, rpc, telemetry};

use keeper::Keeper;
use reign::Elected;
pub(super) use reign::{name_of, settings as etcd_settings};

/// How long connections may take to end.
const END: Duration = Duration::from_secs(1);

/// Why it does not serve.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServeError {
    #[error(
        "{0} can be reached from other machines, and there is no TLS: give --tls-cert and --tls-key, or say --insecure if the \
         network is your own"
    )]
    Open(SocketAddr),
    #[error("--tls-cert and --tls-key go together")]
    Half,
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error(transparent)]
    Bucket(#[from] BucketError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Etcd(#[from] EtcdError),
    #[error("cannot read {path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error(
        "the coordinators of cluster `{cluster}` do not share {out}: the folder of --out holds files, tokens and results of studies, \
         and must be the same for all, on a file system that all of them mount"
    )]
    NotShared { cluster: String, out: PathBuf },
    #[error("another coordinator leads now ({0}); started again, this one stands by")]
    Deposed(String),
    #[error(transparent)]
    Actor(#[from] ActorError),
    #[error(transparent)]
    Ended(#[from] Ended),
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
    #[error("an internal task ended: {0}")]
    Task(#[from] tokio::task::JoinError),
}

impl ServeError {
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Open(_) | Self::Half | Self::Listen { .. } | Self::Tls(_) | Self::Place(_) => {
                Exit::BadInput
            }
            Self::Bucket(_)
            | Self::File { .. }
            | Self::NotShared { .. }
            | Self::Etcd(EtcdError::Settings { .. }) => Exit::BadInput,
            Self::Journal(JournalError::Moved { .. } | JournalError::MovedFromEtcd { .. }) => Exit::BadInput,
            Self::Deposed(_)
            | Self::Journal(JournalError::NotLeader { .. })
            | Self::Actor(ActorError::Journal(JournalError::NotLeader { .. })) => Exit::Deposed,
            Self::Journal(_) | Self::Actor(ActorError::Journal(_)) | Self::Etcd(_) => Exit::Store,
            _ => Exit::Internal,
        }
    }
}

/// How long results that are being written hold up its end.
const RESULTS: Duration = Duration::from_secs(5);

/// Runs the command.
pub(super) async fn serve(args: ServeArgs) -> Exit {
    match execute(&args).await {
        Ok(()) => Exit::Done,
        Err(error) => {
            complain(&error.to_string());
            error.exit()
        }
    }
}

async fn execute(args: &ServeArgs) -> Result<(), ServeError> {
    let tls = tls(args)?;
    if tls.is_none() && !args.insecure && !args.listen.ip().is_loopback() {
        return Err(ServeError::Open(args.listen));
    }
    let descriptors = ar_net::descriptors::raise_limit();
    let mut place = Place::open(&args.out, Some(&args.observe))?;
    if let Some(url) = &args.blobs {
        place.blobs = Blobs::in_bucket(place.blobs.folder().clone(), url, args.keep_unreferenced).await?;
    }
    tracing::info!(descriptors, "files and connections that may be open");
    let listener = listen(args.listen).await?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = args.advertise.clone();
    let url = url
        .unwrap_or_else(|| format!("{scheme}://{}", reached(listener.local_addr().unwrap_or(args.listen))));
    let mut signals = Signals::new()?;
    let (leader, _) = watch::channel(None);
    let doors = Doors::open(args, (listener, tls), leader.subscribe()).await?;
    let waits = if args.etcd.endpoints.is_empty() { "opens its store" } else { "stands by for the election" };
    let elected = tokio::select! {
        elected = reign::begin(args, &place, url.clone(), leader) => elected?,
        never = supervision::of_standby(waits) => match never {},
        () = signals.recv() => {
            supervision::ending();
            doors.close().await;
            return Ok(());
        }
    };
    let ended = lead(args, &place, &url, (elected, &doors), &mut signals).await;
    doors.close().await;
    ended
}

/// Leads until somebody ends it, or another leads.
async fn lead(
    args: &ServeArgs,
    place: &Place,
    url: &str,
    (Elected { journal, leadership }, doors): (Elected, &Doors),
    signals: &mut Signals,
) -> Result<(), ServeError> {
    let (handle, actor) = actor::start(journal, timing(args)).await?;
    doors.lead(&handle, place);
    tell(place, url);
    let telemetry = telemetry::start(&handle, &args.out).await?;
    let mut keeper = Keeper::new(&handle, place, args);
    let ended = tokio::select! {
        ended = keeper.keep() => ended.map_err(ServeError::from),
        ended = supervision::of_leader(&handle) => ended.map_err(ServeError::from),
        why = reign::lost(leadership.as_ref()) => Err(ServeError::Deposed(why)),
        () = signals.recv() => Ok(()),
    };
    supervision::ending();
    if let Err(deposed @ ServeError::Deposed(_)) = ended {
        // What it would still write is refused; another leads, and writes the results.
        actor.abort();
        return Err(deposed);
    }
    // The results of a large study take their time; the next start writes them.
    let _ = tokio::time::timeout(RESULTS, keeper.settle()).await;
    // What is durable stays, and the store's lock is free on return.
    handle.stop().await;
    let stopped = actor.await?;
    // It ends with the last event, and what it wrote by then is written.
    if let Some(telemetry) = telemetry {
        let _ = telemetry.await;
    }
    if let Some(leadership) = leadership {
        // The next one is elected at once, and not after the ttl.
        let _ = leadership.resign().await;
    }
    stopped?;
    ended
}

/// What ends it.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, ServeError> {
        let listen = |kind| signal(kind).map_err(ServeError::Signals);
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn recv(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The ports, and what is behind them.
struct Doors {
    routes: watch::Sender<Router>,
    admin: watch::Sender<Router>,
    stop: watch::Sender<bool>,
    serving: Vec<JoinHandle<()>>,
    /// Folder of results.
    out: PathBuf,
}

impl Doors {
    /// Opens the ports; until it leads, it says who does.
    async fn open(
        args: &ServeArgs,
        (listener, tls): (TcpListener, Option<Arc<Tls>>),
        leader: watch::Receiver<Option<Leader>>,
    ) -> Result<Self, ServeError> {
        let (stop, stopped) = watch::channel(false);
        let (routes, behind) = watch::channel(http::standby_routes(leader.clone()));
        let (admin, beside) = watch::channel(http::standby_routes(leader));
        let mut serving = vec![tokio::spawn(listener::serve(listener, tls, behind, stopped.clone()))];
        if let Some(address) = args.admin_listen {
            let listener = listen(address).await?;
            let at = listener.local_addr().unwrap_or(address);
            say(&format!("probes and metrics on http://{at}"));
            serving.push(tokio::spawn(listener::serve(listener, None, beside, stopped)));
        }
        Ok(Self { routes, admin, stop, serving, out: args.out.clone() })
    }

    fn lead(&self, handle: &Handle, place: &Place) {
        let services =
            rpc::services(handle.clone(), place.blobs.clone(), place.access.clone(), self.out.clone());
        let routes = services.merge(http::routes(handle.clone(), place.access.clone()));
        drop(self.routes.send_replace(routes));
        drop(self.admin.send_replace(http::admin_routes(handle.clone(), place.access.clone())));
    }

    async fn close(self) {
        let _ = self.stop.send(true);
        let ending = async {
            for task in self.serving {
                let _ = task.await;
            }
        };
        // Connections that linger must not hold the end.
        let _ = tokio::time::timeout(END, ending).await;
    }
}

fn timing(args: &ServeArgs) -> Timing {
    let default = Timing::default();
    let Some(ttl) = args.lease_ttl else { return default };
    let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1);
    // Four may be lost.
    Timing { lease_ttl_ms: ttl, heartbeat_ms: (ttl / 5).clamp(1, default.heartbeat_ms), ..default }
}

fn tls(args: &ServeArgs) -> Result<Option<Arc<Tls>>, ServeError> {
    match (&args.tls_cert, &args.tls_key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => {
            let client_ca = args.tls_client_ca.clone();
            let files = TlsFiles { certificate: certificate.clone(), key: key.clone(), client_ca };
            Ok(Some(Arc::new(Tls::open(files)?)))
        }
        _ => Err(ServeError::Half),
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, source })
}

/// How others reach this address; one that stands for all of this machine's, by its name.
fn reached(address: SocketAddr) -> String {
    let name = address.ip().is_unspecified().then(|| nix::sys::utsname::uname().ok()).flatten();
    let name = name.and_then(|system| system.nodename().to_str().map(str::to_owned));
    match name.filter(|name| !name.is_empty()) {
        Some(name) => format!("{name}:{}", address.port()),
        None => address.to_string(),
    }
}

fn tell(place: &Place, url: &str) {
    say(&format!("serving   {url}"));
    let token = |role| place.access.file(role).display().to_string();
    say(&format!("workers   ar-worker --coordinator {url} --token-file {}", token(Role::Worker)));
    say(&format!(
        "studies   ar-coordinator submit INPUT --coordinator {url} --token-file {}",
        token(Role::Submit)
    ));
    tracing::info!(url, "serving");
}
