//! The loss of a training run while it runs, at evenly spaced points of its time.
//!
//! Read from lines like `step 00012 (3.1%) | loss: 4.53 | ...`, ended by a line end or a carriage return. Time counts from the
//! first such line: what was before is start and compilation. At each point the loss is the last that was told by then.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ar_common::{Course, Race};
use regex::Regex;

use super::lines::Lines;

/// Longest line that is looked at, bytes: a line of progress is short.
const LINE: usize = 1 << 10;
/// A line of progress: a step, then a loss that is a number.
const PROGRESS: &str = r"(?i)\bstep\b.*?\b(?:train[_ ]?)?loss\b\s*[:=]?\s*([-+]?[0-9.]+(?:e[-+]?[0-9]+)?)";

/// Follows a run.
#[derive(Debug)]
pub(crate) struct Curve {
    progress: Option<Regex>,
    lines: Lines,
    /// Time between two points.
    every: Duration,
    began: Option<Instant>,
    latest: f64,
    points: Vec<f64>,
}

impl Curve {
    /// Of a run with so many seconds to train.
    pub(crate) fn new(budget_seconds: f64) -> Self {
        let every = Duration::try_from_secs_f64(budget_seconds / f64::from(Race::CURVE_POINTS));
        Self {
            // It is a constant, and a test reads it; without it there is no curve.
            progress: Regex::new(PROGRESS).ok(),
            lines: Lines::new(LINE),
            every: every.unwrap_or(Duration::MAX).max(Duration::from_millis(1)),
            began: None,
            latest: f64::NAN,
            points: Vec::new(),
        }
    }

    /// Takes the next bytes of the output, read at `now`.
    pub(crate) fn push(&mut self, bytes: &[u8], now: Instant) {
        let mut lines = std::mem::replace(&mut self.lines, Lines::new(LINE));
        lines.push(bytes, |line| self.read(&String::from_utf8_lossy(line), now));
        self.lines = lines;
    }

    fn read(&mut self, line: &str, now: Instant) {
        let found = self.progress.as_ref().and_then(|progress| progress.captures(line)?.get(1));
        let loss: Option<f64> = found.and_then(|loss| loss.as_str().parse().ok());
        if let Some(loss) = loss.filter(|loss| loss.is_finite()) {
            self.advance(now);
            self.began.get_or_insert(now);
            self.latest = loss;
        }
    }

    /// Time has passed: the points up to `now` are those of the loss told last.
    pub(crate) fn advance(&mut self, now: Instant) {
        let Some(began) = self.began else { return };
        let passed = now.saturating_duration_since(began).as_nanos() / self.every.as_nanos();
        let passed = usize::try_from(passed).unwrap_or(usize::MAX).min(Race::CURVE_POINTS as usize);
        while self.points.len() < passed {
            self.points.push(self.latest);
        }
    }

    /// The points so far.
    pub(crate) fn points(&self) -> &[f64] {
        &self.points
    }

    /// Seconds between two points.
    pub(crate) fn seconds(&self) -> f64 {
        self.every.as_secs_f64()
    }

    /// The loss told last, if one was.
    pub(crate) fn latest(&self) -> Option<f64> {
        Some(self.latest).filter(|loss| loss.is_finite())
    }

    /// Share of the time to train that has passed, if it has begun.
    pub(crate) fn share(&self, now: Instant) -> Option<f64> {
        let all = self.every.saturating_mul(Race::CURVE_POINTS);
        let trained = now.saturating_duration_since(self.began?);
        Some((trained.as_secs_f64() / all.as_secs_f64()).min(1.0)).filter(|share| share.is_finite())
    }

    /// When training began, if it has.
    pub(crate) fn began(&self) -> Option<Instant> {
        self.began
    }

    /// All points of a run that has ended by itself: a run may end a little before its budget.
    pub(crate) fn whole(mut self) -> Vec<f64> {
        let all = Race::CURVE_POINTS as usize;
        if self.points.len() + MISSING >= all {
            self.points.resize(all, self.latest);
        }
        self.points
    }
}

/// Points that a run may lack at its end: it stops a step too early, and its first line may have come late.
const MISSING: usize = 4;

/// How it went. It began to train with its first line of progress; without one, its summary says how long it did.
pub(super) fn course(
    began: Instant,
    curve: Option<Curve>,
    (seconds, figures): (f64, &BTreeMap<String, f64>),
) -> Option<Box<Course>> {
    let curve = curve?;
    let first = curve.began().map(|first| first.saturating_duration_since(began).as_secs_f64());
    let said = || figures.get("training_seconds").map(|trained| seconds - trained);
    let startup_seconds = first.or_else(said).filter(|startup| (0.0..=seconds).contains(startup));
    let course = Course { curve: curve.whole(), startup_seconds };
    (course != Course::default()).then(|| Box::new(course))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(begin: Instant, seconds: f64) -> Instant {
        begin + Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_loss_is_followed_from_its_first_line_on() {
        let begin = Instant::now();
        let mut curve = Curve::new(32.0);
        curve.push(b"compiling\nstep 00001 (0.3%) | loss: 5.5", at(begin, 40.0));
        assert!(curve.began().is_none(), "the line has not ended");
        curve.push(b" | lrm: 1.00\rstep 00002 | lo", at(begin, 50.0));
        assert_eq!(curve.began(), Some(at(begin, 50.0)));
        curve.push(b"ss: 4.25\r", at(begin, 52.5));
        assert_eq!(curve.points(), [5.5, 5.5], "what was the last by then");
        curve.push(
            b"step 3 val_loss: 9.0\nstep 4 train_loss=4e0 val_loss: 9\nstep 5 loss: nan\n",
            at(begin, 53.5),
        );
        curve.advance(at(begin, 54.2));
        assert_eq!(curve.points(), [5.5, 5.5, 4.25, 4.0]);
        curve.advance(at(begin, 500.0));
        assert_eq!(curve.points().len(), 32, "never more");
    }

    #[test]
    fn endless_lines_other_output_and_no_time_do_no_harm() {
        let begin = Instant::now();
        let mut curve = Curve::new(10.0);
        curve.push(&[b'x'; 100_000], begin);
        curve.push(b" step 1 loss: 3\n", begin);
        curve.push(b"\xff\xfe\nloss: 3\nstep: three\n", begin);
        curve.advance(at(begin, 5.0));
        assert!(curve.points().is_empty());
        for odd in [0.0, f64::NAN, f64::INFINITY, -1.0] {
            let mut curve = Curve::new(odd);
            curve.push(b"step 1 loss: 3\n", begin);
            curve.advance(at(begin, 1.0));
            assert!(curve.points().len() <= 32);
        }
    }

    #[test]
    fn a_run_that_ends_a_step_early_has_a_whole_curve() {
        let begin = Instant::now();
        let curve = |seconds: f64| {
            let mut curve = Curve::new(32.0);
            curve.push(b"step 1 loss: 3\n", begin);
            curve.push(b"step 2 loss: 2\n", at(begin, seconds));
            curve.whole()
        };
        let whole = curve(30.9);
        assert_eq!((whole.len(), whole[29], whole[31]), (32, 3.0, 2.0));
        assert_eq!(curve(20.0).len(), 20, "but not one that ends long before");
    }
}
