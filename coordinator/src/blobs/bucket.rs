//! Blobs in a store of objects: S3, GCS, Azure, or a folder that several machines mount.
//!
//! ```text
//! PREFIX/blobs/DIGEST   a blob
//! PREFIX/used/DIGEST    empty; its time says when the blob was last used, where that was long after it came
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ar_common::Digest;
use ar_net::blobs::Origin;
use ar_net::{BlobError, BlobStore, transfer};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::buffered::BufWriter;
use object_store::path::Path;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutPayload};
use tokio::io::AsyncWriteExt as _;
use tokio::runtime::Handle;
use tokio::sync::RwLock;

/// Requests that are on their way at once.
pub(super) const AT_ONCE: usize = 32;
/// Beginnings of the variables by which the clouds' own tools are set up.
const VARIABLES: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];

/// Why a store of objects cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BucketError {
    /// It is no address.
    #[error(
        "`{url}` is no store of objects ({why}); write it like s3://bucket/prefix, gs://bucket, az://container or file:///folder"
    )]
    Address {
        /// What was given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// It does not answer as asked.
    #[error(
        "cannot use {url}: {source}; look at its name and at the variables with its credentials (AWS_..., GOOGLE_..., AZURE_...)"
    )]
    Refused {
        /// Where it is.
        url: String,
        /// What it said.
        source: Error,
    },
}

/// A part of a store of objects.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    runtime: Handle,
    /// A blob that was used within this time is not marked as used again.
    fresh: Duration,
    /// Held alone while a blob is removed, and by many while blobs are found to be there and marked as used.
    removing: Arc<RwLock<()>>,
}

impl Bucket {
    /// The one at `url`, with what the environment says of its credentials. It is written to and read from once.
    pub(crate) async fn open(url: &str, keep: Duration) -> Result<Self, BucketError> {
        // There is one in a process; who installed it first did so for all.
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        let address = |why: String| BucketError::Address { url: url.to_owned(), why };
        let parsed = reqwest::Url::parse(url).map_err(|error| address(error.to_string()))?;
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| VARIABLES.iter().any(|begin| name.starts_with(begin)));
        let (store, prefix) =
            object_store::parse_url_opts(&parsed, variables).map_err(|error| address(error.to_string()))?;
        let bucket = Self::over(store.into(), prefix, keep);
        bucket.try_out().await.map_err(|source| BucketError::Refused { url: url.to_owned(), source })?;
        Ok(bucket)
    }

    pub(crate) fn over(store: Arc<dyn ObjectStore>, prefix: Path, keep: Duration) -> Self {
        Self { store, prefix, runtime: Handle::current(), fresh: keep / 2, removing: Arc::default() }
    }

    async fn try_out(&self) -> Result<(), Error> {
        let path = self.prefix.clone().join("reached");
        self.store.put(&path, PutPayload::new()).await?;
        self.store.head(&path).await.map(drop)
    }

    fn blob(&self, digest: &Digest) -> Path {
        self.prefix.clone().join("blobs").join(digest.to_string())
    }

    fn used(&self, digest: &Digest) -> Path {
        self.prefix.clone().join("used").join(digest.to_string())
    }

    /// Whether a blob is there; from now on it counts as used just now.
    pub(super) async fn touch(&self, digest: &Digest) -> Result<bool, BlobError> {
        let _guard = self.removing.read().await;
        let failed = elsewhere(*digest);
        let Some(meta) = self.head(&self.blob(digest)).await.map_err(&failed)? else { return Ok(false) };
        let since = SystemTime::now().duration_since(meta.last_modified.into()).unwrap_or_default();
        if since > self.fresh {
            self.store.put(&self.used(digest), PutPayload::new()).await.map_err(&failed)?;
        }
        Ok(true)
    }

    async fn head(&self, path: &Path) -> Result<Option<ObjectMeta>, Error> {
        match self.store.head(path).await {
            Err(Error::NotFound { .. }) => Ok(None),
            meta => meta.map(Some),
        }
    }

    /// Hands a blob of the folder over, unless it is there.
    pub(super) async fn put(&self, folder: &BlobStore, digest: &Digest) -> Result<(), BlobError> {
        if self.touch(digest).await? {
            return Ok(());
        }
        let path = folder.path(digest);
        let sent = async {
            let mut file = tokio::fs::File::open(&path).await?;
            let mut writer = BufWriter::new(Arc::clone(&self.store), self.blob(digest));
            match tokio::io::copy(&mut file, &mut writer).await {
                Ok(_) => writer.shutdown().await,
                Err(error) => {
                    // What was sent of it must not be paid for.
                    let _ = writer.abort().await;
                    Err(error)
                }
            }
        };
        let failed =
            |source: io::Error| BlobError::Elsewhere { what: digest.to_string(), source: source.into() };
        sent.await.map_err(failed)
    }

    /// Brings a blob into the folder, verified; whether there is one.
    pub(super) async fn bring(&self, folder: &BlobStore, digest: &Digest) -> Result<bool, BlobError> {
        let failed = elsewhere(*digest);
        let got = match self.store.get(&self.blob(digest)).await {
            Err(Error::NotFound { .. }) => return Ok(false),
            got => got.map_err(&failed)?,
        };
        let mut receiving = transfer::receive(folder, *digest).await?;
        receiving.restart()?;
        let mut stream = got.into_stream();
        while let Some(piece) = stream.try_next().await.map_err(&failed)? {
            receiving.piece(&piece)?;
        }
        receiving.finish()?;
        Ok(true)
    }

    /// Removes what `needed` does not name and that was not used since `before`, and hands over what is needed and only in the
    /// folder; how many were removed.
    pub(super) async fn sweep(
        &self,
        folder: &BlobStore,
        before: SystemTime,
        needed: &BTreeSet<Digest>,
    ) -> Result<u64, BlobError> {
        let (blobs, used) = (self.list("blobs").await?, self.list("used").await?);
        // A folder of blobs that was there before the store of objects was.
        for digest in needed.iter().filter(|digest| !blobs.contains_key(digest) && folder.contains(digest)) {
            self.put(folder, digest).await?;
        }
        let mut removed = 0;
        let old = |(digest, came): &(&Digest, &SystemTime)| {
            !needed.contains(digest) && **came < before && used.get(digest).is_none_or(|used| *used < before)
        };
        for (digest, _) in blobs.iter().filter(old) {
            let _guard = self.removing.write().await;
            // Somebody may have asked for it since it was listed.
            let again = self.head(&self.used(digest)).await.map_err(elsewhere(*digest))?;
            if again.is_some_and(|meta| SystemTime::from(meta.last_modified) >= before) {
                continue;
            }
            self.remove(&self.blob(digest)).await.map_err(elsewhere(*digest))?;
            self.remove(&self.used(digest)).await.map_err(elsewhere(*digest))?;
            folder.discard(digest)?;
            removed += 1;
        }
        Ok(removed)
    }

    async fn remove(&self, path: &Path) -> Result<(), Error> {
        match self.store.delete(path).await {
            Err(Error::NotFound { .. }) => Ok(()),
            removed => removed,
        }
    }

    /// The objects of a part, with their times.
    async fn list(&self, part: &str) -> Result<BTreeMap<Digest, SystemTime>, BlobError> {
        let folder = self.prefix.clone().join(part);
        let digest = |meta: &ObjectMeta| meta.location.filename()?.parse::<Digest>().ok();
        let listed = self.store.list(Some(&folder)).map(|meta| meta.map(|meta| (digest(&meta), meta)));
        let listed: Vec<_> = listed.try_collect().await.map_err(elsewhere(&folder))?;
        Ok(listed
            .into_iter()
            .filter_map(|(digest, meta)| Some((digest?, meta.last_modified.into())))
            .collect())
    }
}

impl Origin for Bucket {
    fn bring(&self, store: &BlobStore, digest: &Digest) -> Result<bool, BlobError> {
        self.runtime.block_on(self.bring(store, digest))
    }
}

fn elsewhere(what: impl std::fmt::Display) -> impl Fn(Error) -> BlobError {
    move |source| BlobError::Elsewhere { what: what.to_string(), source: source.into() }
}

#[cfg(test)]
mod tests;
