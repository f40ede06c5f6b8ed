//! Whose turn it is: how studies share the workers.
//!
//! Of those that have something to run the one with the highest priority is first; of equal ones that which has the fewest
//! leases out for its weight, so that slots that become free even things out (weighted max-min fairness), and no study waits
//! for another to end. A study that is alone has all.

use std::collections::{BTreeMap, VecDeque};

use ar_common::frames::Hello;
use ar_common::{ExperimentId, Share, StudyId};

use crate::live::{Live, Planning};
use crate::placement::ahead;
use crate::state::{Phase, State, Study};
use crate::step::Turn;

/// The studies that have something to run, in the order in which they may.
#[derive(Debug, Default)]
pub(crate) struct Turns(Vec<Standing>);

#[derive(Debug)]
struct Standing {
    study: StudyId,
    priority: i32,
    weight: f64,
    most: Option<u32>,
    out: u32,
    /// Grants ahead per slot.
    ahead: u32,
}

impl Standing {
    fn served(&self) -> f64 {
        f64::from(self.out) / self.weight
    }
}

impl Turns {
    pub(crate) fn new(state: &State, live: &Live) -> Self {
        let waiting = live.queues.iter().filter(|(_, queue)| !queue.is_empty());
        let mut turns: Vec<Standing> = waiting
            .filter_map(|(id, _)| {
                let study = state.studies.get(id).filter(|study| !study.paused)?;
                let share = &study.spec.limits.share;
                let (priority, weight, most) = (share.priority, weight(share), share.most);
                let ahead = ahead(state, study);
                Some(Standing { study: id.clone(), priority, weight, most, out: 0, ahead })
            })
            .collect();
        // Most of the time there is one study, and nothing to count.
        if turns.len() > 1 || turns.iter().any(|turn| turn.most.is_some()) {
            let mut out: BTreeMap<&StudyId, u32> = BTreeMap::new();
            for experiment in live.leases.keys().filter_map(|id| state.experiment(*id)) {
                *out.entry(&experiment.study).or_default() += 1;
            }
            turns.iter_mut().for_each(|turn| turn.out = out.get(&turn.study).copied().unwrap_or(0));
        }
        let mut turns = Self(turns);
        turns.sort();
        turns
    }

    fn sort(&mut self) {
        self.0.sort_by(|a, b| {
            let by_share = || a.served().total_cmp(&b.served());
            b.priority.cmp(&a.priority).then_with(by_share).then_with(|| a.study.cmp(&b.study))
        });
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that may have more, with how many of each are granted ahead per slot; the next one first.
    pub(crate) fn in_order(&self) -> impl Iterator<Item = (&StudyId, u32)> {
        let more = self.0.iter().filter(|turn| turn.most.is_none_or(|most| turn.out < most));
        more.map(|turn| (&turn.study, turn.ahead))
    }

    /// One more of a study is out.
    pub(crate) fn took(&mut self, study: &StudyId) {
        if let Some(turn) = self.0.iter_mut().find(|turn| turn.study == *study) {
            turn.out += 1;
            self.sort();
        }
    }
}

/// A study that may be planned for.
struct Appetite {
    study: StudyId,
    /// Experiments that it could start now, at most.
    most: usize,
    /// Experiments that are out, wait, or are being planned.
    has: usize,
    gets: usize,
    priority: i32,
    weight: f64,
}

impl Appetite {
    fn served(&self) -> f64 {
        (self.has + self.gets) as f64 / self.weight
    }
}

impl Turn<'_> {
    /// How many experiments each study that may be planned for is to be asked for: what the workers have room for, shared as
    /// they are. Were each asked for all the room there is, the one whose plan comes first would have it.
    pub(crate) fn wants(&self) -> Vec<(StudyId, usize)> {
        let mut all: Vec<Appetite> = Vec::new();
        let mut taken = 0;
        let searching = |study: &Study| study.phase == Phase::Searching && !study.paused;
        for (id, study) in self.core.state.studies.iter().filter(|(_, study)| searching(study)) {
            let waiting = self.waiting(id, study);
            let blocked = match self.core.live.planning.get(id) {
                Some(Planning::InFlight(_)) => {
                    taken += self.core.live.wanted.get(id).copied().unwrap_or(0);
                    true
                }
                Some(Planning::WaitingSince(seq)) => study.last_done <= *seq,
                None => false,
            };
            taken += waiting;
            if blocked {
                continue;
            }
            let most = self.free_capacity(id, study).saturating_sub(waiting).min(self.allowed(id, study));
            let share = &study.spec.limits.share;
            let (priority, weight, has) = (share.priority, weight(share), 0);
            all.push(Appetite { study: id.clone(), most, has, gets: 0, priority, weight });
        }
        if let [alone] = &mut all[..] {
            alone.gets =
                if taken == 0 { alone.most } else { alone.most.min(self.room().saturating_sub(taken)) };
        } else if all.len() > 1 {
            self.share_out(&mut all, self.room().saturating_sub(taken));
        }
        all.into_iter().map(|appetite| (appetite.study, appetite.gets)).collect()
    }

    /// One after the other to who is served least.
    fn share_out(&self, all: &mut [Appetite], room: usize) {
        for appetite in all.iter_mut() {
            let of_study = |e: &&ExperimentId| {
                self.core.state.experiment(**e).is_some_and(|e| e.study == appetite.study)
            };
            let waiting = self.core.live.queues.get(&appetite.study).map_or(0, VecDeque::len);
            appetite.has = self.core.live.leases.keys().filter(of_study).count() + waiting;
        }
        for _ in 0..room {
            let hungry = all.iter_mut().filter(|appetite| appetite.gets < appetite.most);
            let next = hungry
                .min_by(|a, b| b.priority.cmp(&a.priority).then_with(|| a.served().total_cmp(&b.served())));
            let Some(next) = next else { break };
            next.gets += 1;
        }
    }

    /// How many more experiments the workers could take of all studies together.
    fn room(&self) -> usize {
        let open = self.core.state.studies.iter().filter(|(_, study)| !study.is_finished());
        let open: BTreeMap<&StudyId, u32> =
            open.map(|(id, study)| (id, ahead(&self.core.state, study))).collect();
        let room = |worker: &crate::live::LiveWorker| {
            let most = worker.ready.iter().filter_map(|id| open.get(id)).max();
            most.map_or(0, |ahead| crate::placement::room(worker, *ahead))
        };
        let workers = self.core.live.workers.values().filter(|worker| worker.takes_more());
        workers.map(room).fold(0, usize::saturating_add)
    }

    /// How many more experiments a study may have under way, by what it asked for itself.
    fn allowed(&self, id: &StudyId, study: &Study) -> usize {
        let Some(most) = study.spec.limits.share.most else {
            return usize::MAX;
        };
        let of_study = |e: &&ExperimentId| self.core.state.experiment(**e).is_some_and(|e| e.study == *id);
        let out = self.core.live.leases.keys().filter(of_study).count();
        let waiting = self.core.live.queues.get(id).map_or(0, VecDeque::len);
        (most as usize).saturating_sub(out + waiting)
    }
}

/// What a share counts; a weight that makes no sense is 1.
fn weight(share: &Share) -> f64 {
    if share.weight > 0.0 && share.weight.is_finite() { share.weight } else { 1.0 }
}

impl Study {
    /// Whether a worker has what its experiments need.
    pub fn takes(&self, worker: &Hello) -> bool {
        self.spec.limits.needs.is_default() || self.spec.limits.needs.lacking(worker).is_empty()
    }

    /// Why none of these workers can run it, if that is so: which need, and who comes nearest.
    pub fn unsatisfied<'a>(&self, workers: impl IntoIterator<Item = &'a Hello>) -> Option<String> {
        let needs = &self.spec.limits.needs;
        let mut nearest: Option<(&Hello, Vec<String>)> = None;
        for worker in workers {
            let lacking = needs.lacking(worker);
            if lacking.is_empty() {
                return None;
            }
            if nearest.as_ref().is_none_or(|(_, fewest)| lacking.len() < fewest.len()) {
                nearest = Some((worker, lacking));
            }
        }
        Some(match nearest {
            None => "no worker is connected".to_owned(),
            Some((worker, lacking)) => {
                format!(
                    "no worker has what it needs; nearest comes {}: {}",
                    worker.worker,
                    lacking.join(", ")
                )
            }
        })
    }
}
