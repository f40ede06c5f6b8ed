//! What is told of a run while it runs: at most once in a second, and only what is new.

use std::time::{Duration, Instant};

use ar_common::frames::Figures;

use super::curve::Curve;

/// Least time between two.
const EVERY: Duration = Duration::from_secs(1);
/// Parts of its time by which a share is told.
const PARTS: f64 = 100.0;

/// What was told last of one run.
#[derive(Debug, Default)]
pub(super) struct Live {
    last: Option<(Instant, Figures)>,
}

impl Live {
    /// What is to be told now, if anything.
    pub(super) fn next(&mut self, curve: &Curve, now: Instant) -> Option<Figures> {
        if self.last.is_some_and(|(at, _)| now.saturating_duration_since(at) < EVERY) {
            return None;
        }
        let trained = now.saturating_duration_since(curve.began()?).as_secs_f64();
        // Whole parts, so that a run is not news because a second has passed.
        let share = curve.share(now).map(|share| (share * PARTS).floor() / PARTS);
        let figures = Figures { seconds: trained, loss: curve.latest(), share };
        if self.last.is_some_and(|(_, last)| (last.loss, last.share) == (figures.loss, figures.share)) {
            return None;
        }
        self.last = Some((now, figures));
        Some(figures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_told_of_once_in_a_second_and_only_when_something_is_new() {
        let begin = Instant::now();
        let at = |seconds: f64| begin + Duration::from_secs_f64(seconds);
        let (mut curve, mut live) = (Curve::new(1_000.0), Live::default());
        curve.push(b"compiling\n", at(0.0));
        assert_eq!(live.next(&curve, at(0.5)), None, "it has not begun");
        let mut told = Vec::new();
        // A step every 10 ms for two seconds, with another loss each time.
        for step in 0..=200_u32 {
            let now = at(1.0 + f64::from(step) / 100.0);
            curve.push(format!("step {step} loss: {}\n", 200 - step).as_bytes(), now);
            told.extend(live.next(&curve, now).map(|figures| (figures.seconds, figures.loss)));
        }
        assert_eq!(told, [(0.0, Some(200.0)), (1.0, Some(100.0)), (2.0, Some(0.0))]);
        assert_eq!(
            live.next(&curve, at(9.0)),
            None,
            "the loss is the same, and less than a hundredth has passed"
        );
        let later = live.next(&curve, at(12.0)).unwrap();
        assert_eq!((later.loss, later.share), (Some(0.0), Some(0.01)));
        assert_eq!(live.next(&curve, at(5_000.0)).unwrap().share, Some(1.0), "never more than all");
    }
}
