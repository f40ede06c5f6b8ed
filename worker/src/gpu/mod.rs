//! The GPUs of this machine: which there are, who holds which, what a run takes of them, and whether they are whole
//! afterwards.
//!
//! NVML, the driver's own library, is loaded at run time. A machine without it has no GPUs to pin, which is no error.
//! Whatever the driver does not tell is *not known*; that a GPU is lost is the one answer on which something is done.

mod discovery;
mod lending;
mod pool;
mod reading;
mod recovery;
mod sampling;

use ar_common::frames::Hardware;

pub(crate) use discovery::{Discovery, discover};
pub(crate) use lending::{Gpus, InUse, Setup};
pub(crate) use sampling::FIGURES;

/// Names the library to load in place of the driver's `libnvidia-ml.so.1`. For tests, which bring one of their own.
pub const LIBRARY: &str = "AUTORESEARCH_NVML_LIBRARY";
/// The variable by which CUDA is told what it may use.
pub(crate) const VISIBLE: &str = "CUDA_VISIBLE_DEVICES";

/// More GPUs were asked for than there are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TooFewGpus {
    /// For one experiment.
    #[error(
        "--gpus-per-experiment {wanted} needs {wanted} GPUs and {found} can be used here ({why}); give fewer, or 0 to pin none"
    )]
    One {
        /// How many it was to have.
        wanted: u32,
        /// How many there are.
        found: u32,
        /// What is known of them.
        why: String,
    },
    /// For as many at once.
    #[error(
        "--slots {slots} with {each} for each experiment needs {} GPUs and {found} can be used here; give fewer slots, or --gpus-per-experiment 0 for runs that share them",
        u64::from(*slots) * u64::from(*each)
    )]
    All {
        /// Experiments at once.
        slots: u32,
        /// GPUs of each.
        each: u32,
        /// How many there are.
        found: u32,
    },
}

/// GPUs of one experiment, 0 where none is pinned: what was asked for, or one if there is one.
///
/// # Errors
/// When it is to have more than there are.
pub(crate) fn per_experiment(hardware: &Hardware, asked: Option<u32>) -> Result<u32, TooFewGpus> {
    let found = u32::try_from(hardware.gpus.len()).unwrap_or(u32::MAX);
    match asked {
        Some(wanted) if wanted > found => {
            Err(TooFewGpus::One { wanted, found, why: hardware.accelerator.clone() })
        }
        Some(wanted) => Ok(wanted),
        None => Ok(found.min(1)),
    }
}

/// How many training runs a machine takes at once: as many as were asked for, else one for each set of its GPUs, else one,
/// because a run takes the processor for itself.
///
/// # Errors
/// When there are fewer GPUs than that needs.
pub fn training_slots(
    hardware: &Hardware,
    gpus_per_experiment: Option<u32>,
    slots: Option<u32>,
) -> Result<u32, TooFewGpus> {
    let each = per_experiment(hardware, gpus_per_experiment)?;
    let found = u32::try_from(hardware.gpus.len()).unwrap_or(u32::MAX);
    let sets = found.checked_div(each);
    match (slots, sets) {
        (Some(slots), Some(sets)) if slots > sets => Err(TooFewGpus::All { slots, each, found }),
        (Some(slots), _) => Ok(slots.max(1)),
        (None, sets) => Ok(sets.unwrap_or(1)),
    }
}

#[cfg(test)]
mod tests {
    use ar_common::frames::Gpu;

    use super::*;

    fn machine(gpus: usize) -> Hardware {
        Hardware { gpus: vec![Gpu::default(); gpus], accelerator: "a driver".into(), ..Hardware::default() }
    }

    #[test]
    fn a_training_slot_is_a_set_of_gpus_or_the_machine() {
        let slots = |gpus, each, asked| training_slots(&machine(gpus), each, asked);
        assert_eq!(slots(0, None, None), Ok(1));
        assert_eq!(slots(4, None, None), Ok(4));
        assert_eq!(slots(5, Some(2), None), Ok(2), "one GPU stays idle");
        assert_eq!(slots(4, Some(0), None), Ok(1), "nothing is pinned");
        assert_eq!((slots(4, None, Some(2)), slots(0, None, Some(3))), (Ok(2), Ok(3)));
        assert_eq!(slots(1, Some(0), Some(3)), Ok(3), "they share it");
    }

    #[test]
    fn more_than_there_are_is_refused_with_both_numbers() {
        let why = |gpus, each, asked| training_slots(&machine(gpus), each, asked).unwrap_err().to_string();
        let said = why(1, Some(2), None);
        assert!(said.contains("needs 2 GPUs and 1 can be used here (a driver)"), "{said}");
        let said = why(0, Some(1), None);
        assert!(said.contains("needs 1 GPUs and 0 can be used here"), "{said}");
        let said = why(4, Some(2), Some(3));
        assert!(said.contains("--slots 3") && said.contains("needs 6 GPUs and 4 can"), "{said}");
    }
}
