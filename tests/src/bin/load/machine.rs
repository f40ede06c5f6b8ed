//! Whether the machine keeps its speed. A virtual one may be held back by its host for milliseconds at a time, which nothing inside is
//! told; but a small calculation that is made again and again then takes several times as long.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ar_tests::figures::quantile;

/// Steps of the calculation, of which a processor of today makes so many in about a tenth of a millisecond.
const STEPS: u32 = 25_000;
/// Pause between two of them.
const PAUSE: Duration = Duration::from_millis(2);
/// How many times as long as usual it takes where the machine is held back.
const SLOW: f64 = 3.0;

/// Calculates on a thread of its own until it is asked what came of it.
pub(crate) struct Probe {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<(Instant, Instant)>>,
}

/// How a machine kept its speed.
pub(crate) struct Speed {
    /// Milliseconds that the calculation took: the middle, and the longest but one in a hundred.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// When it was slow, each from the look before to the look after.
    slow: Vec<(Instant, Instant)>,
}

impl Probe {
    pub(crate) fn start() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut looks = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let began = Instant::now();
                let sum = (0..STEPS).fold(1.0, |sum, _| std::hint::black_box(sum) * 1.000_000_1 + 1e-9);
                std::hint::black_box(sum);
                looks.push((began, Instant::now()));
                thread::sleep(PAUSE);
            }
            looks
        });
        Self { stop, thread }
    }

    pub(crate) fn end(self) -> Speed {
        self.stop.store(true, Ordering::Relaxed);
        let looks = self.thread.join().unwrap_or_default();
        let took = |look: &(Instant, Instant)| (look.1 - look.0).as_secs_f64() * 1e3;
        let mut all: Vec<f64> = looks.iter().map(took).collect();
        let (p50_ms, p99_ms) = (quantile(&mut all, 0.5), quantile(&mut all, 0.99));
        let slow = looks.windows(3).filter(|three| took(&three[1]) > SLOW * p50_ms);
        Speed { p50_ms, p99_ms, slow: slow.map(|three| (three[0].1, three[2].0)).collect() }
    }
}

impl Speed {
    /// Whether it was held back at some time between these.
    pub(crate) fn was_slow(&self, from: Instant, to: Instant) -> bool {
        let next = self.slow.partition_point(|(_, end)| *end < from);
        self.slow.get(next).is_some_and(|(begin, _)| *begin <= to)
    }
}
