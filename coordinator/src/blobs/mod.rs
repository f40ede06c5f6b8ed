//! The blobs of a coordinator: what studies are made of, and what their experiments left.

mod sweep;

use ar_common::Digest;
use ar_net::{BlobError, BlobStore, transfer};
use ar_proto::v1::{BlobChunk, BlobHeld};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

pub(crate) use sweep::Sweeper;

/// The blobs of a coordinator.
#[derive(Debug, Clone)]
pub struct Blobs {
    folder: BlobStore,
}

impl From<BlobStore> for Blobs {
    fn from(folder: BlobStore) -> Self {
        Self { folder }
    }
}

impl Blobs {
    /// The folder in which they can be read.
    pub fn folder(&self) -> &BlobStore {
        &self.folder
    }

    /// Whether a blob is there; from now on it counts as used just now, and is not removed for a while.
    pub(crate) async fn touch(&self, digest: Digest) -> Result<bool, BlobError> {
        let folder = self.folder.clone();
        blocking(move || folder.touch(&digest)).await
    }

    /// The first of these that is not there; the others count as used just now.
    pub(crate) async fn first_missing(&self, digests: Vec<Digest>) -> Result<Option<Digest>, BlobError> {
        for digest in digests {
            if !self.touch(digest).await? {
                return Ok(Some(digest));
            }
        }
        Ok(None)
    }

    /// How much of a blob is there.
    pub(crate) async fn state(&self, digest: Digest) -> Result<BlobHeld, Status> {
        if self.touch(digest).await.map_err(internal)? {
            return Ok(BlobHeld { whole: true, bytes: 0 });
        }
        let folder = self.folder.clone();
        let bytes = blocking(move || folder.received(&digest)).await.map_err(internal)?;
        Ok(BlobHeld { whole: false, bytes })
    }

    /// A blob in chunks, from a byte on.
    pub(crate) async fn read(
        &self,
        digest: Digest,
        from: u64,
    ) -> Result<ReceiverStream<Result<BlobChunk, Status>>, Status> {
        match self.touch(digest).await.map_err(internal)? {
            true => Ok(transfer::chunks(&self.folder, digest, from)),
            false => Err(Status::not_found(format!("blob {digest} is not in the store"))),
        }
    }

    /// Takes a blob in chunks; its length. What came of one that is cut off stays, and the next one may begin there.
    pub(crate) async fn take(&self, mut stream: Streaming<BlobChunk>) -> Result<u64, Status> {
        let first = stream.message().await?.ok_or_else(|| Status::invalid_argument("no chunk came"))?;
        let digest = parse(&first.digest)?;
        let mut receiving = transfer::receive(&self.folder, digest).await.map_err(internal)?;
        let begin = first.offset;
        if begin == 0 {
            receiving.restart().map_err(internal)?;
        } else if begin != receiving.bytes() {
            // Another one went on with it, or it was removed: whoever sends asks again.
            return Err(Status::aborted(format!(
                "{} bytes of blob {digest} are here, it was sent from byte {begin} on",
                receiving.bytes()
            )));
        }
        let mut next = Some(first);
        while let Some(chunk) = next {
            transfer::fits(&receiving, &chunk.data)?;
            receiving.piece(&chunk.data).map_err(internal)?;
            next = stream.message().await?;
        }
        receiving.finish().map_err(|error| match error {
            // What came before was wrong, or this; sent from its beginning it may be right.
            BlobError::Lies { .. } if begin > 0 => Status::aborted(error.to_string()),
            BlobError::Lies { .. } => Status::invalid_argument(error.to_string()),
            _ => internal(error),
        })
    }
}

/// A digest that somebody sent.
pub(crate) fn parse(digest: &str) -> Result<Digest, Status> {
    digest
        .parse()
        .map_err(|error: ar_common::digest::DigestError| Status::invalid_argument(error.to_string()))
}

fn internal(error: BlobError) -> Status {
    Status::internal(error.to_string())
}

/// Does what asks a disk on a thread that may wait for it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
) -> Result<T, BlobError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| BlobError::Io { path: "blobs".into(), source: std::io::Error::other(error) })?
}
