//! Which GPUs this process may use.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use ar_common::frames::Gpu;
use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;

use super::reading::Device;
use super::{LIBRARY, VISIBLE};

/// Value of NVML's MIG mode where a GPU is partitioned.
const MIG_ENABLED: u32 = 1;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Discovery {
    /// In the driver's order; those alone that this process was told to use.
    pub(crate) devices: Vec<Device>,
    /// What is known beside that, one line.
    pub(crate) text: String,
    /// Whether there is a GPU that attempts may use without being pinned to it.
    pub(crate) others: bool,
}

/// Looks at this machine. A driver may take seconds to wake up.
pub(crate) fn discover() -> Discovery {
    let library = std::env::var_os(LIBRARY);
    let visible = std::env::var(VISIBLE).ok();
    discover_by(library.as_deref(), visible.as_deref(), Path::new("/"))
}

fn discover_by(library: Option<&OsStr>, visible: Option<&str>, root: &Path) -> Discovery {
    let mut builder = Nvml::builder();
    if let Some(library) = library {
        builder.lib_path(library);
    }
    let nvml = match builder.init() {
        // Never unloaded: readings are taken until the process ends, and a library may lack what unloading calls.
        Ok(nvml) => &*Box::leak(Box::new(nvml)),
        Err(NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound | NvmlError::DriverNotLoaded) => {
            return without_nvml(root);
        }
        Err(error) => {
            let text = format!("the NVIDIA driver does not answer ({error}), so no GPU is used");
            return Discovery { text, ..Discovery::default() };
        }
    };
    let driver = nvml.sys_driver_version().unwrap_or_default();
    let (found, silent) = all(nvml, &driver);
    let count = found.len();
    let devices = match visible {
        Some(visible) => chosen(found, visible),
        None => found.into_iter().map(|found| found.device).collect(),
    };
    let mut text = match driver.as_str() {
        "" => "NVIDIA driver of an unknown version".to_owned(),
        driver => format!("NVIDIA driver {driver}"),
    };
    if count == 0 && silent == 0 {
        text.push_str(" and no GPU");
    }
    if devices.len() < count {
        text.push_str(&format!(", {} of {count} GPUs by {VISIBLE}", devices.len()));
    }
    if silent > 0 {
        text.push_str(&format!(", {silent} more cannot be used: the driver does not tell what they are"));
    }
    Discovery { devices, text, others: silent > 0 }
}

/// What there is where there is no NVIDIA driver. Attempts find it as they would without a worker.
fn without_nvml(root: &Path) -> Discovery {
    let (text, others) = if root.join("dev/kfd").exists() {
        ("AMD GPU, to which runs are not pinned", true)
    } else if cfg!(all(target_os = "macos", target_arch = "aarch64")) {
        ("Apple GPU, to which runs are not pinned", true)
    } else {
        ("no GPU", false)
    };
    Discovery { devices: Vec::new(), text: text.to_owned(), others }
}

/// A GPU and the names by which `CUDA_VISIBLE_DEVICES` may mean it.
struct Found {
    device: Device,
    /// Number of the board.
    index: u32,
    /// The board's UUID, of which a MIG instance is a part.
    board: String,
}

/// Every GPU that has a UUID, and how many have none: those cannot be named to CUDA.
fn all(nvml: &'static Nvml, driver: &str) -> (Vec<Found>, u32) {
    let mut found = Vec::new();
    let mut silent = 0;
    for index in 0..nvml.device_count().unwrap_or(0) {
        let board = nvml.device_by_index(index).and_then(|handle| Ok((handle.uuid()?, handle)));
        let Ok((board, handle)) = board else {
            silent += 1;
            continue;
        };
        let instances = instances(&handle);
        let mig = !instances.is_empty();
        let handles = if mig { instances } else { vec![handle] };
        for handle in handles {
            let Ok(uuid) = handle.uuid() else {
                silent += 1;
                continue;
            };
            let name = handle.name().unwrap_or_else(|_| "NVIDIA GPU".to_owned());
            let memory = handle.memory_info().map_or(0, |memory| memory.total);
            let gpu = Gpu { name, uuid, memory, driver: driver.to_owned(), mig };
            found.push(Found {
                device: Device { gpu, handle: Arc::new(handle) },
                index,
                board: board.clone(),
            });
        }
    }
    (found, silent)
}

/// The instances of a partitioned GPU; none where it is not, or where the driver gives none: then it is used whole.
fn instances(board: &nvml_wrapper::Device<'static>) -> Vec<nvml_wrapper::Device<'static>> {
    if !board.mig_mode().is_ok_and(|mode| mode.current == MIG_ENABLED) {
        return Vec::new();
    }
    let most = board.mig_device_count().unwrap_or(0);
    // The numbers of instances have gaps.
    (0..most).filter_map(|index| board.mig_device_by_index(index).ok()).collect()
}

/// Those that `CUDA_VISIBLE_DEVICES` names, in its order: by number, or by a UUID or its beginning. As CUDA does, what
/// comes after a name that means nothing is left out.
fn chosen(mut found: Vec<Found>, visible: &str) -> Vec<Device> {
    let mut chosen = Vec::new();
    for name in visible.split(',').map(str::trim) {
        let means = |found: &Found| match name.parse::<u32>() {
            Ok(number) => found.index == number,
            Err(_) => {
                !name.is_empty() && (found.device.gpu.uuid.starts_with(name) || found.board.starts_with(name))
            }
        };
        let Some(place) = found.iter().position(means) else {
            break;
        };
        chosen.push(found.remove(place).device);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_the_library_has_no_gpu_and_says_what_it_has_instead() {
        let root = tempfile::tempdir().unwrap();
        let none = Some(OsStr::new("/nowhere/libnvidia-ml.so"));
        let found = discover_by(none, None, root.path());
        assert!(found.devices.is_empty());
        if cfg!(target_os = "linux") {
            assert_eq!((found.text.as_str(), found.others), ("no GPU", false));
        }
        std::fs::create_dir(root.path().join("dev")).unwrap();
        std::fs::write(root.path().join("dev/kfd"), "").unwrap();
        let found = discover_by(none, None, root.path());
        assert!(found.text.starts_with("AMD GPU") && found.others, "{found:?}");
    }
}
