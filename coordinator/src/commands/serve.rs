//! `serve`: a coordinator for many studies and many workers, until it is told to end.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ar_common::{Seq, StudyId};
use ar_core::{Input, State, Timing};
use ar_net::Role;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::Instant;

use super::output::{complain, say};
use super::place::{Place, PlaceError};
use crate::actor::{self, ActorError, Ended, Event, Handle};
use crate::cli::ServeArgs;
use crate::exit::Exit;
use crate::http;
use crate::journal::JournalError;
use crate::listener::{self, Tls, TlsError, TlsFiles};
use crate::publish::Publisher;
use crate::rpc;

/// Share of a study's time limit that is for searching; the rest is for confirming and the last fit.
const SEARCH_SHARE: f64 = 0.8;
/// How often clocks and results are looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How long connections may take to end.
const END: Duration = Duration::from_secs(1);

/// Why it does not serve.
#[derive(Debug, thiserror::Error)]
enum ServeError {
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
    Journal(#[from] JournalError),
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
    fn exit(&self) -> Exit {
        match self {
            Self::Open(_) | Self::Half | Self::Listen { .. } | Self::Tls(_) | Self::Place(_) => {
                Exit::BadInput
            }
            Self::Journal(_) | Self::Actor(ActorError::Journal(_)) => Exit::Store,
            _ => Exit::Internal,
        }
    }
}

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
    let place = Place::open(&args.out)?;
    tracing::info!(descriptors, "files and connections that may be open");
    let listener = listen(args.listen).await?;
    let admin = match args.admin_listen {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let journal = place.journal()?;
    let (handle, actor) = actor::start(Box::new(journal), timing(args)).await?;
    let (stop, stopped) = watch::channel(false);
    let routes = rpc::services(handle.clone(), place.blobs.clone(), place.access.clone()).into_axum_router();
    let routes = routes.merge(http::routes(handle.clone(), place.access.clone()));
    let address = listener.local_addr().unwrap_or(args.listen);
    let mut serving = vec![tokio::spawn(listener::serve(listener, tls.clone(), routes, stopped.clone()))];
    if let Some(admin) = admin {
        let at = admin.local_addr().map(|at| at.to_string()).unwrap_or_default();
        say(&format!("probes and metrics on http://{at}"));
        let routes = http::admin_routes(handle.clone(), place.access.clone());
        serving.push(tokio::spawn(listener::serve(admin, None, routes, stopped)));
    }
    tell(&place, address, tls.is_some());
    let ended = Keeper::new(&handle, &place, args.out.clone()).await?.keep().await;
    // Nothing new comes in; what is durable stays, and the store's lock is free on return.
    let _ = stop.send(true);
    handle.stop().await;
    let ending = async {
        for task in serving {
            let _ = task.await;
        }
    };
    let _ = tokio::time::timeout(END, ending).await;
    ended?;
    Ok(actor.await??)
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

fn tell(place: &Place, address: SocketAddr, tls: bool) {
    let scheme = if tls { "https" } else { "http" };
    say(&format!("serving   {scheme}://{address}"));
    say(&format!(
        "workers   ar-worker --coordinator {scheme}://{address} --token-file {}",
        place.access.file(Role::Worker).display()
    ));
    say(&format!(
        "studies   ar-coordinator submit INPUT --coordinator {scheme}://{address} --token-file {}",
        place.access.file(Role::Submit).display()
    ));
    tracing::info!(%address, tls, "serving");
}

/// When a study's search is over, and when all of it.
struct Clock {
    search: Option<Instant>,
    all: Instant,
}

/// Keeps the clocks of studies with a time limit, and their folders of results.
struct Keeper {
    handle: Handle,
    events: Receiver<Event>,
    clocks: BTreeMap<StudyId, Clock>,
    publishers: BTreeMap<StudyId, Publisher>,
    out: PathBuf,
    blobs: ar_net::BlobStore,
    seen: Seq,
}

impl Keeper {
    async fn new(handle: &Handle, place: &Place, out: PathBuf) -> Result<Self, ServeError> {
        let (_, events) = handle.watch().await?;
        Ok(Self {
            handle: handle.clone(),
            events,
            clocks: BTreeMap::new(),
            publishers: BTreeMap::new(),
            out,
            blobs: place.blobs.clone(),
            seen: Seq(0),
        })
    }

    async fn keep(mut self) -> Result<(), ServeError> {
        let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signals)?;
        let mut look = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                event = self.events.recv() => match event {
                    Ok(Event::Ready { study, .. }) => self.start_clock(study).await?,
                    Ok(_) => {}
                    // Clocks are started by the next worker that is ready.
                    Err(RecvError::Lagged(_)) => (_, self.events) = self.handle.watch().await?,
                    Err(RecvError::Closed) => return Ok(()),
                },
                _ = look.tick() => {
                    self.look_at_clocks().await?;
                    self.publish().await?;
                }
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
            }
        }
        for publisher in self.publishers.values_mut() {
            publisher.settle().await;
        }
        Ok(())
    }

    /// Making the environment does not count towards the time limit, so it runs from the first worker that is ready.
    async fn start_clock(&mut self, study: StudyId) -> Result<(), ServeError> {
        if self.clocks.contains_key(&study) {
            return Ok(());
        }
        let asked = study.clone();
        let limit = self.handle.ask(move |state, _| {
            let known = state.studies.get(&asked).filter(|known| !known.is_finished())?;
            Duration::try_from_secs_f64(known.spec.limits.study_seconds?).ok()
        });
        if let Some(limit) = limit.await? {
            let now = Instant::now();
            self.clocks
                .insert(study, Clock { search: Some(now + limit.mul_f64(SEARCH_SHARE)), all: now + limit });
        }
        Ok(())
    }

    async fn look_at_clocks(&mut self) -> Result<(), ServeError> {
        let now = Instant::now();
        let mut over = Vec::new();
        for (study, clock) in &mut self.clocks {
            if clock.search.is_some_and(|at| at <= now) {
                clock.search = None;
                over.push(Input::SearchTimeOver { study: study.clone() });
            }
            if clock.all <= now {
                over.push(Input::TimeOver { study: study.clone() });
            }
        }
        self.clocks.retain(|_, clock| clock.all > now);
        for input in over {
            self.handle.input(input).await?;
        }
        Ok(())
    }

    /// Writes the results of studies on which something has happened.
    async fn publish(&mut self) -> Result<(), ServeError> {
        let seen = self.seen;
        let state: Option<State> =
            self.handle.ask(move |state, _| (state.seq != seen).then(|| state.clone())).await?;
        let Some(state) = state else {
            return Ok(());
        };
        self.seen = state.seq;
        for id in state.studies.keys() {
            let (out, blobs) = (self.out.clone(), self.blobs.clone());
            let new = || Publisher::new(out, blobs, id.clone(), None);
            let publisher = self.publishers.entry(id.clone()).or_insert_with(new);
            publisher.offer(&state).await;
        }
        Ok(())
    }
}
