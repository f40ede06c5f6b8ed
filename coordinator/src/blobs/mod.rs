//! The blobs of a coordinator: what studies are made of, and what their experiments left.

mod bucket;
mod sweep;

use std::sync::Arc;
use std::time::Duration;

use ar_common::Digest;
use ar_net::{BlobError, BlobStore, transfer};
use ar_proto::v1::{BlobChunk, BlobHeld};
use futures::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use bucket::Bucket;
pub use bucket::BucketError;
pub(crate) use sweep::{Sweeper, UNREFERENCED};

/// The blobs of a coordinator.
#[derive(Debug, Clone)]
pub struct Blobs {
    /// They are here, or may be: where there is a bucket, it has all of them.
    folder: BlobStore,
    bucket: Option<Bucket>,
}

impl From<BlobStore> for Blobs {
    fn from(folder: BlobStore) -> Self {
        Self { folder, bucket: None }
    }
}

impl Blobs {
    /// Those in the store of objects at `url`, with `folder` for what is being read. What nobody refers to is kept for `keep`.
    ///
    /// # Errors
    /// When it cannot be used.
    pub async fn in_bucket(folder: BlobStore, url: &str, keep: Duration) -> Result<Self, BucketError> {
        Ok(Self::over(folder, Bucket::open(url, keep).await?))
    }

    fn over(folder: BlobStore, bucket: Bucket) -> Self {
        Self { folder: folder.with_origin(Arc::new(bucket.clone())), bucket: Some(bucket) }
    }

    /// The folder in which they can be read. Where there is a bucket, this may wait for it.
    pub fn folder(&self) -> &BlobStore {
        &self.folder
    }

    /// Whether a blob is there; from now on it counts as used just now, and is not removed for a while.
    pub(crate) async fn touch(&self, digest: Digest) -> Result<bool, BlobError> {
        match &self.bucket {
            Some(bucket) => bucket.touch(&digest).await,
            None => {
                let folder = self.folder.clone();
                blocking(move || folder.touch(&digest)).await
            }
        }
    }

    /// Hands on a blob that was put into the folder.
    pub(crate) async fn keep(&self, digest: Digest) -> Result<(), BlobError> {
        match &self.bucket {
            Some(bucket) => bucket.put(&self.folder, &digest).await,
            None => Ok(()),
        }
    }

    /// Which of these are not there; the others count as used just now.
    pub(crate) async fn missing(&self, digests: Vec<Digest>) -> Result<Vec<Digest>, BlobError> {
        let look = |digest| async move { Ok::<_, BlobError>((digest, self.touch(digest).await?)) };
        let mut looked = futures::stream::iter(digests).map(look).buffered(bucket::AT_ONCE);
        let mut missing = Vec::new();
        while let Some(next) = looked.next().await {
            let (digest, there) = next?;
            if !there {
                missing.push(digest);
            }
        }
        Ok(missing)
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
        let mut there = self.touch(digest).await.map_err(internal)?;
        if let Some(bucket) = self.bucket.as_ref().filter(|_| there && !self.folder.contains(&digest)) {
            there = bucket.bring(&self.folder, &digest).await.map_err(internal)?;
        }
        match there {
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
        let bytes = receiving.finish().map_err(|error| match error {
            // What came before was wrong, or this; sent from its beginning it may be right.
            BlobError::Lies { .. } if begin > 0 => Status::aborted(error.to_string()),
            BlobError::Lies { .. } => Status::invalid_argument(error.to_string()),
            _ => internal(error),
        })?;
        self.keep(digest).await.map_err(internal)?;
        Ok(bytes)
    }
}

/// A digest that somebody sent.
pub(crate) fn parse(digest: &str) -> Result<Digest, Status> {
    digest
        .parse()
        .map_err(|error: ar_common::digest::DigestError| Status::invalid_argument(error.to_string()))
}

#[expect(clippy::needless_pass_by_value, reason = "what `map_err` hands over")]
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
