//! What a run went through.

use std::collections::BTreeSet;

use ar_common::Outcome;
use ar_core::{Loss, Record};

use super::simulation::Simulation;

/// What a run went through. A property that never met a fault shows nothing.
#[derive(Debug, Default)]
pub(crate) struct Met {
    pub(crate) restarts: u32,
    pub(crate) crashes: u32,
    pub(crate) lapses: u32,
    pub(crate) forgotten: u32,
    pub(crate) refusals: u32,
    pub(crate) quarantines: u32,
    pub(crate) repeats: u32,
    pub(crate) late_accepts: u32,
    pub(crate) reopened: u32,
    pub(crate) called_off: u32,
    pub(crate) ensembles: u32,
    pub(crate) raced_out: u32,
}

impl Simulation {
    /// Adds what this run went through.
    pub(crate) fn count(&self, met: &mut Met) {
        met.repeats += self.repeats;
        let mut lapsed = BTreeSet::new();
        for record in &self.world.ledger.journal {
            match record {
                Record::Elected { .. } => met.restarts += 1,
                Record::Requeued { cause: Loss::Lapsed, lease, .. } => {
                    met.lapses += 1;
                    lapsed.insert(*lease);
                }
                Record::Requeued { cause: Loss::Forgotten, .. } => met.forgotten += 1,
                Record::Planned { experiments, .. } => {
                    met.ensembles += experiments.iter().filter(|e| !e.members.is_empty()).count() as u32;
                }
                Record::Refused { .. } => met.refusals += 1,
                Record::Extended { .. } => met.reopened += 1,
                Record::Done { outcome: Outcome::Cancelled { .. }, .. } => met.called_off += 1,
                Record::Done { outcome: Outcome::StoppedEarly { .. }, .. } => met.raced_out += 1,
                Record::Done { outcome: Outcome::Crashed { reason }, .. }
                    if reason.contains("quarantined") =>
                {
                    met.quarantines += 1;
                }
                Record::Done { lease: Some(lease), .. } if lapsed.contains(lease) => met.late_accepts += 1,
                _ => {}
            }
        }
        met.crashes += self.world.crashes;
        met.restarts -= 1;
    }
}
