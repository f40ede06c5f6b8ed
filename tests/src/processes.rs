//! Looking at the processes of this machine through `/proc`.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A live process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// Its parent's number.
    pub parent: i32,
    /// Its command line, arguments separated by blanks.
    pub command: String,
}

/// Live processes that have `folder` in their command line or environment: those of a run that works
/// there, its worker, its fork servers and their children.
pub fn of(folder: &Path) -> Vec<Process> {
    let needle = folder.to_string_lossy().into_owned();
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let me = i32::try_from(std::process::id()).unwrap_or(0);
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != me)
        .filter_map(|pid: i32| {
            let command = text(pid, "cmdline")?;
            let environment = text(pid, "environ").unwrap_or_default();
            let belongs = command.contains(&needle) || environment.contains(&needle);
            (belongs && is_alive(pid)).then(|| Process { pid, parent: parent(pid).unwrap_or(0), command })
        })
        .collect()
}

/// Resident memory of a process at its highest, bytes.
pub fn peak_memory(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: u64 = line.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// Processor seconds that a process has used itself, and its children that it has waited for.
pub fn cpu_seconds(pid: i32) -> Option<(f64, f64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    // User and system time of its own, then of its children: fields 14 to 17, in ticks.
    let ticks: Vec<f64> =
        rest.split_ascii_whitespace().skip(11).take(4).filter_map(|f| f.parse().ok()).collect();
    let per_second = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok()?? as f64;
    let [user, system, child_user, child_system] = ticks.as_slice() else { return None };
    Some(((user + system) / per_second, (child_user + child_system) / per_second))
}

/// Kills a process at once.
pub fn kill_9(pid: i32) {
    // It may have ended by itself; whoever relies on the kill asserts that it was felt.
    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
}

/// Waits until `done` says so.
///
/// # Panics
/// When it does not within a minute.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "waited for a minute: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a process lives and is no zombie.
pub fn is_alive(pid: i32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    let state =
        stat.rsplit_once(')').and_then(|(_, rest)| rest.split_ascii_whitespace().next().map(str::to_owned));
    !matches!(state.as_deref(), None | Some("Z" | "X"))
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn text(pid: i32, file: &str) -> Option<String> {
    let bytes = fs::read(format!("/proc/{pid}/{file}")).ok()?;
    Some(String::from_utf8_lossy(&bytes).replace('\0', " "))
}
