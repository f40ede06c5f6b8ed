//! Sizes as people write and read them.

/// Bytes, from what a person wrote.
///
/// # Errors
/// When it is no size, or none at all.
pub fn parse(text: &str) -> Result<u64, String> {
    match parse_or_none(text)? {
        0 => Err(wrong(text)),
        bytes => Ok(bytes),
    }
}

/// The same, where 0 has a meaning.
///
/// # Errors
/// When it is no size.
pub fn parse_or_none(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let number: u64 = digits.parse().map_err(|_| wrong(text))?;
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err(wrong(text)),
    };
    number.checked_mul(factor).ok_or_else(|| wrong(text))
}

fn wrong(text: &str) -> String {
    format!("`{text}` is no size; write it like 512MiB or 2GiB")
}

/// Bytes for a person to read, to three digits or so.
pub fn words(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let Some((shift, unit)) = units.into_iter().find(|(shift, _)| bytes >> shift > 0) else {
        return format!("{bytes} bytes");
    };
    let number = format!("{:.2}", bytes as f64 / (1_u64 << shift) as f64);
    format!("{} {unit}", number.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_as_it_is_written_and_none_only_where_that_means_something() {
        assert_eq!((parse("2GiB"), parse("512 mb"), parse("7")), (Ok(2 << 30), Ok(512 << 20), Ok(7)));
        assert_eq!((parse_or_none("0"), parse_or_none("0MiB")), (Ok(0), Ok(0)));
        for wrong in ["0", "", "GiB", "-1", "1TiBs", "99999999999GiB"] {
            assert!(
                parse(wrong).is_err_and(|why| why.starts_with(&format!("`{wrong}` is no size"))),
                "{wrong}"
            );
        }
        let read = [0, 1023, 1024, 1 << 20, 5 << 28, 310 << 20, (3 << 40) + (1 << 29)].map(words);
        assert_eq!(read, ["0 bytes", "1023 bytes", "1 KiB", "1 MiB", "1.25 GiB", "310 MiB", "3072.5 GiB"]);
    }
}
