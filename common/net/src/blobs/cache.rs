//! Blobs on a machine that can get them again: within a size, what was used longest ago goes first.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use ar_common::Digest;

use super::{BlobError, BlobStore, Stored, Swept};

/// What came within this time is kept: it is somebody's who has not said so yet.
const FRESH: Duration = Duration::from_secs(60);

/// A folder of blobs with a limit.
#[derive(Debug, Clone)]
pub struct Cache {
    store: BlobStore,
    /// Bytes.
    limit: u64,
    fresh: Duration,
    /// How many need each blob.
    pinned: Arc<Mutex<BTreeMap<Digest, usize>>>,
}

/// Blobs that are not removed as long as this lives.
#[derive(Debug)]
pub struct Pins {
    digests: Vec<Digest>,
    pinned: Arc<Mutex<BTreeMap<Digest, usize>>>,
}

impl Cache {
    /// At most `limit` bytes in this folder, beside what is needed.
    pub fn new(store: BlobStore, limit: u64) -> Self {
        Self { store, limit, fresh: FRESH, pinned: Arc::default() }
    }

    /// How many bytes are kept where nothing else is said: 20 GiB, or a quarter of the file system if that is less.
    pub fn usual(store: &BlobStore) -> u64 {
        const MOST: u64 = 20 << 30;
        let disk = rustix::fs::statvfs(&store.root);
        disk.map_or(MOST, |disk| MOST.min(disk.f_blocks.saturating_mul(disk.f_frsize) / 4))
    }

    /// The folder.
    pub fn store(&self) -> &BlobStore {
        &self.store
    }

    /// Keeps these blobs, which may come later, until what is returned is dropped.
    #[must_use]
    pub fn pin(&self, digests: impl IntoIterator<Item = Digest>) -> Pins {
        let digests: Vec<Digest> = digests.into_iter().collect();
        let mut pinned = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        for digest in &digests {
            *pinned.entry(*digest).or_default() += 1;
        }
        drop(pinned);
        Pins { digests, pinned: Arc::clone(&self.pinned) }
    }

    /// Removes what is needed least until the folder is within its limit, or only what is needed is left.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn evict(&self, now: SystemTime) -> Result<Swept, BlobError> {
        let stored = self.store.list()?;
        let total: u64 = stored.iter().map(|blob| blob.bytes).sum();
        self.remove(stored, total.saturating_sub(self.limit), now)
    }

    /// Removes what is needed least until so many bytes are free that were not, or only what is needed is left.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn make_room(&self, bytes: u64, now: SystemTime) -> Result<Swept, BlobError> {
        self.remove(self.store.list()?, bytes, now)
    }

    fn remove(&self, mut stored: Vec<Stored>, bytes: u64, now: SystemTime) -> Result<Swept, BlobError> {
        let mut swept = Swept::default();
        let before = now.checked_sub(self.fresh).unwrap_or(SystemTime::UNIX_EPOCH);
        stored.sort_by_key(|blob| blob.used);
        for blob in stored {
            if swept.bytes >= bytes {
                break;
            }
            // Held until it is gone: whoever pins it after that finds that it is, and gets it again.
            let pinned = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
            if !pinned.contains_key(&blob.digest) && self.store.remove_unused(&blob.digest, before)? {
                swept.blobs += 1;
                swept.bytes += blob.bytes;
            }
        }
        Ok(swept)
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        let mut pinned = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        for digest in &self.digests {
            if let Some(count) = pinned.get_mut(digest) {
                *count -= 1;
                if *count == 0 {
                    pinned.remove(digest);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_goes_first_and_never_what_is_needed() {
        let folder = tempfile::tempdir().unwrap();
        let store = BlobStore::open(folder.path()).unwrap();
        let now = SystemTime::now();
        let blobs: Vec<Digest> = (0..4_u8).map(|i| store.put(&[i; 100]).unwrap()).collect();
        // The first was used last.
        for (digest, ago) in blobs.iter().zip([100, 400, 300, 200]) {
            let file = std::fs::File::open(store.path(digest)).unwrap();
            file.set_modified(now - Duration::from_secs(ago)).unwrap();
        }
        let here = |store: &BlobStore| blobs.iter().map(|d| store.contains(d)).collect::<Vec<_>>();
        let cache = Cache::new(store.clone(), 250);
        let pins = cache.pin([blobs[1]]);
        let again = cache.pin([blobs[1]]);
        assert_eq!(cache.evict(now).unwrap(), Swept { blobs: 2, partial: 0, bytes: 200 });
        assert_eq!(here(&store), [true, true, false, false]);
        assert_eq!(cache.make_room(0, now).unwrap(), Swept::default());
        assert_eq!(cache.make_room(1, now).unwrap(), Swept { blobs: 1, partial: 0, bytes: 100 });
        assert_eq!(here(&store), [false, true, false, false]);
        let cache = Cache { limit: 0, ..cache };
        drop(pins);
        cache.evict(now).unwrap();
        assert_eq!(here(&store), [false, true, false, false], "somebody needs it still");
        drop(again);
        let fresh = store.put(b"fresh").unwrap();
        cache.evict(now).unwrap();
        assert_eq!(here(&store), [false; 4]);
        assert!(store.contains(&fresh), "it came just now");
    }
}
