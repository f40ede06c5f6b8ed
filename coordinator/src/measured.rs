//! What a coordinator measures of itself, for whoever reads its metrics; counted since it started.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ar_core::{Live, Loss, Record};

/// Upper bounds of the buckets of durations, seconds: an embedded store takes 0.2 ms, an etcd a few, one in trouble seconds.
pub const BOUNDS: [f64; 12] = [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0];
/// How often it is looked at what GPUs do.
const LOOK: Duration = Duration::from_millis(200);

/// What is measured, shared by who measures and who reads.
#[derive(Debug, Clone, Default)]
pub struct Measured(Arc<Mutex<Figures>>);

/// The figures.
#[derive(Debug, Default)]
pub struct Figures {
    /// How long batches took to become durable.
    pub appends: Histogram,
    /// Leases that ended without a result, by cause.
    pub requeued: BTreeMap<&'static str, u64>,
    /// GPU seconds in which no process of an experiment ran, by worker.
    pub idle: BTreeMap<String, Idle>,
    looked: Option<Instant>,
}

/// GPU seconds without a run.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Idle {
    /// While experiments waited for a worker.
    pub waiting: f64,
    /// While none did.
    pub none: f64,
}

/// Durations by their size.
#[derive(Debug, Default)]
pub struct Histogram {
    /// How many were at most so long as the bound at the same place; not cumulative.
    pub buckets: [u64; BOUNDS.len()],
    /// How many there were.
    pub count: u64,
    /// All together, seconds.
    pub sum: f64,
}

impl Histogram {
    fn add(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let at = BOUNDS.iter().position(|bound| seconds <= *bound);
        if let Some(bucket) = at.and_then(|at| self.buckets.get_mut(at)) {
            *bucket += 1;
        }
        self.count += 1;
        self.sum += seconds;
    }
}

impl Measured {
    /// The figures as they are now.
    pub fn figures(&self) -> MutexGuard<'_, Figures> {
        // Figures that a thread left that died are figures.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A batch became durable within this time.
    pub(crate) fn durable(&self, took: Duration, records: &[Record]) {
        let mut figures = self.figures();
        figures.appends.add(took);
        for record in records {
            if let Record::Requeued { cause, .. } = record {
                *figures.requeued.entry(word(*cause)).or_default() += 1;
            }
        }
    }

    /// Time has passed, and this is how it stood.
    pub(crate) fn look(&self, live: &Live, now: Instant) {
        let mut figures = self.figures();
        let since = figures.looked.map_or(Duration::ZERO, |looked| now.saturating_duration_since(looked));
        if figures.looked.is_some() && since < LOOK {
            return;
        }
        figures.looked = Some(now);
        let is_waiting = live.queues.values().any(|queue| !queue.is_empty());
        for worker in live.workers.values() {
            let gpus = worker.hello.hardware.gpus.len();
            if gpus == 0 || worker.slots == 0 {
                continue;
            }
            let runs = |id| live.leases.get(id).is_some_and(|lease| lease.running);
            let running = worker.held.iter().filter(|id| runs(id)).count();
            // Each of its slots has as many GPUs as the others.
            let free = (1.0 - running as f64 / f64::from(worker.slots)).max(0.0);
            let seconds = since.as_secs_f64() * gpus as f64 * free;
            let idle = figures.idle.entry(worker.worker.0.clone()).or_default();
            *if is_waiting { &mut idle.waiting } else { &mut idle.none } += seconds;
        }
    }
}

/// A cause in a word.
pub(crate) fn word(cause: Loss) -> &'static str {
    match cause {
        Loss::Lapsed => "lapsed",
        Loss::Released => "released",
        Loss::Forgotten => "forgotten",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ar_common::frames::{Gpu, Hardware, Hello};
    use ar_common::{ExperimentId, Millis, StudyId, WorkerId};
    use ar_core::{LiveLease, LiveWorker, SessionId};

    #[test]
    fn a_duration_is_in_the_bucket_of_its_bound() {
        let mut histogram = Histogram::default();
        for seconds in [0.0002, 0.0003, 20.0] {
            histogram.add(Duration::from_secs_f64(seconds));
        }
        assert_eq!((histogram.buckets[0], histogram.buckets[1], histogram.count), (1, 1, 3));
        assert_eq!(
            histogram.buckets.iter().sum::<u64>(),
            2,
            "what is longer than all bounds is in the count alone"
        );
        assert!((histogram.sum - 20.0005).abs() < 1e-9);
    }

    #[test]
    fn a_gpu_is_idle_in_which_no_process_runs() {
        let worker = WorkerId("box".to_owned());
        let hardware = Hardware { gpus: vec![Gpu::default(); 4], ..Hardware::default() };
        let hello = Hello {
            worker: worker.clone(),
            boot: 1,
            protocol_min: 1,
            protocol_max: 1,
            hardware,
            slots: 2,
            leases: Vec::new(),
            spooled: Vec::new(),
            labels: BTreeMap::new(),
        };
        let held = [ExperimentId(1), ExperimentId(2)].into();
        let (ready, asked) = Default::default();
        let live_worker = LiveWorker {
            worker,
            boot: 1,
            slots: 2,
            why_fewer: String::new(),
            ready,
            asked,
            held,
            draining: false,
            held_back: false,
            not_ready: Default::default(),
            hello: hello.into(),
        };
        let mut live = Live::default();
        live.workers.insert(SessionId(1), live_worker);
        live.leases.insert(ExperimentId(1), LiveLease { lapses: Millis(0), running: true, holder: None });
        live.leases.insert(ExperimentId(2), LiveLease { lapses: Millis(0), running: false, holder: None });
        let (measured, began) = (Measured::default(), Instant::now());
        measured.look(&live, began);
        measured.look(&live, began + Duration::from_millis(10));
        live.queues.entry(StudyId("s".into())).or_default().push_back(ExperimentId(3));
        measured.look(&live, began + Duration::from_secs(1));
        live.queues.clear();
        measured.look(&live, began + Duration::from_secs(4));
        let idle = measured.figures().idle["box"];
        assert_eq!(idle, Idle { waiting: 2.0, none: 6.0 }, "two of four GPUs have no run");
    }
}
