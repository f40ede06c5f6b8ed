//! What the memory of a GPU lets expect of a batch size and a depth. A guess, and told as one: nothing is changed.

use ar_common::frames::Gpu;

/// Memory for which scripts of this family are written: Karpathy's autoresearch runs on an H100 with 80 GB.
const WRITTEN_FOR: u64 = 80 * 1_000_000_000;
/// Below this share of it a batch alone does not make room: weights and the states of the optimizer count.
const SHALLOW: f64 = 0.2;

/// A constant of a script: its name and value.
pub(crate) type Constant<'a> = (&'a str, f64);

/// One line, where the smallest GPU has less memory than the script was likely written for and it has constants to change.
pub(crate) fn line<'a>(gpus: &[Gpu], constants: impl IntoIterator<Item = Constant<'a>>) -> Option<String> {
    let memory = gpus.iter().map(|gpu| gpu.memory).filter(|memory| *memory > 0).min()?;
    let share = memory as f64 / WRITTEN_FOR as f64;
    if share >= 0.95 {
        return None;
    }
    let tell = |(name, value): Constant<'a>| {
        let is = |word: &str| name.to_ascii_uppercase().split('_').any(|part| part == word);
        let wanted = match () {
            // A batch that is made up of several steps takes no more memory.
            () if is("BATCH") && !is("TOTAL") => power_of_two(value * share),
            () if is("DEPTH") && share < SHALLOW => (value / 2.0).round().max(1.0),
            () => return None,
        };
        (wanted >= 1.0 && wanted < value).then(|| format!("--pin {name}={wanted}"))
    };
    let flags: Vec<String> = constants.into_iter().filter_map(tell).collect();
    let gib = memory as f64 / f64::from(1 << 30);
    (!flags.is_empty()).then(|| {
        format!(
            "suggested {}: a guess from {gib:.0} GiB of memory, if the script was written for 80 GB; nothing is changed",
            flags.join(" ")
        )
    })
}

/// The largest one that is not above, and no less than 1.
fn power_of_two(value: f64) -> f64 {
    value.max(1.0).log2().floor().exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu(gib: u64) -> Gpu {
        Gpu { memory: gib << 30, ..Gpu::default() }
    }

    const SCRIPT: [Constant<'static>; 4] =
        [("DEVICE_BATCH_SIZE", 128.0), ("TOTAL_BATCH_SIZE", 524_288.0), ("DEPTH", 8.0), ("MATRIX_LR", 0.04)];

    #[test]
    fn less_memory_makes_for_smaller_batches_and_much_less_for_fewer_layers() {
        let said = |gib| line(&[gpu(80), gpu(gib)], SCRIPT);
        assert!(
            said(24).is_some_and(|line| line.starts_with("suggested --pin DEVICE_BATCH_SIZE=32: a guess"))
        );
        let small = said(8).unwrap_or_default();
        assert!(small.contains("--pin DEVICE_BATCH_SIZE=8 --pin DEPTH=4:"), "{small}");
    }

    #[test]
    fn nothing_is_said_where_nothing_is_known_or_it_fits() {
        assert_eq!(line(&[], SCRIPT), None);
        assert_eq!(line(&[gpu(0)], SCRIPT), None);
        assert_eq!(line(&[gpu(80)], SCRIPT), None);
        assert_eq!(line(&[gpu(8)], [("LR", 0.1)]), None);
        assert_eq!(line(&[gpu(1)], [("BATCH_SIZE", 1.0)]), None, "no smaller one is left");
    }
}
