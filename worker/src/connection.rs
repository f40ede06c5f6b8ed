//! The connection to the coordinator: opened, read, opened again with a jittered back-off.

use std::time::{Duration, Instant};

use ar_common::Epoch;
use ar_common::frames::CoordinatorFrame;
use ar_net::{Dial, Token};
use ar_proto::v1::WorkerMessage;
use ar_proto::v1::coordinator_client::CoordinatorClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::session::WorkerError;
use crate::traces::{self, Contexts};

/// Shortest and longest wait before connecting again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(10));
/// In between it waits for this part of the time for which there has been no session, so that an outage is longer for
/// it by no more than that.
const PART: u32 = 8;

/// An open stream.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) client: CoordinatorClient<Channel>,
    pub(crate) outbound: mpsc::Sender<WorkerMessage>,
}

/// What the connection tells the session.
#[derive(Debug)]
pub(crate) enum Event {
    Up(Line),
    Frames(Epoch, Vec<CoordinatorFrame>, Contexts),
    Down,
    /// The coordinator will never have this worker.
    Refused(String),
}

/// Keeps a stream open until nobody listens any more. Of several coordinators it takes the first that will have it, and after it was
/// lost the next.
pub(crate) fn keep_open(dial: &Dial, token: Token) -> Result<mpsc::Receiver<Event>, WorkerError> {
    let endpoints = dial.endpoints()?;
    let (sender, receiver) = mpsc::channel(64);
    tokio::spawn(async move {
        let mut lost = Instant::now();
        for endpoint in endpoints.iter().cycle() {
            if sender.is_closed() {
                return;
            }
            match stream(endpoint, &token, &sender).await {
                Ok(()) => lost = Instant::now(),
                Err(status) if is_final(status.code()) => {
                    let _ = sender.send(Event::Refused(status.message().to_owned())).await;
                    return;
                }
                Err(status) => tracing::info!(coordinator = %endpoint.uri(), %status, "no session"),
            }
            let jitter = 0.5 + rand::random::<f64>() / 2.0;
            let wait = (lost.elapsed() / PART).clamp(BACKOFF.0, BACKOFF.1);
            tokio::time::sleep(wait.mul_f64(jitter)).await;
        }
    });
    Ok(receiver)
}

/// Whether trying again would end the same way.
fn is_final(code: Code) -> bool {
    matches!(code, Code::Unauthenticated | Code::PermissionDenied | Code::FailedPrecondition)
}

/// One session: `Ok` if it was welcomed and then ended.
async fn stream(
    endpoint: &Endpoint,
    token: &Token,
    events: &mpsc::Sender<Event>,
) -> Result<(), tonic::Status> {
    let unavailable = |error: tonic::transport::Error| tonic::Status::unavailable(error.to_string());
    let channel = endpoint.connect().await.map_err(unavailable)?;
    let mut client = CoordinatorClient::new(channel).max_decoding_message_size(ar_proto::MESSAGE_LIMIT);
    let (outbound, queued) = mpsc::channel(64);
    let mut request = tonic::Request::new(ReceiverStream::new(queued));
    let header =
        token.header().parse().map_err(|_| tonic::Status::internal("the token is no header value"))?;
    request.metadata_mut().insert(ar_proto::AUTHORIZATION, header);
    let line = Line { client: client.clone(), outbound };
    // The response starts only after Hello, which the session sends as soon as the line is up.
    if events.send(Event::Up(line)).await.is_err() {
        return Ok(());
    }
    let ended = match client.session(request).await {
        Ok(response) => read(response.into_inner(), endpoint.uri(), events).await,
        Err(status) => Err(status),
    };
    let _ = events.send(Event::Down).await;
    ended
}

async fn read(
    mut inbound: tonic::Streaming<ar_proto::v1::CoordinatorMessage>,
    coordinator: &Uri,
    events: &mpsc::Sender<Event>,
) -> Result<(), tonic::Status> {
    let mut welcomed = false;
    loop {
        match inbound.message().await {
            Ok(Some(message)) => {
                let contexts = traces::contexts(&message);
                let (epoch, frames) = ar_proto::read_coordinator_message(message)
                    .map_err(|error| tonic::Status::invalid_argument(error.to_string()))?;
                if !welcomed {
                    tracing::info!(%coordinator, epoch = epoch.0, "joined");
                }
                welcomed = true;
                if events.send(Event::Frames(epoch, frames, contexts)).await.is_err() {
                    return Ok(());
                }
            }
            Ok(None) => return Ok(()),
            Err(status) if !welcomed => return Err(status),
            Err(status) => {
                tracing::info!(%status, "the session ended");
                return match status.code() {
                    code if is_final(code) => Err(status),
                    _ => Ok(()),
                };
            }
        }
    }
}
