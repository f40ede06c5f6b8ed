//! How many attempts may run at once: the least of what each thing allows that attempts need. Each says so here and
//! nowhere else, so that none overrides another, and the session hears what all of them allow together.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ar_worker_core::Input;
use tokio::sync::mpsc;

/// What attempts need, and there may be less of by and by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    Gpus,
    Disk,
}

/// That there is less of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limit {
    /// Attempts at once that it allows.
    pub(crate) slots: u32,
    /// Why no more, one line for a person.
    pub(crate) why: String,
}

/// How many attempts may run at once.
#[derive(Debug)]
pub(crate) struct Capacity {
    /// Where there is enough of everything.
    usual: u32,
    limits: Mutex<BTreeMap<Need, Limit>>,
    inputs: mpsc::UnboundedSender<Input>,
}

impl Capacity {
    pub(crate) fn new(usual: u32, inputs: mpsc::UnboundedSender<Input>) -> Arc<Self> {
        Arc::new(Self { usual, limits: Mutex::default(), inputs })
    }

    /// Attempts at once where there is enough of everything.
    pub(crate) fn usual(&self) -> u32 {
        self.usual
    }

    /// How much one need allows has changed. `limit` looks how much, and finds none where there is enough; it is asked
    /// while nobody else says anything, so that what was seen last counts. What happened is told to people, unless nothing
    /// but the figures in the reason has changed.
    pub(crate) fn set(&self, need: Need, limit: impl FnOnce() -> Option<Limit>, happened: Option<&str>) {
        let mut limits = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        match limit() {
            Some(limit) => limits.insert(need, limit),
            None => limits.remove(&need),
        };
        let slots = limits.values().map(|limit| limit.slots).fold(self.usual, u32::min);
        let whys: Vec<&str> = limits.values().map(|limit| limit.why.as_str()).collect();
        let why_fewer = whys.join("; ");
        let what = happened.map(|happened| match slots {
            0 if whys == [happened] => why_fewer.clone(),
            0 => format!("{happened}; no experiment can begin here: {why_fewer}"),
            slots => format!("{happened}; {slots} experiments at once from now on"),
        });
        if let Some(what) = &what {
            tracing::warn!(slots, "{what}");
        }
        let what = what.unwrap_or_default();
        // Still under the lock, so that what is said last is heard last. The session outlives its attempts, unless the
        // process is ending.
        let _ = self.inputs.send(Input::Capacity { slots, what, why_fewer });
    }

    /// Whether there is too little of it.
    pub(crate) fn lacks(&self, need: Need) -> bool {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&need)
    }

    /// Whether nobody listens any more.
    pub(crate) fn is_over(&self) -> bool {
        self.inputs.is_closed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(slots: u32, why: &str) -> Option<Limit> {
        Some(Limit { slots, why: why.to_owned() })
    }

    #[test]
    fn the_least_of_all_counts_and_what_comes_back_of_one_does_not_lift_the_other() {
        let (inputs, mut heard) = mpsc::unbounded_channel();
        let capacity = Capacity::new(4, inputs);
        let mut set = |need, limit, happened| {
            capacity.set(need, || limit, happened);
            match heard.try_recv().unwrap() {
                Input::Capacity { slots, what, why_fewer } => (slots, what, why_fewer),
                other => panic!("{other:?}"),
            }
        };
        let said = |slots, what: &str, why: &str| (slots, what.to_owned(), why.to_owned());
        assert_eq!(
            set(Need::Gpus, limit(3, "1 GPU is aside"), Some("GPU 2 is lost")),
            said(3, "GPU 2 is lost; 3 experiments at once from now on", "1 GPU is aside")
        );
        assert!(capacity.lacks(Need::Gpus) && !capacity.lacks(Need::Disk));
        let both = "1 GPU is aside; the disk is full";
        assert_eq!(
            set(Need::Disk, limit(0, "the disk is full"), Some("the disk is full")),
            said(0, &format!("the disk is full; no experiment can begin here: {both}"), both)
        );
        assert_eq!(
            set(Need::Gpus, None, Some("GPU 2 is back")),
            said(0, "GPU 2 is back; no experiment can begin here: the disk is full", "the disk is full")
        );
        assert_eq!(set(Need::Disk, limit(0, "fuller"), None), said(0, "", "fuller"));
        set(Need::Gpus, limit(2, "2 GPUs are aside"), Some("GPU 3 is lost"));
        assert_eq!(
            set(Need::Disk, None, Some("there is room")),
            said(2, "there is room; 2 experiments at once from now on", "2 GPUs are aside")
        );
        assert_eq!(
            set(Need::Gpus, None, Some("all are back")),
            said(4, "all are back; 4 experiments at once from now on", "")
        );
        assert_eq!(set(Need::Disk, limit(0, "full"), Some("full")), said(0, "full", "full"), "said once");
    }
}
