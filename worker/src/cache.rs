//! The blobs of a worker: within a size, and whole.

use std::time::SystemTime;

use ar_common::{Digest, Outcome};
use ar_net::blobs::Swept;
use ar_net::transfer::{self, TransferError};
use ar_net::{BlobError, Cache, Pins};
use ar_proto::v1::coordinator_client::CoordinatorClient;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;

/// Removes what is over the limit and not needed, beside everything else.
pub(crate) fn tidy(cache: &Cache) {
    let cache = cache.clone();
    tokio::task::spawn_blocking(move || told(cache.evict(SystemTime::now())));
}

/// Removes so many bytes of what is not needed, if there are so many.
pub(crate) fn make_room(cache: &Cache, bytes: u64) {
    told(cache.make_room(bytes, SystemTime::now()));
}

fn told(swept: Result<Swept, BlobError>) {
    match swept {
        Ok(swept) if swept.blobs == 0 => {}
        Ok(swept) => {
            tracing::info!(blobs = swept.blobs, bytes = swept.bytes, "files that can be had again made room");
        }
        Err(error) => tracing::warn!(%error, "files that are not needed stay"),
    }
}

/// The files of a result, which must be here until it is acknowledged.
pub(crate) fn pin_results(cache: &Cache, outcome: &Outcome) -> Pins {
    let artifacts = outcome.measures().map_or(&[][..], |measures| &measures.artifacts);
    cache.pin(artifacts.iter().map(|artifact| artifact.digest))
}

/// From where blobs come.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) cache: Cache,
    pub(crate) client: Option<CoordinatorClient<Channel>>,
    pub(crate) authorization: String,
}

/// Why a blob is not here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    #[error("the coordinator is not connected")]
    Offline,
    #[error(transparent)]
    Transfer(#[from] TransferError),
}

impl Source {
    /// Gets a blob, unless it is here. It stays as long as what is returned.
    pub(crate) async fn fetch(&self, digest: Digest) -> Result<Pins, SourceError> {
        let pins = self.cache.pin([digest]);
        // What is here needs no coordinator.
        if self.cache.store().touch(&digest).map_err(TransferError::from)? {
            return Ok(pins);
        }
        let mut client = self.client.clone().ok_or(SourceError::Offline)?;
        let authorize = |metadata: &mut MetadataMap| {
            if let Ok(value) = self.authorization.parse() {
                metadata.insert(ar_proto::AUTHORIZATION, value);
            }
        };
        transfer::fetch(&mut client, self.cache.store(), digest, authorize).await?;
        Ok(pins)
    }

    /// Removes a blob that is not what its name says, so that it is fetched again.
    pub(crate) fn discard(&self, digest: Digest) -> Result<(), BlobError> {
        tracing::warn!(%digest, "a file in the cache was damaged; it is fetched again");
        self.cache.store().discard(&digest).map(drop)
    }
}
