//! Dates as people write them, read strictly: four-digit years, days that exist.

/// How the dates of a column are written. The same cell may fit several forms, a column seldom does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Forms(u8);

impl Forms {
    /// `2024-01-31`, `2024/01/31`, `31-Jan-2024`: only one reading is possible.
    const PLAIN: u8 = 1;
    /// `01/31/2024`.
    const MONTH_FIRST: u8 = 2;
    /// `31/01/2024`, `31.01.2024`.
    const DAY_FIRST: u8 = 4;

    /// Every form; what an empty column fits.
    pub(super) const ALL: Self = Self(Self::PLAIN | Self::MONTH_FIRST | Self::DAY_FIRST);
    /// No form.
    pub(super) const NO_DATE: Self = Self(0);

    /// The forms that both fit.
    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether it is a date at all.
    pub(super) fn is_date(self) -> bool {
        self.0 != 0
    }

    /// Whether the runner reads it: it puts the month before the day where both are possible.
    pub(super) fn is_readable(self) -> bool {
        self.0 & (Self::PLAIN | Self::MONTH_FIRST) != 0
    }

    /// Whether day and month may be confused.
    pub(super) fn is_ambiguous(self) -> bool {
        self.0 == Self::MONTH_FIRST | Self::DAY_FIRST
    }
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// The forms that `cell` fits, with or without a time of day after the date.
pub(super) fn forms(cell: &str) -> Forms {
    if !cell.starts_with(|c: char| c.is_ascii_digit()) || cell.len() > 40 || !cell.is_ascii() {
        return Forms::NO_DATE;
    }
    let Some(separator) = cell.chars().find(|c| !c.is_ascii_digit()) else {
        return Forms::NO_DATE;
    };
    let mut parts = cell.splitn(3, separator);
    let (Some(first), Some(second), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return Forms::NO_DATE;
    };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (third, time) = rest.split_at(digits);
    if !is_time(time) {
        return Forms::NO_DATE;
    }
    let mask = match separator {
        '-' | '/' if first.len() == 4 => flag(exists(first, second, third), Forms::PLAIN),
        '-' | ' ' if second.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            let month = MONTHS.iter().position(|month| second.eq_ignore_ascii_case(month));
            let month = month.map(|index| (index + 1).to_string());
            flag(month.is_some_and(|month| exists(third, &month, first)), Forms::PLAIN)
        }
        '-' | '/' => {
            flag(exists(third, first, second), Forms::MONTH_FIRST)
                | flag(exists(third, second, first), Forms::DAY_FIRST)
        }
        '.' => flag(exists(third, second, first), Forms::DAY_FIRST),
        _ => 0,
    };
    Forms(mask)
}

fn flag(holds: bool, bit: u8) -> u8 {
    if holds { bit } else { 0 }
}

/// Whether the day exists, in the years that the runner can hold.
fn exists(year: &str, month: &str, day: &str) -> bool {
    let number = |text: &str, most: usize| -> Option<u32> {
        let plain = (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        if plain { text.parse().ok() } else { None }
    };
    let (Some(y), Some(m), Some(d)) = (number(year, 4), number(month, 2), number(day, 2)) else {
        return false;
    };
    let leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
    let last = match m {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return false,
    };
    (1678..=2261).contains(&y) && (1..=last).contains(&d)
}

/// Whether the rest of a cell is a time of day: nothing, or `T` or a blank, `hh:mm`, perhaps
/// `:ss.fff`, perhaps `Z` or an offset.
fn is_time(text: &str) -> bool {
    if text.is_empty() {
        return true;
    }
    let Some(text) = text.strip_prefix(['T', ' ']) else {
        return false;
    };
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (clock, offset) = match text.find(['+', '-']) {
        Some(at) => text.split_at(at),
        None => (text, "+00:00"),
    };
    let two = |text: &str, below: u32| {
        text.len() == 2
            && text.bytes().all(|b| b.is_ascii_digit())
            && text.parse::<u32>().is_ok_and(|n| n < below)
    };
    let second = |text: &str| {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        two(whole, 60) && (1..=9).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
    };
    let clock_holds = match clock.split(':').collect::<Vec<_>>().as_slice() {
        [h, m] => two(h, 24) && two(m, 60),
        [h, m, s] => two(h, 24) && two(m, 60) && second(s),
        _ => false,
    };
    let offset = offset.get(1..).unwrap_or_default();
    let (hours, minutes) = offset.split_once(':').or_else(|| offset.split_at_checked(2)).unwrap_or_default();
    clock_holds && two(hours, 24) && two(minutes, 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_told_from_what_resembles_them() {
        let both = Forms::MONTH_FIRST | Forms::DAY_FIRST;
        let cases = [
            ("2024-01-31", Forms::PLAIN),
            ("2024/1/31", Forms::PLAIN),
            ("2024-02-29", Forms::PLAIN),
            ("2023-02-29", 0),
            ("1900-02-29", 0),
            ("2024-01-31T23:59:58.123Z", Forms::PLAIN),
            ("2024-01-31 23:59+02:00", Forms::PLAIN),
            ("2024-01-31 23:59:00+0200", Forms::PLAIN),
            ("2024-01-31 24:00", 0),
            ("2024-01-31 soon", 0),
            ("2024-01-31x", 0),
            ("31-Jan-2024", Forms::PLAIN),
            ("3 feb 2024", Forms::PLAIN),
            ("31-Foo-2024", 0),
            ("01/31/2024", Forms::MONTH_FIRST),
            ("31/01/2024", Forms::DAY_FIRST),
            ("02/01/2024", both),
            ("02-01-2024 10:00", both),
            ("31.01.2024", Forms::DAY_FIRST),
            ("1.2.2024", Forms::DAY_FIRST),
            ("9999-12-31", 0),
            ("0000-00-00", 0),
            ("1.2.3", 0),
            ("192.168.0.1", 0),
            ("12/2024", 0),
            ("5-10", 0),
            ("555-12-3456", 0),
            ("2024", 0),
            ("20240131", 0),
            ("+1-2-2024", 0),
            ("2024-01-é", 0),
            ("", 0),
        ];
        for (cell, expected) in cases {
            assert_eq!(forms(cell), Forms(expected), "{cell:?}");
        }
    }
}
