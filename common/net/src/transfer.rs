//! Blobs over gRPC: chunks out of a file, and a verified file out of chunks.

use std::io;

use ar_common::Digest;
use ar_proto::CHUNK;
use ar_proto::v1::coordinator_client::CoordinatorClient;
use ar_proto::v1::{BlobChunk, BlobRequest};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::transport::Channel;

use crate::blobs::{BlobError, BlobStore};

/// Largest blob that is taken, bytes. Larger data goes by reference.
pub const BLOB_LIMIT: u64 = 4 * 1024 * 1024 * 1024;

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

/// The chunks of a blob, read as they are asked for.
pub fn chunks(store: &BlobStore, digest: Digest) -> ReceiverStream<Result<BlobChunk, Status>> {
    let (sender, receiver) = mpsc::channel(4);
    let path = store.path(&digest);
    tokio::spawn(async move {
        if let Err(error) = send_chunks(&path, digest, &sender).await {
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
    sender: &mpsc::Sender<Result<BlobChunk, Status>>,
) -> io::Result<()> {
    let mut file = tokio::fs::File::open(path).await?;
    let mut name = digest.to_string();
    loop {
        let mut data = vec![0; CHUNK];
        let read = file.read(&mut data).await?;
        data.truncate(read);
        let first = !name.is_empty();
        if read == 0 && !first {
            return Ok(());
        }
        let chunk = BlobChunk { digest: std::mem::take(&mut name), data };
        if sender.send(Ok(chunk)).await.is_err() || read == 0 {
            return Ok(());
        }
    }
}

/// Fetches a blob from the coordinator, verified, unless it is here.
///
/// # Errors
/// When the coordinator does not have it, what arrives is something else, or it cannot be kept.
pub async fn fetch(
    client: &mut CoordinatorClient<Channel>,
    store: &BlobStore,
    digest: Digest,
    authorize: impl Fn(&mut tonic::metadata::MetadataMap),
) -> Result<(), TransferError> {
    if store.contains(&digest) {
        return Ok(());
    }
    let remote = |status: Status| TransferError::Remote { digest, status: Box::new(status) };
    let mut request = tonic::Request::new(BlobRequest { digest: digest.to_string() });
    authorize(request.metadata_mut());
    let mut stream = client.get_blob(request).await.map_err(remote)?.into_inner();
    let mut receiving = store.receive(digest)?;
    while let Some(chunk) = stream.message().await.map_err(remote)? {
        if receiving.bytes() + chunk.data.len() as u64 > BLOB_LIMIT {
            return Err(remote(Status::resource_exhausted("larger than any blob may be")));
        }
        receiving.piece(&chunk.data)?;
    }
    receiving.finish()?;
    Ok(())
}

/// Sends a blob to the coordinator.
///
/// # Errors
/// When it is not here or the coordinator does not take it.
pub async fn send(
    client: &mut CoordinatorClient<Channel>,
    store: &BlobStore,
    digest: Digest,
    authorize: impl Fn(&mut tonic::metadata::MetadataMap),
) -> Result<(), TransferError> {
    if !store.contains(&digest) {
        return Err(BlobError::Missing(digest).into());
    }
    use tokio_stream::StreamExt;
    // A chunk that cannot be read ends the stream; the other side then sees a wrong hash.
    let stream = chunks(store, digest).map_while(Result::ok);
    let mut request = tonic::Request::new(stream);
    authorize(request.metadata_mut());
    client
        .put_blob(request)
        .await
        .map_err(|status| TransferError::Remote { digest, status: Box::new(status) })?;
    Ok(())
}
