//! What workers wrote down of leases.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

const DAY: f64 = 86_400.0;

/// A time of the day, in UTC, seconds.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(crate) struct Moment(f64);

impl Moment {
    pub(crate) fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is past 1970");
        Self(since.as_secs_f64() % DAY)
    }

    /// As a line of a log begins, e.g. `2026-01-31T23:59:58.123456Z`.
    fn of(line: &str) -> Option<Self> {
        let (_, time) = line.split_whitespace().next()?.split_once('T')?;
        let mut parts = time.trim_end_matches('Z').split(':').map(str::parse::<f64>);
        let mut next = || parts.next()?.ok();
        Some(Self(next()? * 3600.0 + next()? * 60.0 + next()?))
    }

    /// Seconds to a later one, less than a day away; negative to an earlier one.
    fn to(self, later: Self) -> f64 {
        let seconds = (later.0 - self.0).rem_euclid(DAY);
        if seconds > DAY / 2.0 { seconds - DAY } else { seconds }
    }
}

/// A grant that reached a worker.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) lease: u64,
    pub(crate) worker: String,
    epoch: u64,
    at: Moment,
}

/// The leases of all workers, by experiment.
#[derive(Debug, Default)]
pub(crate) struct Grants {
    pub(crate) granted: BTreeMap<u64, Vec<Grant>>,
    pub(crate) acknowledged: BTreeMap<u64, BTreeSet<u64>>,
}

impl Grants {
    /// From the logs in a folder, `NAME.log` each.
    pub(crate) fn of(folder: &Path) -> Self {
        let mut all = Self::default();
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "log") {
                let worker = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                fs::read_to_string(&path).unwrap().lines().for_each(|line| all.take(&worker, line));
            }
        }
        all
    }

    fn take(&mut self, worker: &str, line: &str) {
        let field = |name: &str| -> Option<u64> {
            let (_, rest) = line.split_once(&format!(" {name}="))?;
            rest.split_whitespace().next()?.parse().ok()
        };
        let (granted, acknowledged) = (line.contains(": granted "), line.contains(": acknowledged "));
        if !granted && !acknowledged {
            return;
        }
        let (experiment, lease) = (field("experiment").expect("it says"), field("lease").expect("it says"));
        if acknowledged {
            self.acknowledged.entry(experiment).or_default().insert(lease);
            return;
        }
        let (epoch, at) = (field("epoch").expect("it says"), Moment::of(line).expect("it says when"));
        let grant = Grant { lease, worker: worker.to_owned(), epoch, at };
        self.granted.entry(experiment).or_default().push(grant);
    }

    /// Seconds from this moment to the first grant of a reign that had granted nothing before.
    pub(crate) fn next_reign_after(&self, moment: Moment) -> Option<f64> {
        let mut reigns: BTreeMap<u64, f64> = BTreeMap::new();
        for grant in self.granted.values().flatten() {
            let after = moment.to(grant.at);
            let first = reigns.entry(grant.epoch).or_insert(after);
            *first = first.min(after);
        }
        reigns.into_values().filter(|after| *after > 0.0).reduce(f64::min)
    }
}
