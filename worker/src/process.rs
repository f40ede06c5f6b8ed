//! Ending process trees.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

/// Asks the group that `leader` leads to end.
pub(crate) fn terminate(leader: i32) {
    // It may be gone already: that is what is wanted.
    let _ = killpg(Pid::from_raw(leader), Signal::SIGTERM);
}

/// Kills the group, the session and every descendant of `leader`, until none is found. A fork that
/// races with the search is found by the next pass, as its parent is dead by then and it has the
/// same session, or it was adopted by the fork server, which ends what belongs to no live child.
pub(crate) fn kill_tree(leader: i32) {
    for _ in 0..16 {
        let mut found = members(leader);
        let _ = killpg(Pid::from_raw(leader), Signal::SIGKILL);
        found.remove(&leader);
        let _ = kill(Pid::from_raw(leader), Signal::SIGKILL);
        if found.is_empty() {
            return;
        }
        for pid in found {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// Variable of a training command's environment: its own folder.
pub(crate) const WORKSPACE: &str = "AR_WORKSPACE";

/// Kills every process that works in a folder below `attempts`, by [`WORKSPACE`] in its environment, until none is found: what
/// an earlier start of the worker left, and its supervisors have not ended yet. A shell that somebody opened there is none.
pub(crate) fn kill_those_in(attempts: &Path) {
    let mut needle = format!("{WORKSPACE}=").into_bytes();
    needle.extend(attempts.as_os_str().as_encoded_bytes());
    needle.push(b'/');
    let is_in = |pid: i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(&needle))
    };
    let own = Pid::this().as_raw();
    for _ in 0..64 {
        let found: Vec<i32> =
            processes().iter().map(|p| p.pid).filter(|pid| *pid != own && is_in(*pid)).collect();
        if found.is_empty() {
            return;
        }
        for pid in found {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Live processes of the session of `leader`, and its descendants in other sessions.
pub(crate) fn members(leader: i32) -> BTreeSet<i32> {
    let all: Vec<Process> = processes();
    let mut members: BTreeSet<i32> =
        all.iter().filter(|p| p.session == leader || p.pid == leader).map(|p| p.pid).collect();
    loop {
        let children: Vec<i32> = all
            .iter()
            .filter(|p| members.contains(&p.parent) && !members.contains(&p.pid))
            .map(|p| p.pid)
            .collect();
        if children.is_empty() {
            return members;
        }
        members.extend(children);
    }
}

/// Resident memory of a process, bytes.
pub(crate) fn resident(pid: i32) -> Option<u64> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok()??;
    Some(pages * u64::try_from(page).ok()?)
}

struct Process {
    pid: i32,
    parent: i32,
    session: i32,
}

fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries.flatten().filter_map(|entry| stat(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// Parent and session of a live process; the dead that only wait to be reaped are left out.
fn stat(pid: i32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command name stands in parentheses and may hold anything, parentheses and spaces included.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    (state != "Z" && state != "X").then_some(Process { pid, parent, session })
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_tree_with_a_child_in_its_own_session_is_killed_whole() {
        let script = "setsid sh -c 'echo $$; exec sleep 1000' & echo $$; wait";
        let mut child =
            Command::new("setsid").args(["sh", "-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let pids: Vec<i32> = lines.take(2).map(|line| line.unwrap().trim().parse().unwrap()).collect();
        let leader = i32::try_from(child.id()).unwrap();
        assert!(pids.iter().all(|pid| members(leader).contains(pid)), "the tree is seen whole");
        kill_tree(leader);
        child.wait().unwrap();
        // A killed process takes a moment to be gone; one that was missed would sleep on.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while pids.iter().any(|pid| stat(*pid).is_some()) {
            assert!(std::time::Instant::now() < deadline, "nothing of it lives");
            std::thread::yield_now();
        }
        assert!(resident(i32::try_from(std::process::id()).unwrap()).unwrap() > 100_000);
    }
}
