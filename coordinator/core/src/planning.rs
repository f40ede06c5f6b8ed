//! Planning: when to ask the search, which answers still hold, and how a study moves to its end.

use ar_common::{Block, Config, Member, Mode, Seq, Space, StudyId, Verdict, ensemble};

use crate::input::{Effect, Planned, PlannedExperiment, TimeLeft};
use crate::live::Planning;
use crate::record::Record;
use crate::state::{Finish, Keys, Phase, Study};
use crate::step::Turn;

impl Turn<'_> {
    /// Asks for a plan for each study that could run more than is waiting. There is no barrier
    /// between rounds: a plan is made as soon as capacity would idle.
    pub(crate) fn ask_for_plans(&mut self) {
        let mut asks = Vec::new();
        for (id, want) in self.wants() {
            // A study with nothing pending must still be able to conclude without any worker.
            let over = self.core.live.time_left.contains_key(&id);
            if want > 0 || (over && !self.has_pending(&id)) {
                asks.push((id, want));
            }
        }
        let as_of = self.core.state.seq;
        for (study, want) in asks {
            self.core.live.planning.insert(study.clone(), Planning::InFlight(as_of));
            self.core.live.wanted.insert(study.clone(), want);
            let time = self.core.live.time_left.get(&study).copied().unwrap_or_default();
            self.output.effects.push(Effect::Plan { study, want, as_of, time });
        }
    }

    /// Takes the search's answer, as far as it still holds.
    pub(crate) fn planned(&mut self, id: &StudyId, as_of: Seq, plan: Planned) {
        if self.core.live.planning.get(id) != Some(&Planning::InFlight(as_of)) {
            return;
        }
        self.core.live.planning.remove(id);
        let Some(study) = self.core.state.studies.get(id) else {
            return;
        };
        if study.phase != Phase::Searching {
            return;
        }
        let stale = study.last_done > as_of;
        let pending = self.has_pending(id);
        let time_over = self.core.live.time_left.get(id) == Some(&TimeLeft::Nothing);
        match plan {
            // It was asked for before the time was over; the next answer draws the verdict.
            Planned::Experiments(_) if time_over => {}
            Planned::Experiments(experiments) => {
                if !self.take_experiments(id, as_of, experiments) {
                    self.wait(id, as_of, pending, stale);
                }
            }
            Planned::Wait => self.wait(id, as_of, pending, stale),
            // It cannot hold before what is pending has ended; asked at once it would only say so again.
            Planned::Conclude(_) | Planned::Failed if pending => self.wait(id, as_of, pending, stale),
            // There is a result that the verdict has not seen.
            Planned::Conclude(_) | Planned::Failed if stale => {}
            Planned::Conclude(verdict) => self.conclude(id, verdict),
            Planned::Failed => self.record(Record::Finished { study: id.clone(), how: Finish::Failed }),
        }
    }

    /// Waits for an experiment to end before asking again.
    fn wait(&mut self, id: &StudyId, as_of: Seq, pending: bool, stale: bool) {
        if pending {
            self.core.live.planning.insert(id.clone(), Planning::WaitingSince(as_of));
        } else if !stale {
            // Nothing is pending and the search has nothing to say: end it rather than ask for ever.
            self.record(Record::Finished { study: id.clone(), how: Finish::Failed });
        }
    }

    /// Whether an experiment of the study waits or runs.
    pub(crate) fn has_pending(&self, id: &StudyId) -> bool {
        let waits = self.core.live.queues.get(id).is_some_and(|queue| !queue.is_empty());
        let of_study = |experiment| self.core.state.experiment(experiment).is_some_and(|e| &e.study == id);
        waits || self.core.live.leases.keys().any(|experiment| of_study(*experiment))
    }

    /// Accepts what is new and fits the budget. Whether that was anything.
    fn take_experiments(&mut self, id: &StudyId, as_of: Seq, experiments: Vec<PlannedExperiment>) -> bool {
        let Some(study) = self.core.state.studies.get(id) else {
            return false;
        };
        let mut left = study.left(&study.budget());
        let mut accepted: Vec<PlannedExperiment> = Vec::new();
        let mut keys = Keys::default();
        for mut planned in experiments {
            let Some(config) = study.space.canonical(&planned.config) else {
                continue;
            };
            planned.config = config;
            let key = planned.key();
            let again = study.keys.contains(&key) || keys.contains(&key);
            let fits = planned.cost() <= left && may_vote(&study.space, &planned.members);
            let starts = crate::checkpoints::is_there(&self.core.state, id, planned.block);
            if again || !planned.block.counts() || !fits || !starts {
                continue;
            }
            left -= planned.cost();
            keys.insert(&key);
            planned.id = ar_common::ExperimentId(self.core.state.next_experiment().0 + accepted.len() as u64);
            accepted.push(planned);
        }
        if accepted.is_empty() {
            return false;
        }
        self.plan(id, as_of, accepted);
        true
    }

    fn plan(&mut self, id: &StudyId, as_of: Seq, experiments: Vec<PlannedExperiment>) {
        let queue = self.core.live.queues.entry(id.clone()).or_default();
        queue.extend(experiments.iter().map(|planned| planned.id));
        self.record(Record::Planned { study: id.clone(), as_of, experiments });
    }

    fn conclude(&mut self, id: &StudyId, verdict: Verdict) {
        self.record(Record::Concluded { study: id.clone(), verdict });
    }

    /// Moves each study on when what its phase waits for has ended: sealed rows, then the final fit.
    pub(crate) fn advance_studies(&mut self) {
        let closing = |study: &Study| study.phase == Phase::Closing;
        let open = self.core.state.studies.iter().filter(|(_, study)| closing(study));
        let open: Vec<StudyId> = open.map(|(id, _)| id.clone()).collect();
        for id in open {
            self.advance(&id);
        }
    }

    fn advance(&mut self, id: &StudyId) {
        let Some(study) = self.core.state.studies.get(id) else {
            return;
        };
        let Some(verdict) = study.verdict.clone() else {
            return;
        };
        if study.phase != Phase::Closing {
            return;
        }
        let sealed = study.spec.holdout().is_some();
        let refits = study.spec.tabular().is_some();
        let candidate = verdict.candidate.unwrap_or_else(|| study.base());
        let members = verdict.members;
        if sealed && !self.closing(id, (candidate, members.clone()), Block::Sealed) {
            return;
        }
        // What a training run hands over is its files, which are known.
        if !refits || self.closing(id, (verdict.winner, members), Block::Refit) {
            self.record(Record::Finished { study: id.clone(), how: Finish::Concluded });
        }
    }

    /// Plans a closing experiment if it is not there. Whether it has ended.
    fn closing(&mut self, id: &StudyId, (config, members): (Config, Vec<Member>), block: Block) -> bool {
        let Some(study) = self.core.state.studies.get(id) else {
            return false;
        };
        let find = |study: &Study| {
            let mut all = self.core.state.experiments_of(study);
            let found = all.find(|e| e.block == block && e.runs(&config, &members));
            found.map(|e| !e.is_pending())
        };
        if let Some(ended) = find(study) {
            return ended;
        }
        let round = study.budget().rounds;
        let reason = match block {
            Block::Sealed => "the sealed rows, once, for candidate and base",
            _ => "the winner, fitted on all rows",
        };
        if block == Block::Sealed {
            self.record(Record::SealedOpened { study: id.clone() });
        }
        let planned = PlannedExperiment {
            id: self.core.state.next_experiment(),
            config,
            block,
            mode: Mode::Narrow,
            round,
            reason: reason.to_owned(),
            members,
            race: None,
            expected_gain: None,
        };
        let as_of = self.core.state.seq;
        self.plan(id, as_of, vec![planned]);
        false
    }
}

/// Whether these make an ensemble, or there is none: a few, no two the same, and all of this space as it is now.
fn may_vote(space: &Space, members: &[Member]) -> bool {
    let few = (ensemble::FEWEST..=ensemble::MOST).contains(&members.len());
    let fits = |(i, member): (usize, &Member)| {
        space.canonical(&member.config).as_ref() == Some(&member.config)
            && members[..i].iter().all(|other| other.config != member.config)
    };
    members.is_empty() || (few && members.iter().enumerate().all(fits))
}
