//! Bounded facts about one column, gathered cell by cell.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::dates::{self, Forms};
use super::{DISTINCT_CAP, MISSING};

/// Entries that all columns together may hold for counting distinct values.
const DISTINCT_BUDGET: usize = 4_000_000;

/// What a column of the widest file may hold: enough to tell a number from a few codes.
const LEAST_CAP: usize = 50;

/// How many spellings of infinite numbers are counted.
const MOST_SPELLINGS: usize = 50;

/// How many labels of the target are counted.
const CLASS_CAP: usize = 10_000;

/// Whether a cell, its blanks cut off, means "missing".
pub(super) fn is_missing(cell: &str) -> bool {
    MISSING.contains(&cell)
}

/// A cell without the blanks around it. Python counts the four separators of ASCII among them.
pub(super) fn trim(cell: &str) -> &str {
    cell.trim_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
}

/// A cell and the line it is on, as an example for a message.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Example {
    pub(super) cell: String,
    pub(super) line: u64,
}

/// How many distinct values there are, counted up to a bound.
#[derive(Debug)]
pub(super) struct Distinct {
    seen: HashSet<u64>,
    cap: usize,
    /// Values looked at until the bound was reached.
    looked_at: usize,
}

impl Distinct {
    fn new(cap: usize) -> Self {
        Self { seen: HashSet::new(), cap, looked_at: 0 }
    }

    fn add(&mut self, hash: u64) {
        if self.seen.len() < self.cap {
            self.looked_at += 1;
            self.seen.insert(hash);
        }
    }

    pub(super) fn count(&self) -> usize {
        self.seen.len()
    }

    pub(super) fn is_capped(&self) -> bool {
        self.seen.len() >= self.cap
    }

    /// Share of the values looked at that were new.
    pub(super) fn share(&self) -> f64 {
        if self.looked_at == 0 { 0.0 } else { self.seen.len() as f64 / self.looked_at as f64 }
    }

    pub(super) fn all_differ(&self) -> bool {
        self.looked_at > 0 && self.seen.len() == self.looked_at
    }
}

/// What is known of the numbers of a column.
#[derive(Debug)]
pub(super) struct Numbers {
    pub(super) count: usize,
    pub(super) all_integers: bool,
    pub(super) min: f64,
    pub(super) max: f64,
    /// Smallest number above zero.
    pub(super) least_positive: f64,
    pub(super) zeros: usize,
    /// Whether every number is the one before plus one.
    pub(super) consecutive: bool,
    last: Option<f64>,
}

impl Numbers {
    fn new() -> Self {
        let (min, max, least_positive) = (f64::INFINITY, f64::NEG_INFINITY, f64::INFINITY);
        Self {
            count: 0,
            all_integers: true,
            min,
            max,
            least_positive,
            zeros: 0,
            consecutive: true,
            last: None,
        }
    }

    fn add(&mut self, x: f64) {
        self.count += 1;
        self.all_integers &= x.fract() == 0.0;
        self.min = self.min.min(x);
        self.max = self.max.max(x);
        if x == 0.0 {
            self.zeros += 1;
        } else if x > 0.0 {
            self.least_positive = self.least_positive.min(x);
        }
        self.consecutive &= self.last.is_none_or(|last| x == last + 1.0);
        self.last = Some(x);
    }
}

/// What is known of a column.
#[derive(Debug)]
pub(super) struct Stats {
    /// Cells that mean "missing".
    pub(super) missing: usize,
    /// All other cells.
    pub(super) filled: usize,
    pub(super) numbers: Numbers,
    /// Cells that read as infinite or as "not a number".
    pub(super) not_finite: usize,
    pub(super) first_not_finite: Option<Example>,
    /// The spellings of those cells: values of a column of words, missing in a column of numbers.
    spellings: Distinct,
    /// First cell that is no number.
    pub(super) first_text: Option<Example>,
    /// Cells that are numbers if a comma may stand in them.
    pub(super) comma_numbers: usize,
    pub(super) first_comma: Option<Example>,
    /// Forms that every cell fits as a date.
    pub(super) forms: Forms,
    pub(super) dates: usize,
    /// First cell that is no date.
    pub(super) first_undated: Option<Example>,
    /// Cells with several words.
    pub(super) wordy: usize,
    /// Characters of all cells that are no numbers.
    pub(super) chars: usize,
    pub(super) distinct: Distinct,
}

impl Stats {
    /// For a column of a file with so many.
    pub(super) fn new(columns: usize) -> Self {
        let cap = (DISTINCT_BUDGET / columns.max(1)).clamp(LEAST_CAP, DISTINCT_CAP);
        Self {
            missing: 0,
            filled: 0,
            numbers: Numbers::new(),
            not_finite: 0,
            first_not_finite: None,
            spellings: Distinct::new(MOST_SPELLINGS),
            first_text: None,
            comma_numbers: 0,
            first_comma: None,
            forms: Forms::ALL,
            dates: 0,
            first_undated: None,
            wordy: 0,
            chars: 0,
            distinct: Distinct::new(cap),
        }
    }

    /// Adds a cell whose blanks are cut off.
    pub(super) fn add(&mut self, cell: &str, line: u64) {
        if is_missing(cell) {
            self.missing += 1;
            return;
        }
        self.filled += 1;
        let example = || Some(Example { cell: cell.to_owned(), line });
        match cell.parse::<f64>() {
            Ok(x) if x.is_finite() => {
                self.numbers.add(x);
                // 1 and 1.0 are one value; what a float cannot tell apart counts as written.
                self.distinct.add(if cell.len() <= 15 { hash(&(x + 0.0).to_bits()) } else { hash(cell) });
                self.forms = Forms::NO_DATE;
            }
            Ok(_) => {
                self.not_finite += 1;
                if self.first_not_finite.is_none() {
                    self.first_not_finite = example();
                }
                self.spellings.add(hash(cell));
                self.forms = Forms::NO_DATE;
            }
            Err(_) => {
                if self.first_text.is_none() {
                    self.first_text = example();
                }
                self.add_text(cell, line);
            }
        }
    }

    fn add_text(&mut self, cell: &str, line: u64) {
        self.distinct.add(hash(cell));
        self.chars += cell.chars().count();
        self.wordy += usize::from(has_words(cell));
        if is_comma_number(cell) {
            self.comma_numbers += 1;
            if self.first_comma.is_none() {
                self.first_comma = Some(Example { cell: cell.to_owned(), line });
            }
        }
        let forms = dates::forms(cell);
        self.forms = self.forms.and(forms);
        if forms.is_date() {
            self.dates += 1;
        } else if self.first_undated.is_none() {
            self.first_undated = Some(Example { cell: cell.to_owned(), line });
        }
    }

    /// To be called after the last cell: "inf" among words is a word.
    pub(super) fn finish(&mut self) {
        if self.texts() > 0 {
            self.distinct.seen.extend(self.spellings.seen.drain());
            self.distinct.looked_at += self.not_finite;
        }
    }

    /// Whether every cell is a number, infinite ones included and at least one finite.
    pub(super) fn is_numeric(&self) -> bool {
        self.numbers.count > 0 && self.texts() == 0
    }

    /// Cells that are no numbers.
    pub(super) fn texts(&self) -> usize {
        self.filled - self.numbers.count - self.not_finite
    }

    /// Whether there is nothing in it that could be used.
    pub(super) fn is_void(&self) -> bool {
        self.numbers.count == 0 && self.texts() == 0
    }

    /// Whether most cells, not all, are numbers.
    pub(super) fn is_almost_numeric(&self) -> bool {
        self.texts() > 0 && self.numbers.count * 10 >= self.filled * 9
    }

    /// Whether most cells, not all, are dates.
    pub(super) fn is_almost_date(&self) -> bool {
        !self.forms.is_date() && self.dates > 0 && self.dates * 10 >= self.filled * 9
    }

    /// Whether all cells are numbers if commas may stand in them, and some do.
    pub(super) fn is_comma_numeric(&self) -> bool {
        self.comma_numbers > 0 && self.comma_numbers == self.texts()
    }

    /// Mean length of the cells that are no numbers.
    pub(super) fn mean_chars(&self) -> f64 {
        if self.texts() == 0 { 0.0 } else { self.chars as f64 / self.texts() as f64 }
    }
}

fn hash<T: Hash + ?Sized>(value: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Whether it reads as words: blanks within, or a script that writes none between words.
fn has_words(cell: &str) -> bool {
    cell.chars().any(|c| c.is_whitespace() || c >= '\u{2e80}')
}

/// `1,5`, `-12,75`, `1,234,567.8` and `1.234,5`: digits with commas among them.
fn is_comma_number(cell: &str) -> bool {
    let digits = cell.strip_prefix(['+', '-']).unwrap_or(cell);
    let plain = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let thousands = |text: &str, by: char| {
        let mut parts = text.split(by);
        let first = parts.next().is_some_and(|first| plain(first) && first.len() <= 3);
        first && parts.all(|part| plain(part) && part.len() == 3)
    };
    if !digits.contains(',') {
        return false;
    }
    let (whole, part) = digits.rsplit_once(',').unwrap_or_default();
    let decimal_comma = plain(part) && (plain(whole) || thousands(whole, '.'));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    decimal_comma || (plain(part) && thousands(whole, ','))
}

/// The labels of the target with how often each occurs.
#[derive(Debug, Default)]
pub(super) struct Classes {
    counts: HashMap<String, usize>,
    overflow: bool,
}

impl Classes {
    pub(super) fn add(&mut self, label: &str) {
        if let Some(count) = self.counts.get_mut(label) {
            *count += 1;
        } else if self.counts.len() < CLASS_CAP {
            self.counts.insert(label.to_owned(), 1);
        } else {
            self.overflow = true;
        }
    }

    /// Whether there are more labels than were counted.
    pub(super) fn is_overfull(&self) -> bool {
        self.overflow
    }

    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }

    /// Labels and counts, the most frequent first, equally frequent ones by name.
    pub(super) fn ranked(&self) -> Vec<(String, usize)> {
        let mut ranked: Vec<(String, usize)> =
            self.counts.iter().map(|(label, &n)| (label.clone(), n)).collect();
        ranked.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        ranked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_commas_are_told_from_lists() {
        let numbers = ["1,5", "-12,75", "0,1", "1,234", "1,234,567", "1,234.5", "1.234,5", "+3,0"];
        let others = ["1,2,3", "a,b", ",5", "5,", "1,23,456", "1, 2", "1.5", "12", ""];
        for cell in numbers {
            assert!(is_comma_number(cell), "{cell}");
        }
        for cell in others {
            assert!(!is_comma_number(cell), "{cell}");
        }
    }

    #[test]
    fn counting_stops_at_the_cap_and_remembers_how_far_it_came() {
        let mut stats = Stats::new(1);
        for i in 0..2 * DISTINCT_CAP {
            stats.add(&i.to_string(), 1);
            stats.add("1", 1);
        }
        assert!(stats.distinct.is_capped() && !stats.distinct.all_differ());
        assert_eq!(stats.distinct.count(), DISTINCT_CAP);
        assert!((stats.distinct.share() - 0.5).abs() < 0.01);
        assert_eq!(stats.numbers.count, 4 * DISTINCT_CAP);
    }

    #[test]
    fn one_and_one_point_zero_are_one_value_and_long_numbers_are_not() {
        let mut stats = Stats::new(1);
        ["1", "1.0", "01", "1e0", "-0", "0"].into_iter().for_each(|cell| stats.add(cell, 1));
        assert_eq!(stats.distinct.count(), 2);
        ["9007199254740992", "9007199254740993"].into_iter().for_each(|cell| stats.add(cell, 1));
        assert_eq!(stats.distinct.count(), 4);
    }

    #[test]
    fn memory_is_bounded_in_wide_files() {
        assert_eq!(Stats::new(20).distinct.cap, DISTINCT_CAP);
        assert_eq!(Stats::new(4_000).distinct.cap, 1_000);
        assert_eq!(Stats::new(10_000_000).distinct.cap, LEAST_CAP);
    }
}
