//! Worlds by their seeds: many at once, and what is left of one in which something does not hold.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, Once};
use std::time::Instant;

use super::faults::{At, Setup};
use super::met::Met;
use super::world::{End, World};

thread_local! {
    /// What panics here is looked at by the test.
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs a world to its end.
///
/// # Errors
/// What does not hold in it.
pub(crate) fn run(setup: &Setup, faults: &[At]) -> Result<End, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = take_hook();
        set_hook(Box::new(move |what| {
            if !QUIET.get() {
                loud(what);
            }
        }));
    });
    QUIET.set(true);
    let end = catch_unwind(AssertUnwindSafe(|| World::new(setup, faults).run()));
    QUIET.set(false);
    end.map_err(|panic| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast_ref::<&str>().map_or_else(String::new, |text| (*text).to_owned()),
    })
}

/// What many worlds went through together.
#[derive(Debug, Default)]
pub(crate) struct Swept {
    pub(crate) met: Met,
    /// How often each kind of fault found something to break.
    pub(crate) fired: BTreeMap<String, u32>,
    /// Kinds of faults that were drawn.
    pub(crate) drawn: BTreeSet<String>,
    pub(crate) seconds: f64,
}

/// Runs the worlds of `count` seeds from `first` on, on all cores.
///
/// # Panics
/// When something does not hold in one, with its seed and the fewest of its faults that still show it.
pub(crate) fn sweep(first: u64, count: u64) -> Swept {
    let began = Instant::now();
    let next = AtomicU64::new(first);
    let (all, broken) = (Mutex::new(Swept::default()), Mutex::new(None));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while broken.lock().unwrap().is_none() {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        break;
                    }
                    let (setup, faults) = Setup::of(seed);
                    match run(&setup, &faults) {
                        Ok(end) => all.lock().unwrap().add(&faults, &end),
                        Err(why) => *broken.lock().unwrap() = Some((seed, why)),
                    }
                }
            });
        }
    });
    if let Some((seed, why)) = broken.into_inner().unwrap() {
        let (setup, faults) = Setup::of(seed);
        let (left, why_left) = shrunk(&setup, faults);
        panic!(
            "seed {seed} (again: AR_SIM_FIRST={seed} AR_SIM_SEEDS=1): {why}\n\
             with {setup:?}\nand no more than {left:?}: {why_left:?}"
        );
    }
    let mut all = all.into_inner().unwrap();
    all.seconds = began.elapsed().as_secs_f64();
    all
}

impl Swept {
    fn add(&mut self, faults: &[At], end: &End) {
        self.met.add(&end.met);
        for (kind, count) in &end.fired {
            *self.fired.entry(kind.clone()).or_default() += count;
        }
        self.drawn.extend(faults.iter().map(|(_, fault)| fault.kind()));
    }
}

/// Takes out faults as long as something does not hold without them either.
fn shrunk(setup: &Setup, mut faults: Vec<At>) -> (Vec<At>, Option<String>) {
    let mut why = None;
    let mut index = 0;
    while index < faults.len() {
        let fault = faults.remove(index);
        match run(setup, &faults) {
            Err(still) => (why, index) = (Some(still), 0),
            Ok(_) => {
                faults.insert(index, fault);
                index += 1;
            }
        }
    }
    (faults, why)
}
