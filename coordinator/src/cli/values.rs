//! Values of flags as people write them.

pub(super) use ar_net::size::parse as size;
use std::time::Duration;

pub(super) fn direction(text: &str) -> Result<ar_common::Direction, String> {
    match text {
        "minimize" => Ok(ar_common::Direction::Minimize),
        "maximize" => Ok(ar_common::Direction::Maximize),
        _ => Err(format!("`{text}` is neither minimize nor maximize")),
    }
}

pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE".to_owned()),
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let duration =
        humantime::parse_duration(text).map_err(|error| format!("{error}; write it like 90s, 30m or 2h"))?;
    if duration.is_zero() {
        return Err("it must be more than nothing".to_owned());
    }
    Ok(duration)
}

pub(super) fn amount(text: &str) -> Result<f64, String> {
    let amount: Option<f64> = text.parse().ok().filter(|amount: &f64| amount.is_finite() && *amount > 0.0);
    amount.ok_or_else(|| format!("`{text}` is no positive number; write it like 0.001"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_are_read_as_people_write_them() {
        assert_eq!(size("2GiB"), Ok(2 << 30));
        assert_eq!(size("512m"), Ok(512 << 20));
        assert!(size("much").is_err());
        assert!(size("0").is_err());
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert!(duration("0s").is_err());
        assert_eq!(amount("2.5"), Ok(2.5));
        assert!(["0", "-1", "inf", "NaN", "fast"].iter().all(|text| amount(text).is_err()));
    }
}
