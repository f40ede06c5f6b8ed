//! The runs that go on, and how far each is, for a line on the terminal.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ar_common::ExperimentId;
use ar_common::frames::Figures;

use crate::summary::figure;
use crate::text;

/// Runs that are shown with what they change; where there are more, each is shown by its number.
const NAMED: usize = 2;
/// Runs that are shown at all.
const SHOWN: usize = 8;
/// Characters of what a run changes.
const LABEL: usize = 32;
/// How long a run goes on before a line is written where there is no bar, and how long until the next.
const QUIET: Duration = Duration::from_secs(60);

/// The runs that go on.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    runs: BTreeMap<ExperimentId, Run>,
    /// When a line was last written.
    said: Option<Instant>,
}

#[derive(Debug)]
struct Run {
    label: String,
    began: Instant,
    figures: Option<Figures>,
}

impl Runs {
    /// One began.
    pub(crate) fn began(&mut self, id: ExperimentId, label: String, now: Instant) {
        self.runs.insert(id, Run { label, began: now, figures: None });
    }

    /// One is so far. What is said of one that does not run any more comes late.
    pub(crate) fn told(&mut self, id: ExperimentId, figures: Figures) {
        if let Some(run) = self.runs.get_mut(&id) {
            run.figures = Some(figures);
        }
    }

    /// One has ended.
    pub(crate) fn ended(&mut self, id: ExperimentId) {
        self.runs.remove(&id);
    }

    /// How many go on.
    pub(crate) fn count(&self) -> usize {
        self.runs.len()
    }

    /// What the first few change.
    pub(crate) fn labels(&self) -> String {
        let labels: Vec<&str> = self.runs.values().take(NAMED).map(|run| run.label.as_str()).collect();
        labels.join(", ")
    }

    /// How far they are, the first few of them.
    pub(crate) fn progress(&self, now: Instant) -> String {
        let with_labels = self.runs.len() <= NAMED;
        let one = |(id, run): (&ExperimentId, &Run)| {
            let label =
                if with_labels { format!(" {}", text::cut(&run.label, LABEL)) } else { String::new() };
            format!("#{id}{label}  {}", run.progress(now))
        };
        let mut shown: Vec<String> = self.runs.iter().take(SHOWN).map(one).collect();
        if self.runs.len() > SHOWN {
            shown.push(format!("{} more", self.runs.len() - SHOWN));
        }
        shown.join(" | ")
    }

    /// The line that is due where there is no bar: once in a minute, while a run goes on for longer than that.
    pub(crate) fn due(&mut self, now: Instant) -> Option<String> {
        let long = self.runs.values().any(|run| now.saturating_duration_since(run.began) >= QUIET);
        let lately = self.said.is_some_and(|said| now.saturating_duration_since(said) < QUIET);
        if !long || lately {
            return None;
        }
        self.said = Some(now);
        Some(format!("running   {}", self.progress(now)))
    }
}

impl Run {
    /// A run that has told nothing yet starts, or says nothing while it trains.
    fn progress(&self, now: Instant) -> String {
        let Some(Figures { seconds, loss, share }) = self.figures else {
            return format!("{} s", now.saturating_duration_since(self.began).as_secs());
        };
        let loss = loss.map(|loss| format!("loss {}", figure(loss)));
        let share = share.map_or(format!("{seconds:.0} s"), |share| format!("{:.0} %", share * 100.0));
        [loss, Some(share)].into_iter().flatten().collect::<Vec<_>>().join("  ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(loss: f64, share: f64) -> Figures {
        Figures { seconds: 30.0, loss: Some(loss), share: Some(share) }
    }

    #[test]
    fn each_run_has_its_loss_and_its_share_and_many_fit_a_line() {
        let begin = Instant::now();
        let mut runs = Runs::default();
        runs.began(ExperimentId(12), "LR=0.1".into(), begin);
        let later = begin + Duration::from_secs(14);
        assert_eq!(runs.progress(later), "#12 LR=0.1  14 s");
        runs.told(ExperimentId(12), figures(3.25, 0.48));
        runs.told(ExperimentId(99), figures(1.0, 1.0));
        assert_eq!(runs.progress(later), "#12 LR=0.1  loss 3.2500  48 %");
        runs.told(ExperimentId(12), Figures { seconds: 31.2, loss: None, share: None });
        assert_eq!(runs.progress(later), "#12 LR=0.1  31 s");
        for id in 13..22 {
            runs.began(ExperimentId(id), "DEPTH=12".into(), begin);
        }
        let many = runs.progress(later);
        assert!(
            many.starts_with("#12  31 s | #13  14 s | ") && many.ends_with("#19  14 s | 2 more"),
            "{many}"
        );
        (12..22).for_each(|id| runs.ended(ExperimentId(id)));
        assert_eq!((runs.progress(later).as_str(), runs.count()), ("", 0));
    }

    #[test]
    fn without_a_bar_only_long_runs_are_told_of_and_once_in_a_minute() {
        let begin = Instant::now();
        let at = |seconds: u64| begin + Duration::from_secs(seconds);
        let mut runs = Runs::default();
        // Short runs, one after the other, for ten minutes.
        for i in 0..60 {
            runs.began(ExperimentId(i), String::new(), at(10 * i));
            assert_eq!(runs.due(at(10 * i + 9)), None);
            runs.ended(ExperimentId(i));
        }
        runs.began(ExperimentId(60), "LR=0.1".into(), at(600));
        runs.told(ExperimentId(60), figures(2.0, 0.1));
        let lines =
            (600..=800).filter_map(|second| Some((second, runs.due(at(second))?))).collect::<Vec<_>>();
        let when: Vec<u64> = lines.iter().map(|(second, _)| *second).collect();
        assert_eq!(when, [660, 720, 780]);
        assert!(lines[0].1.starts_with("running   #60 LR=0.1  loss 2"), "{}", lines[0].1);
    }
}
