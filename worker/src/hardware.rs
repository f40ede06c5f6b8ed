//! What this machine has, as the worker tells the coordinator.

use std::fs;
use std::path::Path;
#[cfg(not(target_os = "linux"))]
use std::process::Command;

use ar_common::frames::Hardware;

use crate::gpu::{self, Discovery};

/// How attempts are kept apart here. What is weaker than a container is said, not hidden.
const ISOLATION: &str =
    "process group and session; orphans are ended by their server; memory by RLIMIT and resident size";

/// What this process may use of this machine. A GPU's driver may take seconds to wake up.
pub fn report() -> Hardware {
    report_with(&gpu::discover())
}

pub(crate) fn report_with(gpus: &Discovery) -> Hardware {
    let system = nix::sys::utsname::uname().ok();
    let named = |text: Option<&std::ffi::OsStr>| text.map(|text| text.to_string_lossy().into_owned());
    let host = named(system.as_ref().map(|s| s.nodename())).filter(|host| !host.is_empty());
    let kernel = named(system.as_ref().map(|s| s.release())).unwrap_or_default();
    Hardware {
        host: host.unwrap_or_else(|| "unnamed".to_owned()),
        platform: format!("{} {}, kernel {kernel}", std::env::consts::OS, std::env::consts::ARCH),
        cpu: cpu(Path::new("/")).unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        cores: cores(),
        memory: memory(Path::new("/")).unwrap_or(0),
        isolation: ISOLATION.to_owned(),
        gpus: gpus.devices.iter().map(|device| device.gpu.clone()).collect(),
        accelerator: gpus.text.clone(),
    }
}

/// Cores this process may use. The standard library counts the affinity mask and takes the processor
/// quota of its cgroups (`cpu.max`, `cpu.cfs_quota_us`) into account.
fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX))
}

/// The processor's name. Arm gives none in `/proc/cpuinfo`; boards and other processors use other words.
#[cfg(target_os = "linux")]
fn cpu(root: &Path) -> Option<String> {
    let info = fs::read_to_string(root.join("proc/cpuinfo")).ok()?;
    let field = |name: &str| {
        let mut fields = info.lines().filter_map(|line| line.split_once(':'));
        let value =
            fields.find(|(key, _)| key.trim() == name)?.1.split_whitespace().collect::<Vec<_>>().join(" ");
        (!value.is_empty()).then_some(value)
    };
    ["model name", "cpu model", "cpu", "Model", "Hardware"].into_iter().find_map(field)
}

/// Bytes of memory this process may use: what the machine has, or less if one of its cgroups says so.
#[cfg(target_os = "linux")]
fn memory(root: &Path) -> Option<u64> {
    let info = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = total.split_whitespace().next()?.parse().ok()?;
    let physical = kib * 1024;
    Some(cgroup::memory_limit(root).map_or(physical, |limit| limit.min(physical)))
}

#[cfg(not(target_os = "linux"))]
fn cpu(_: &Path) -> Option<String> {
    sysctl("machdep.cpu.brand_string").or_else(|| sysctl("hw.model"))
}

#[cfg(not(target_os = "linux"))]
fn memory(_: &Path) -> Option<u64> {
    sysctl("hw.memsize").or_else(|| sysctl("hw.physmem"))?.parse().ok()
}

#[cfg(not(target_os = "linux"))]
fn sysctl(name: &str) -> Option<String> {
    let said = Command::new("/usr/sbin/sysctl").args(["-n", name]).output().ok()?;
    let value = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    (said.status.success() && !value.is_empty()).then_some(value)
}

/// The memory limits of the control groups that this process is in.
#[cfg(target_os = "linux")]
mod cgroup {
    use std::fs;
    use std::path::Path;

    /// The lowest limit of this process's group and of those above it; both versions may be mounted at once.
    pub(super) fn memory_limit(root: &Path) -> Option<u64> {
        let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
        let mounts = fs::read_to_string(root.join("proc/self/mountinfo")).ok()?;
        let limits = groups.lines().filter_map(|line| {
            // `4:memory:/path` is version 1, `0::/path` is version 2.
            let mut fields = line.splitn(3, ':');
            let (controllers, path) = (fields.nth(1)?, fields.next()?);
            if controllers.is_empty() {
                lowest(root, &mounts, path, "cgroup2", "memory.max")
            } else if controllers.split(',').any(|name| name == "memory") {
                lowest(root, &mounts, path, "cgroup", "memory.limit_in_bytes")
            } else {
                None
            }
        });
        limits.min()
    }

    fn lowest(root: &Path, mounts: &str, path: &str, kind: &str, file: &str) -> Option<u64> {
        let (top, mounted_at) = mounts.lines().find_map(|line| mount(line, kind))?;
        // In a container only a part of the tree may be mounted: paths start at that part. A group
        // outside of it cannot be looked at; the mounted top is then the nearest that can.
        let below = Path::new(path).strip_prefix(top).unwrap_or(Path::new(""));
        let base = root.join(mounted_at.strip_prefix("/").unwrap_or(mounted_at));
        let folders = below.ancestors().map(|group| base.join(group));
        folders.filter_map(|folder| limit(&folder, file)).min()
    }

    /// Of a line of `mountinfo`: which part of the tree is mounted, and where.
    fn mount<'a>(line: &'a str, kind: &str) -> Option<(&'a str, &'a str)> {
        let (place, filesystem) = line.split_once(" - ")?;
        let mut filesystem = filesystem.split(' ');
        let is_it = filesystem.next()? == kind
            && (kind == "cgroup2" || filesystem.nth(1)?.split(',').any(|option| option == "memory"));
        let mut place = place.split(' ');
        is_it.then_some((place.nth(3)?, place.next()?))
    }

    /// `max` and version 1's nearly endless number are no limits; the latter is above any physical size.
    fn limit(folder: &Path, file: &str) -> Option<u64> {
        fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_of_this_machine_is_complete() {
        let report = report();
        assert!(report.cores >= 1);
        assert!(report.memory > 64 << 20, "{} bytes", report.memory);
        assert!(report.platform.starts_with(std::env::consts::OS), "{}", report.platform);
        for text in [&report.host, &report.cpu, &report.isolation, &report.accelerator] {
            assert!(!text.trim().is_empty() && !text.contains('\n'), "{report:?}");
        }
    }

    #[cfg(target_os = "linux")]
    mod linux {
        use super::super::*;

        const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n";
        const V1: &str = "40 31 0:39 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                          35 31 0:32 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n";

        /// A machine of 8 GiB with the given files.
        fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
            let root = tempfile::tempdir().unwrap();
            let meminfo = ("proc/meminfo", "MemTotal:        8388608 kB\nMemFree:  12 kB\n");
            for (path, text) in files.iter().chain([&meminfo]) {
                let path = root.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            root
        }

        fn memory_with(groups: &str, mounts: &str, limits: &[(&str, &str)]) -> u64 {
            let own = [("proc/self/cgroup", groups), ("proc/self/mountinfo", mounts)];
            memory(machine(&[&own, limits].concat()).path()).unwrap()
        }

        #[test]
        fn the_lowest_limit_up_the_tree_of_version_2_binds() {
            let limits = [
                ("sys/fs/cgroup/a/memory.max", "2147483648\n"),
                ("sys/fs/cgroup/a/b/memory.max", "max\n"),
                ("sys/fs/cgroup/other/memory.max", "1\n"),
            ];
            assert_eq!(memory_with("0::/a/b\n", V2, &limits), 2 << 30);
            assert_eq!(memory_with("0::/elsewhere\n", V2, &limits), 8 << 30);
        }

        #[test]
        fn a_limit_of_version_1_binds_and_its_endless_number_does_not() {
            let groups = "5:cpu:/x\n4:memory:/job\n0::/\n";
            let at = "sys/fs/cgroup/memory/job/memory.limit_in_bytes";
            assert_eq!(memory_with(groups, V1, &[(at, "1073741824\n")]), 1 << 30);
            assert_eq!(memory_with(groups, V1, &[(at, "9223372036854771712\n")]), 8 << 30);
        }

        #[test]
        fn in_a_container_the_mounted_part_is_the_top() {
            let limit = [("sys/fs/cgroup/memory/memory.limit_in_bytes", "3221225472\n")];
            let mounts = "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
            assert_eq!(memory_with("4:memory:/docker/abc\n", mounts, &limit), 3 << 30);
            assert_eq!(memory_with("4:memory:/elsewhere\n", mounts, &limit), 3 << 30);
        }

        #[test]
        fn without_control_groups_the_machine_is_the_limit() {
            assert_eq!(memory(machine(&[]).path()), Some(8 << 30));
        }

        #[test]
        fn the_processor_is_named_by_whichever_word_there_is() {
            let named = |text: &str| cpu(machine(&[("proc/cpuinfo", text)]).path());
            let intel = "processor\t: 0\nmodel\t\t: 85\nmodel name\t: Intel(R)  Xeon(R) CPU\n";
            assert_eq!(named(intel).as_deref(), Some("Intel(R) Xeon(R) CPU"));
            assert_eq!(named("processor : 0\nModel : Raspberry Pi 5\n").as_deref(), Some("Raspberry Pi 5"));
            assert_eq!(named("processor : 0\nCPU part : 0xd0c\n"), None);
        }
    }
}
