//! How rows are split.

use serde::{Deserialize, Serialize};

/// How rows are split into sealed rows and folds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Splits {
    /// Folds of cross-validation.
    pub folds: u32,
    /// Fraction of the rows that is sealed until the end, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holdout: Option<f64>,
    /// Column whose equal values stay in one fold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Column that orders the rows; folds then predict forward in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Splits that one run on a fresh split covers, so that it counts as one evaluation and sees more of small data; see
    /// [`Splits::repeats_for`].
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub repeats: u32,
}

fn once() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
fn is_once(repeats: &u32) -> bool {
    *repeats == 1
}

impl Splits {
    /// Rows that the splits of one fresh run shall predict together.
    const ROWS: u64 = 2_000;
    /// Splits of one fresh run, at most: of the variance of a mean difference over 5 splits of 5 folds, (1 / 25 + 1 / 4) s2,
    /// more of them take less than a seventh.
    pub const MOST_REPEATS: u32 = 5;

    /// How many splits one fresh run covers of a table with so many rows outside the sealed ones: a fold of few rows costs
    /// little, and its score scatters the more.
    pub fn repeats_for(rows: u64) -> u32 {
        u32::try_from(Self::ROWS / rows.max(1)).unwrap_or(Self::MOST_REPEATS).clamp(1, Self::MOST_REPEATS)
    }

    /// Rows that a fold is tested on, per row that it is trained on: what the scores of a cross-validation have in common
    /// grows with it. Forward in time fold `i` is tested on one part and trained on `i`; the mean over the folds. 1 where
    /// there is one fold only.
    pub fn test_share(&self) -> f64 {
        match (self.folds, self.time.is_some()) {
            (0 | 1, _) => 1.0,
            (folds, false) => 1.0 / f64::from(folds - 1),
            (folds, true) => (1..=folds).map(|i| 1.0 / f64::from(i)).sum::<f64>() / f64::from(folds),
        }
    }

    /// Rows that one whole cross-validation predicts, of a table with so many. Where groups or classes are sealed whole
    /// it may be off by a few; a further split by time leaves out a few of the newest.
    pub fn predicted_rows(&self, rows: u64) -> u64 {
        let sealed = self.holdout.map_or(0.0, |share| (rows as f64 * share).round().max(0.0));
        // Not negative, and no more than there are.
        let open = rows - (sealed as u64).min(rows);
        let folds = u64::from(self.folds);
        if self.time.is_some() { open / (folds + 1) * folds } else { open }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cross_validation_predicts_what_is_not_sealed_and_by_time_all_but_the_first_part() {
        let mut splits = Splits { folds: 5, holdout: Some(0.2), group: None, time: None, repeats: 1 };
        assert_eq!(splits.predicted_rows(270), 216);
        splits.time = Some("month".into());
        assert_eq!(splits.predicted_rows(270), 180);
        splits.holdout = None;
        assert_eq!(splits.predicted_rows(3), 0);
    }

    #[test]
    fn the_fewer_the_rows_the_more_splits_a_fresh_run_covers() {
        let repeats = [0, 54, 399, 400, 667, 1_000, 1_001, u64::MAX].map(Splits::repeats_for);
        assert_eq!(repeats, [5, 5, 5, 5, 2, 2, 1, 1]);
    }

    #[test]
    fn one_split_to_a_run_is_not_written_down() {
        let splits = |repeats| Splits { folds: 5, holdout: None, group: None, time: None, repeats };
        assert_eq!(serde_json::to_string(&splits(1)).unwrap(), r#"{"folds":5}"#);
        let several = serde_json::to_string(&splits(4)).unwrap();
        assert_eq!(several, r#"{"folds":5,"repeats":4}"#);
        assert_eq!(serde_json::from_str::<Splits>(&several).unwrap(), splits(4));
    }
}
