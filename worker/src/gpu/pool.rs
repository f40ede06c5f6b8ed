//! Who holds which GPU. Whatever way an attempt ends, what it held is free again, or kept aside with a reason.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The GPUs of a worker, by UUID.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    /// The last is taken first: what was used last is warm.
    free: Vec<String>,
    quarantined: BTreeSet<String>,
    all: usize,
}

/// GPUs that an attempt holds; dropped, they are free.
#[derive(Debug)]
pub(super) struct Held {
    pool: Pool,
    uuids: Vec<String>,
}

impl Pool {
    /// All of these are free; the first is taken first.
    pub(super) fn new(uuids: impl IntoIterator<Item = String>) -> Self {
        let mut free: Vec<String> = uuids.into_iter().collect();
        free.reverse();
        let state = State { all: free.len(), free, quarantined: BTreeSet::new() };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), changed: Notify::new() }) }
    }

    /// Takes that many as soon as they are free: of those wanted what is free, else others.
    pub(super) async fn take(&self, count: usize, wanted: &[String]) -> Held {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            // From here on no change is missed.
            changed.as_mut().enable();
            if let Some(held) = self.try_take(count, wanted) {
                return held;
            }
            changed.await;
        }
    }

    fn try_take(&self, count: usize, wanted: &[String]) -> Option<Held> {
        let mut state = self.state();
        if state.free.len() < count {
            return None;
        }
        let mut uuids = Vec::with_capacity(count);
        for wish in wanted {
            if let Some(place) = state.free.iter().position(|free| free == wish && uuids.len() < count) {
                uuids.push(state.free.remove(place));
            }
        }
        while uuids.len() < count {
            uuids.push(state.free.pop()?);
        }
        Some(Held { pool: self.clone(), uuids })
    }

    /// How many are not quarantined.
    pub(super) fn usable(&self) -> usize {
        let state = self.state();
        state.all.saturating_sub(state.quarantined.len())
    }

    /// A quarantined one is whole again.
    pub(super) fn readmit(&self, uuid: &str) {
        let mut state = self.state();
        if state.quarantined.remove(uuid) {
            state.free.push(uuid.to_owned());
        }
        drop(state);
        self.shared.changed.notify_waiters();
    }

    /// No code panics while it holds this, and what it guards is whole at every moment.
    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Which, in the order in which they were taken.
    pub(super) fn uuids(&self) -> &[String] {
        &self.uuids
    }

    /// Keeps one aside, to be used again only when it is readmitted.
    pub(super) fn quarantine(&mut self, uuid: &str) {
        if let Some(place) = self.uuids.iter().position(|held| held == uuid) {
            let uuid = self.uuids.remove(place);
            self.pool.state().quarantined.insert(uuid);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let given_back = std::mem::take(&mut self.uuids);
        self.pool.state().free.extend(given_back.into_iter().rev());
        self.pool.shared.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn pool() -> Pool {
        Pool::new(["a", "b", "c"].map(str::to_owned))
    }

    fn wish(uuids: &[&str]) -> Vec<String> {
        uuids.iter().map(|uuid| (*uuid).to_owned()).collect()
    }

    /// What is free is there at once; a test that waits for it must not wait for ever.
    async fn take(pool: &Pool, count: usize, wanted: &[&str]) -> Held {
        let taken = tokio::time::timeout(Duration::from_secs(10), pool.take(count, &wish(wanted))).await;
        taken.expect("it is free")
    }

    #[tokio::test]
    async fn what_was_released_last_is_taken_first_and_a_wish_that_is_free_comes_before() {
        let pool = pool();
        let (one, two) = (take(&pool, 1, &[]).await, take(&pool, 1, &[]).await);
        assert_eq!((one.uuids(), two.uuids()), (&wish(&["a"])[..], &wish(&["b"])[..]));
        drop(one);
        assert_eq!(take(&pool, 1, &[]).await.uuids(), wish(&["a"]));
        assert_eq!(take(&pool, 1, &["c"]).await.uuids(), wish(&["c"]));
        assert_eq!(take(&pool, 1, &["b"]).await.uuids(), wish(&["c"]), "b is held, so any");
        assert_eq!(take(&pool, 2, &["b", "x", "a"]).await.uuids(), wish(&["a", "c"]));
    }

    #[tokio::test]
    async fn who_waits_gets_what_another_gives_back_however_that_one_ended() {
        let pool = pool();
        let held = take(&pool, 3, &[]).await;
        let waiting = tokio::spawn({
            let pool = pool.clone();
            async move { take(&pool, 2, &[]).await.uuids().to_vec() }
        });
        let ended = tokio::spawn(async move {
            let _held = held;
            panic!("an attempt's task ends like that, at worst");
        });
        assert!(ended.await.is_err());
        assert_eq!(waiting.await.unwrap(), wish(&["a", "b"]));
    }

    #[tokio::test]
    async fn what_is_quarantined_is_not_lent_before_it_is_readmitted() {
        let pool = pool();
        let mut held = take(&pool, 1, &[]).await;
        held.quarantine("a");
        assert!(held.uuids().is_empty());
        drop(held);
        assert_eq!(pool.usable(), 2);
        assert!(pool.try_take(3, &[]).is_none());
        assert_eq!(take(&pool, 1, &["a"]).await.uuids(), wish(&["b"]));
        pool.readmit("a");
        pool.readmit("a");
        assert_eq!((pool.usable(), pool.try_take(4, &[]).is_none()), (3, true), "once");
        assert_eq!(take(&pool, 3, &[]).await.uuids().len(), 3);
    }
}
