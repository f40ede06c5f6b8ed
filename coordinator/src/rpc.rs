//! gRPC: sessions of workers, and blobs. Every call carries a token.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use ar_common::frames::WorkerFrame;
use ar_common::{Digest, Outcome, WorkerId};
use ar_core::{Input, SessionId};
use ar_net::{Access, Denied, Role};
use ar_proto::v1::coordinator_server::{Coordinator, CoordinatorServer};
use ar_proto::v1::studies_server::StudiesServer;
use ar_proto::v1::{BlobChunk, BlobHeld, BlobRequest, BlobStored, CoordinatorMessage, WorkerMessage};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::middleware::{self, Next};
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::transport::server::TcpConnectInfo;
use tonic::{Request, Response, Status, Streaming};

use crate::actor::{Ended, Event, Handle, Outgoing, Said};
use crate::blobs::{self, Blobs};
use crate::studies::StudiesService;
use crate::traces::Traces;

/// Frames that wait between a session and the wire.
const OUTBOUND: usize = 16;

/// The service.
#[derive(Debug, Clone)]
pub struct Service {
    handle: Handle,
    blobs: Blobs,
    gate: Gate,
}

/// The services of a coordinator, to be put on a listener.
/// `out` is the folder of results.
pub fn services(handle: Handle, blobs: Blobs, access: Access, out: PathBuf) -> Router {
    let gate = Gate { access };
    let guard = middleware::from_fn_with_state(gate.clone(), guard);
    let studies = StudiesService::new(handle.clone(), blobs.clone(), gate.clone(), out);
    let workers = CoordinatorServer::new(Service { handle, blobs, gate })
        .max_decoding_message_size(ar_proto::MESSAGE_LIMIT)
        .max_encoding_message_size(ar_proto::MESSAGE_LIMIT);
    // A study with a large space, and a report with many experiments, are documents of their own size.
    let studies = StudiesServer::new(studies)
        .max_decoding_message_size(ar_proto::DOCUMENT_LIMIT)
        .max_encoding_message_size(ar_proto::DOCUMENT_LIMIT);
    Routes::new(workers).add_service(studies).into_axum_router().layer(guard)
}

/// Lets nobody in who shows no token: a message is read before the service sees it, and may be large. Which token is good for
/// which call the services say.
async fn guard(
    State(gate): State<Gate>,
    request: axum::extract::Request,
    next: Next,
) -> axum::http::Response<Body> {
    let header = request.headers().get(ar_proto::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match gate.access.check_any(header, SystemTime::now()) {
        Ok(()) => next.run(request).await,
        Err(denied) => {
            let wanted = if request.uri().path().ends_with("/Session") { Role::Worker } else { Role::Submit };
            let denied = gate.access.check(wanted, header, SystemTime::now()).err().unwrap_or(denied);
            let from = request.extensions().get::<TcpConnectInfo>().and_then(|info| info.remote_addr);
            tracing::warn!(?from, %denied, "refused");
            Status::unauthenticated(denied.to_string()).into_http()
        }
    }
}

/// Lets in who shows the right token.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    access: Access,
}

impl Gate {
    /// Whether a request shows a token for `role`, or for any if none is asked for.
    pub(crate) fn check<T>(&self, request: &Request<T>, role: Option<Role>) -> Result<(), Status> {
        let header = request.metadata().get(ar_proto::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let now = SystemTime::now();
        let checked = match role {
            Some(role) => self.access.check(role, header, now),
            None => self.access.check_any(header, now),
        };
        checked.map_err(|denied| {
            tracing::warn!(from = ?request.remote_addr(), %denied, "refused");
            match denied {
                Denied::Other { .. } => Status::permission_denied(denied.to_string()),
                _ => Status::unauthenticated(denied.to_string()),
            }
        })
    }
}

impl From<Ended> for Status {
    fn from(ended: Ended) -> Self {
        Self::unavailable(ended.to_string())
    }
}

#[tonic::async_trait]
impl Coordinator for Service {
    type SessionStream = ReceiverStream<Result<CoordinatorMessage, Status>>;
    type GetBlobStream = Pin<Box<dyn Stream<Item = Result<BlobChunk, Status>> + Send>>;

    async fn session(
        &self,
        request: Request<Streaming<WorkerMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        self.gate.check(&request, Some(Role::Worker))?;
        let (session, outgoing) = self.handle.open().await?;
        let (sender, receiver) = mpsc::channel(OUTBOUND);
        tokio::spawn(send(outgoing, sender.clone(), self.handle.traces().clone()));
        let inbound =
            Inbound { session, worker: None, handle: self.handle.clone(), blobs: self.blobs.clone() };
        tokio::spawn(inbound.read(request.into_inner(), sender));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn get_blob(&self, request: Request<BlobRequest>) -> Result<Response<Self::GetBlobStream>, Status> {
        self.gate.check(&request, None)?;
        let BlobRequest { digest, offset } = request.into_inner();
        Ok(Response::new(Box::pin(self.blobs.read(blobs::parse(&digest)?, offset).await?)))
    }

    async fn put_blob(&self, request: Request<Streaming<BlobChunk>>) -> Result<Response<BlobStored>, Status> {
        self.gate.check(&request, None)?;
        let bytes = self.blobs.take(request.into_inner()).await?;
        Ok(Response::new(BlobStored { bytes }))
    }

    async fn blob_state(&self, request: Request<BlobRequest>) -> Result<Response<BlobHeld>, Status> {
        self.gate.check(&request, None)?;
        let digest = blobs::parse(&request.into_inner().digest)?;
        Ok(Response::new(self.blobs.state(digest).await?))
    }
}

/// Carries what the actor says to the wire.
async fn send(
    mut outgoing: mpsc::Receiver<Outgoing>,
    wire: mpsc::Sender<Result<CoordinatorMessage, Status>>,
    traces: Traces,
) {
    while let Some(next) = outgoing.recv().await {
        let (message, last) = match next {
            Outgoing::Frames(epoch, frames) => {
                let mut message = ar_proto::coordinator_message(epoch, &frames);
                traces.stamp(&mut message);
                (Ok(message), false)
            }
            Outgoing::Close { why, for_good: true } => (Err(Status::failed_precondition(why)), true),
            Outgoing::Close { why, for_good: false } => (Err(Status::aborted(why)), true),
        };
        if wire.send(message).await.is_err() || last {
            return;
        }
    }
}

/// Reads a worker's frames.
struct Inbound {
    session: SessionId,
    worker: Option<WorkerId>,
    handle: Handle,
    blobs: Blobs,
}

impl Inbound {
    async fn read(
        mut self,
        mut stream: Streaming<WorkerMessage>,
        wire: mpsc::Sender<Result<CoordinatorMessage, Status>>,
    ) {
        let ended = loop {
            match stream.message().await {
                Ok(Some(message)) => match self.take(message).await {
                    Ok(()) => {}
                    Err(status) => break Some(status),
                },
                Ok(None) => break None,
                Err(status) => {
                    tracing::debug!(session = self.session.0, %status, "a session ended");
                    break None;
                }
            }
        };
        if let Some(status) = ended {
            tracing::warn!(session = self.session.0, %status, "closing a session");
            let _ = wire.send(Err(status)).await;
        }
        // The actor may have ended before; then nobody need be told.
        let _ = self.handle.input(Input::Disconnected { session: self.session }).await;
    }

    async fn take(&mut self, message: WorkerMessage) -> Result<(), Status> {
        self.handle.traces().received(&message);
        let frames = ar_proto::read_worker_message(message)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let mut said = Vec::with_capacity(frames.len());
        for frame in frames {
            self.frame(frame, &mut said).await?;
        }
        Ok(self.handle.said(said).await?)
    }

    /// Adds what a frame says to what its message said before.
    async fn frame(&mut self, frame: WorkerFrame, said: &mut Vec<Said>) -> Result<(), Status> {
        let session = self.session;
        if let WorkerFrame::Hello(hello) = frame {
            self.worker = Some(hello.worker.clone());
            said.push(Said::Event(Event::Worker(Arc::new(hello.clone()))));
            said.push(Said::Input(Input::Hello { session, hello }));
            return Ok(());
        }
        let Some(worker) = self.worker.clone() else {
            return Err(Status::invalid_argument("the first frame of a session is Hello"));
        };
        let mut tell = |event| said.push(Said::Event(event));
        let input = match frame {
            WorkerFrame::Hello(_) => return Ok(()),
            WorkerFrame::Preparing { study, text } => {
                tell(Event::Preparing { worker, study, text });
                return Ok(());
            }
            WorkerFrame::Ready { study, unavailable, facts } => {
                tell(Event::Ready { worker, study: study.clone(), facts });
                Input::Ready { session, study, unavailable }
            }
            WorkerFrame::NotReady { study, why } => {
                tell(Event::NotReady { worker, study: study.clone(), why: why.clone() });
                Input::NotReady { session, study, why }
            }
            WorkerFrame::Heartbeat { leases, draining, slots, notice, why_fewer } => {
                if !notice.is_empty() {
                    tell(Event::Notice { worker, text: notice });
                }
                Input::Heartbeat { session, leases, draining, slots, why_fewer }
            }
            WorkerFrame::Started { lease } => {
                tell(Event::Started(lease.experiment));
                Input::Started { session, lease }
            }
            WorkerFrame::Progress { lease, figures } => {
                tell(Event::Progress(lease.experiment, figures));
                return Ok(());
            }
            WorkerFrame::Released { leases } => Input::Released { session, leases },
            WorkerFrame::Completed { lease, outcome, digest } => {
                self.check_blobs(&outcome).await?;
                if ar_common::frames::outcome_digest(&outcome) != digest {
                    return Err(Status::data_loss("a result does not hash to its digest"));
                }
                Input::Completed { session, lease, outcome, digest }
            }
        };
        said.push(Said::Input(input));
        Ok(())
    }

    /// A result may name only blobs that are here.
    async fn check_blobs(&self, outcome: &Outcome) -> Result<(), Status> {
        let artifacts = outcome.measures().map_or(&[][..], |measures| &measures.artifacts);
        let digests: Vec<Digest> = artifacts.iter().map(|artifact| artifact.digest).collect();
        let missing =
            self.blobs.missing(digests).await.map_err(|error| Status::unavailable(error.to_string()))?;
        match artifacts.iter().find(|artifact| missing.contains(&artifact.digest)) {
            Some(missing) => Err(Status::invalid_argument(format!(
                "a result names blob {} ({}), which was not sent",
                missing.digest, missing.name
            ))),
            None => Ok(()),
        }
    }
}
