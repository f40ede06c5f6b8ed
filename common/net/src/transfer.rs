//! Blobs over gRPC: chunks out of a file, and a verified file out of chunks. After a cut connection either way goes on from the
//! byte that was reached.

use std::io::{self, SeekFrom};
use std::time::Duration;

use ar_common::Digest;
use ar_proto::CHUNK;
use ar_proto::v1::coordinator_client::CoordinatorClient;
use ar_proto::v1::{BlobChunk, BlobRequest};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::blobs::{BlobError, BlobStore, Receiving};

/// Largest blob that is taken, bytes. Larger data goes by reference.
pub const BLOB_LIMIT: u64 = 4 * 1024 * 1024 * 1024;

/// First and longest wait before going on after a cut connection.
const WAIT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How often in a row nothing may have arrived before it is given up: about 20 s, in which a coordinator is back that was started
/// anew.
const FRUITLESS: u32 = 8;

/// What can go wrong on the way.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The store on this side.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The other side, or the connection.
    #[error("cannot transfer blob {digest}: {status}")]
    Remote {
        /// Which blob.
        digest: Digest,
        /// What was answered.
        status: Box<Status>,
    },
}

impl TransferError {
    fn remote(digest: Digest) -> impl Fn(Status) -> Self {
        move |status| Self::Remote { digest, status: Box::new(status) }
    }

    /// Whether going on may end otherwise.
    fn passes(&self) -> bool {
        match self {
            // The wrong beginning is gone.
            Self::Blob(BlobError::Lies { .. }) => true,
            Self::Blob(_) => false,
            // A connection that ends in the middle of a stream is told as any of these.
            Self::Remote { status, .. } => matches!(
                status.code(),
                Code::Unavailable
                    | Code::Unknown
                    | Code::Cancelled
                    | Code::Internal
                    | Code::Aborted
                    | Code::DeadlineExceeded
            ),
        }
    }
}

/// The chunks of a blob from a byte on, read as they are asked for; from its beginning if it is shorter than that.
pub fn chunks(store: &BlobStore, digest: Digest, from: u64) -> ReceiverStream<Result<BlobChunk, Status>> {
    let (sender, receiver) = mpsc::channel(4);
    let path = store.path(&digest);
    tokio::spawn(async move {
        if let Err(error) = send_chunks(&path, digest, from, &sender).await {
            let status = match error.kind() {
                io::ErrorKind::NotFound => Status::not_found(format!("blob {digest} is not in the store")),
                _ => Status::internal(format!("cannot read blob {digest}: {error}")),
            };
            let _ = sender.send(Err(status)).await;
        }
    });
    ReceiverStream::new(receiver)
}

async fn send_chunks(
    path: &std::path::Path,
    digest: Digest,
    from: u64,
    sender: &mpsc::Sender<Result<BlobChunk, Status>>,
) -> io::Result<()> {
    let mut file = tokio::fs::File::open(path).await?;
    let mut offset = if from <= file.metadata().await?.len() { from } else { 0 };
    file.seek(SeekFrom::Start(offset)).await?;
    let mut name = digest.to_string();
    loop {
        let mut data = vec![0; CHUNK];
        let read = file.read(&mut data).await?;
        data.truncate(read);
        let first = !name.is_empty();
        if read == 0 && !first {
            return Ok(());
        }
        let chunk =
            BlobChunk { digest: std::mem::take(&mut name), data, offset: std::mem::take(&mut offset) };
        if sender.send(Ok(chunk)).await.is_err() || read == 0 {
            return Ok(());
        }
    }
}

/// Begins to receive a blob, or goes on; what arrived before is hashed, on a thread that may take its time.
///
/// # Errors
/// When no file can be made or read.
pub async fn receive(store: &BlobStore, digest: Digest) -> Result<Receiving, BlobError> {
    let store = store.clone();
    let root = store.path(&digest);
    tokio::task::spawn_blocking(move || store.receive(digest))
        .await
        .map_err(|error| BlobError::Io { path: root, source: io::Error::other(error) })?
}

/// Whether a blob may become larger by `data`.
///
/// # Errors
/// When it may not.
pub fn fits(receiving: &Receiving, data: &[u8]) -> Result<(), Status> {
    if receiving.bytes() + data.len() as u64 > BLOB_LIMIT {
        return Err(Status::resource_exhausted("the blob is larger than any may be"));
    }
    Ok(())
}

/// Fetches a blob from the coordinator, verified, unless it is here.
///
/// # Errors
/// When the coordinator does not have it, what arrives is something else, or it cannot be kept.
pub async fn fetch(
    client: &mut CoordinatorClient<Channel>,
    store: &BlobStore,
    digest: Digest,
    authorize: impl Fn(&mut MetadataMap),
) -> Result<(), TransferError> {
    let mut patience = Patience::new();
    while !store.touch(&digest)? {
        let before = store.received(&digest)?;
        match fetch_once(client, store, digest, &authorize).await {
            Ok(()) => return Ok(()),
            Err(error) if !error.passes() => return Err(error),
            // The coordinator itself has something else under that name.
            Err(error @ TransferError::Blob(_)) if before == 0 => return Err(error),
            Err(error) => patience.wait(store.received(&digest)? > before, error).await?,
        }
    }
    Ok(())
}

async fn fetch_once(
    client: &mut CoordinatorClient<Channel>,
    store: &BlobStore,
    digest: Digest,
    authorize: impl Fn(&mut MetadataMap),
) -> Result<(), TransferError> {
    let remote = TransferError::remote(digest);
    let mut receiving = receive(store, digest).await?;
    let offset = receiving.bytes();
    let mut request = tonic::Request::new(BlobRequest { digest: digest.to_string(), offset });
    authorize(request.metadata_mut());
    let mut stream = client.get_blob(request).await.map_err(&remote)?.into_inner();
    let mut first = true;
    while let Some(chunk) = stream.message().await.map_err(&remote)? {
        // One that knows no offsets, or has a shorter blob, sends it from its beginning.
        if std::mem::take(&mut first) && chunk.offset != offset {
            receiving.restart()?;
        }
        fits(&receiving, &chunk.data).map_err(&remote)?;
        receiving.piece(&chunk.data)?;
    }
    receiving.finish()?;
    Ok(())
}

/// Sends a blob to the coordinator, unless it is there.
///
/// # Errors
/// When it is not here or the coordinator does not take it.
pub async fn send(
    client: &mut CoordinatorClient<Channel>,
    store: &BlobStore,
    digest: Digest,
    authorize: impl Fn(&mut MetadataMap),
) -> Result<(), TransferError> {
    if !store.contains(&digest) {
        return Err(BlobError::Missing(digest).into());
    }
    let mut patience = Patience::new();
    let mut reached = 0;
    loop {
        let error = match send_once(client, store, digest, &authorize).await {
            Ok(None) => return Ok(()),
            Ok(Some((from, status))) => {
                let further = from > std::mem::replace(&mut reached, from);
                (further, TransferError::remote(digest)(status))
            }
            Err(error) => (false, error),
        };
        if !error.1.passes() {
            return Err(error.1);
        }
        patience.wait(error.0, error.1).await?;
    }
}

/// `None` if it is there; else from which byte on it was sent, and what came of it.
async fn send_once(
    client: &mut CoordinatorClient<Channel>,
    store: &BlobStore,
    digest: Digest,
    authorize: impl Fn(&mut MetadataMap),
) -> Result<Option<(u64, Status)>, TransferError> {
    let mut request = tonic::Request::new(BlobRequest { digest: digest.to_string(), offset: 0 });
    authorize(request.metadata_mut());
    let from = match client.blob_state(request).await {
        Ok(held) if held.get_ref().whole => return Ok(None),
        Ok(held) => held.get_ref().bytes,
        // One of before there were offsets.
        Err(status) if status.code() == Code::Unimplemented => 0,
        Err(status) => return Err(TransferError::remote(digest)(status)),
    };
    // A chunk that cannot be read ends the stream; the other side then sees a wrong hash.
    let stream = chunks(store, digest, from).map_while(Result::ok);
    let mut request = tonic::Request::new(stream);
    authorize(request.metadata_mut());
    Ok(client.put_blob(request).await.err().map(|status| (from, status)))
}

/// How long to go on after cut connections.
struct Patience {
    wait: Duration,
    fruitless: u32,
}

impl Patience {
    fn new() -> Self {
        Self { wait: WAIT.0, fruitless: 0 }
    }

    /// Waits before going on; gives `error` back where that is of no use any more.
    async fn wait(&mut self, further: bool, error: TransferError) -> Result<(), TransferError> {
        if further {
            *self = Self::new();
        }
        self.fruitless += 1;
        if self.fruitless > FRUITLESS {
            return Err(error);
        }
        tracing::info!(%error, "going on with a blob");
        let jitter = 0.5 + rand::random::<f64>() / 2.0;
        tokio::time::sleep(self.wait.mul_f64(jitter)).await;
        self.wait = (self.wait * 2).min(WAIT.1);
        Ok(())
    }
}
