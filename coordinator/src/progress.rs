//! Live progress of a study: a bar on a terminal, plain lines elsewhere.

use std::time::{Duration, Instant};

use ar_common::frames::Figures;
use ar_common::{Block, ExperimentId, StudyId, ensemble::describe};
use ar_core::{Experiment, Record, State, Study};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::commands::output::Console;
use crate::live::Runs;
use crate::summary::figure;

/// Shows a study under way.
#[derive(Debug)]
pub(crate) struct Progress {
    console: Console,
    study: StudyId,
    slots: u32,
    bar: Option<ProgressBar>,
    /// When this process began to run experiments, and how many evaluations had ended before.
    began: Option<(Instant, u32)>,
    ended: u32,
    total: u32,
    best: Option<f64>,
    running: Runs,
    /// Whether its runs train, so that each goes on for a while.
    trains: bool,
    mode: &'static str,
}

impl Progress {
    /// Progress of a study; what `state` holds of it counts as done before.
    pub(crate) fn new(console: Console, state: &State, study: StudyId, slots: u32) -> Self {
        let entry = state.studies.get(&study);
        let ended = entry.map_or(0, |entry| ended_of(state, entry));
        if ended > 0 {
            console.line(&format!("resumed   {ended} evaluations were done before and count"));
        }
        Self {
            best: entry.and_then(|entry| state.best(entry)).map(|(_, score)| score),
            console,
            study,
            slots,
            bar: None,
            began: None,
            ended,
            total: entry.map_or(0, |entry| entry.budget().total()),
            running: Runs::default(),
            trains: entry.is_some_and(|entry| entry.spec.training().is_some()),
            mode: "",
        }
    }

    /// One line that stays.
    pub(crate) fn note(&mut self, text: &str) {
        // Reasons come from the worker, and what they quote from the user's data.
        let text = crate::text::plain(text);
        match &self.bar {
            Some(bar) => bar.println(text),
            None => self.console.line(&text),
        }
    }

    /// What the worker does before it can work.
    pub(crate) fn preparing(&mut self, text: &str) {
        if self.console.is_terminal() {
            let bar = self.bar.get_or_insert_with(|| {
                let bar = ProgressBar::with_draw_target(None, target(self.console));
                bar.set_style(style("{spinner} {wide_msg}"));
                bar
            });
            bar.set_message(text.to_owned());
        } else {
            self.console.line(&format!("prepare   {text}"));
        }
    }

    /// The worker can work.
    pub(crate) fn ready(&mut self, facts: &str) {
        self.clear();
        self.console.line(&format!("ready     {facts}"));
        if self.began.is_none() {
            self.began = Some((Instant::now(), self.ended));
        }
    }

    /// A process of an experiment started.
    pub(crate) fn started(&mut self, state: &State, id: ExperimentId) {
        let Some(experiment) = state.experiment(id).filter(|e| e.study == self.study && e.is_pending())
        else {
            return;
        };
        let Some(study) = state.studies.get(&self.study) else {
            return;
        };
        self.running.began(id, label(experiment, study), Instant::now());
        self.trains = study.spec.training().is_some();
        self.mode = experiment.mode.name();
    }

    /// A run of an experiment is so far.
    pub(crate) fn figures(&mut self, id: ExperimentId, figures: Figures) {
        self.running.told(id, figures);
    }

    /// A record became durable; `state` has it.
    pub(crate) fn record(&mut self, state: &State, record: &Record) {
        let Some(study) = state.studies.get(&self.study) else {
            return;
        };
        self.total = study.budget().total();
        match record {
            Record::Done { experiment, .. } => {
                self.running.ended(*experiment);
                if let Some(experiment) = state.experiment(*experiment).filter(|e| e.study == self.study) {
                    self.ended(state, study, experiment);
                }
            }
            Record::Requeued { experiment, .. } => {
                self.running.ended(*experiment);
            }
            Record::OptionRemoved { study: of, dimension, option, reason } if *of == self.study => {
                self.note(&format!("left out  {dimension}={option}: {reason}"));
            }
            Record::Concluded { study: of, .. } if *of == self.study => {
                let sealed = study.spec.holdout().is_some();
                let next = if sealed { "opening the sealed rows, then " } else { "" };
                if study.spec.tabular().is_some() {
                    self.note(&format!("closing   {next}fitting the winner on all rows"));
                }
            }
            _ => {}
        }
        self.tick();
    }

    fn ended(&mut self, state: &State, study: &Study, experiment: &Experiment) {
        self.ended = ended_of(state, study);
        let metric = &study.spec.metric;
        let score = experiment.outcome().and_then(ar_common::Outcome::score);
        let best = state.best(study);
        let is_best = best.is_some_and(|(best, _)| best.id == experiment.id);
        let what = label(experiment, study);
        let Some(outcome) = experiment.outcome() else {
            return;
        };
        let how = match score {
            Some(score) => format!("{} {}", metric.name, figure(score)),
            None => {
                let reason = outcome.reason().map(|reason| format!(" ({reason})")).unwrap_or_default();
                format!("{}{reason}", outcome.word())
            }
        };
        let total = study.budget().total();
        let star = if is_best && experiment.block == Block::FIRST { "  <- best so far" } else { "" };
        let line = match experiment.block {
            Block::Cv { .. } | Block::Warm { .. } => format!(
                "[{:>3}/{total}] {:<8} {how}  {what}{star}",
                self.ended.min(total),
                experiment.mode.name()
            ),
            Block::Sealed => match outcome.measures() {
                Some(_) => format!("sealed    {how}  {what}"),
                None => format!("sealed    {how}"),
            },
            Block::Refit => "refit     the winner is fitted on all rows".to_owned(),
        };
        // On a terminal the bar shows the flow; only what matters stays.
        let matters = !star.is_empty() || score.is_none() && experiment.block != Block::Refit;
        if !self.console.is_terminal() || (matters && !is_duplicate(outcome)) {
            self.note(&line);
        }
        self.best = best.map(|(_, score)| score);
    }

    /// Draws the bar anew.
    pub(crate) fn tick(&mut self) {
        let Some((began, before)) = self.began else { return };
        let now = Instant::now();
        if !self.console.is_terminal() {
            if self.trains
                && let Some(line) = self.running.due(now)
            {
                self.note(&line);
            }
            return;
        }
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(Some(0), target(self.console));
            bar.set_style(style("{bar:24} {pos}/{len} {wide_msg}"));
            bar
        });
        bar.set_length(u64::from(self.total));
        let rate = f64::from(self.ended - before.min(self.ended)) / began.elapsed().as_secs_f64().max(0.001);
        let best = self.best.map(|best| format!("best {}  ", figure(best))).unwrap_or_default();
        let left = f64::from(self.total.saturating_sub(self.ended));
        let eta = if rate > 0.0 { left / rate } else { f64::NAN };
        let eta = Duration::try_from_secs_f64(eta)
            .map(|d| humantime::format_duration(Duration::from_secs(d.as_secs())).to_string());
        let eta = eta.unwrap_or_else(|_| "-".to_owned());
        let (mode, count, slots) = (self.mode, self.running.count(), self.slots);
        // What changes all the time stands last, where a narrow terminal cuts it.
        bar.set_message(match self.trains {
            true => {
                let runs = crate::text::plain(&self.running.progress(now));
                format!("{best}{mode}  ETA {eta}  {count} of {slots} run: {runs}")
            }
            false => {
                let labels = self.running.labels();
                format!("{best}{mode}  {count} of {slots} run: {labels}  {rate:.1}/s  ETA {eta}")
            }
        });
        bar.set_position(u64::from(self.ended));
    }

    /// Takes the bar away.
    pub(crate) fn end(&mut self) {
        self.clear();
        self.began = None;
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

fn is_duplicate(outcome: &ar_common::Outcome) -> bool {
    matches!(outcome, ar_common::Outcome::DuplicateOf { .. })
}

fn target(console: Console) -> ProgressDrawTarget {
    if console.is_json() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::stdout() }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// What of the budget was used by what has ended, in full evaluations; a part of one counts whole, an ensemble as many as
/// it has members.
fn ended_of(state: &State, study: &Study) -> u32 {
    let pending = state.experiments_of(study).filter(|e| e.is_pending());
    study.evaluations_begun().saturating_sub(pending.map(Experiment::cost).sum())
}

fn label(experiment: &Experiment, study: &Study) -> String {
    let what = describe(&experiment.config, &experiment.members, &study.base());
    match experiment.block {
        Block::Cv { repeat } if repeat > 0 => format!("{what} (split {})", repeat + 1),
        Block::Warm { from } => format!("{what} (goes on from #{from})"),
        _ => what,
    }
}
