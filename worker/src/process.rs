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
    let mut needle = marking(attempts);
    needle.push(b'/');
    kill_all(|all| {
        all.iter().filter(|p| has(p.pid, |mark| mark.starts_with(&needle))).map(|p| p.pid).collect()
    });
}

/// Kills what an attempt left whose supervisor was killed: what has the attempt's folder as its [`WORKSPACE`], those `seen`
/// below the supervisor while it lived (a program may clear its environment), and what either has started since.
///
/// Working in the folder, or having a file of it open, does not count: so does the shell or the editor of somebody who looks
/// at the run.
pub(crate) fn kill_left(folder: &Path, seen: &BTreeSet<Seen>) {
    let mark = marking(folder);
    kill_all(|all| {
        let is_left = |p: &&Process| seen.contains(&p.seen()) || has(p.pid, |found| found == mark);
        with_descendants(all, all.iter().filter(is_left).map(|p| p.pid).collect())
    });
}

/// The variable that marks what works in `folder`, as it stands in an environment.
fn marking(folder: &Path) -> Vec<u8> {
    let mut mark = format!("{WORKSPACE}=").into_bytes();
    mark.extend(folder.as_os_str().as_encoded_bytes());
    mark
}

/// Whether the environment that a process was started with has a variable that `is` accepts. That of other users cannot be read.
fn has(pid: i32, is: impl Fn(&[u8]) -> bool) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(is)
}

/// Kills what `find` finds among all processes, until it finds nothing. A fork that races with a pass is found by the next.
fn kill_all(find: impl Fn(&[Process]) -> BTreeSet<i32>) {
    let own = Pid::this().as_raw();
    for _ in 0..64 {
        let mut found = find(&processes());
        found.remove(&own);
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
    let own = all.iter().filter(|p| p.session == leader || p.pid == leader).map(|p| p.pid).collect();
    with_descendants(&all, own)
}

/// A process that cannot be mistaken for a later one of the same number: that and when it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seen {
    pid: i32,
    start: u64,
}

impl Seen {
    /// The live process of this number.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        stat(pid).map(|process| process.seen())
    }

    /// Whether it still lives.
    pub(crate) fn lives(&self) -> bool {
        Self::of(self.pid) == Some(*self)
    }
}

/// These and all that descend from them.
fn with_descendants(all: &[Process], mut members: BTreeSet<i32>) -> BTreeSet<i32> {
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
    /// When it started, in ticks since the machine did.
    start: u64,
}

impl Process {
    fn seen(&self) -> Seen {
        Seen { pid: self.pid, start: self.start }
    }
}

fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries.flatten().filter_map(|entry| stat(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// What is known of a live process; the dead that only wait to be reaped are left out.
fn stat(pid: i32) -> Option<Process> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command name stands in parentheses and may hold anything, parentheses and spaces included.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    // The 22nd field of the line, of which the first four and the sixth were taken.
    let start = fields.nth(15)?.parse().ok()?;
    (state != "Z" && state != "X").then_some(Process { pid, parent, session, start })
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    fn wait_until_gone(pids: &[i32]) {
        // A killed process takes a moment to be gone; one that was missed would sleep on.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while pids.iter().any(|pid| stat(*pid).is_some()) {
            assert!(std::time::Instant::now() < deadline, "nothing of it lives");
            std::thread::yield_now();
        }
    }

    /// Starts a shell that says its number, and that of a child which it has started, and then waits.
    fn started(command: &mut Command) -> (std::process::Child, Vec<i32>) {
        let script = "setsid sh -c 'echo $$; exec sleep 1000' & echo $$; wait";
        let mut child = command.args(["sh", "-c", script]).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let pids = lines.take(2).map(|line| line.unwrap().trim().parse().unwrap()).collect();
        (child, pids)
    }

    #[test]
    fn what_an_attempt_left_is_killed_by_its_mark_or_because_it_was_seen_and_a_bystander_is_not() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("attempts/7");
        std::fs::create_dir_all(&folder).unwrap();
        let (mut marked, marked_pids) = started(Command::new("setsid").env(WORKSPACE, &folder));
        let (mut cleared, cleared_pids) = started(Command::new("env").arg("-i").current_dir(&folder));
        let (mut neighbour, neighbour_pids) =
            started(Command::new("setsid").env(WORKSPACE, home.path().join("attempts/77")));
        // Somebody who looks at the run, with a file of it open.
        let open = std::fs::File::create(folder.join("log")).unwrap();
        let (mut bystander, bystander_pids) =
            started(Command::new("env").env_remove(WORKSPACE).current_dir(&folder).stdin(open));
        let parent = i32::try_from(cleared.id()).unwrap();
        assert!(cleared_pids.contains(&parent), "env has become the shell");
        let seen: BTreeSet<Seen> = Seen::of(parent).into_iter().collect();
        assert!(seen.iter().all(Seen::lives));
        // A number that another process has now is not the process that was seen.
        let other = Seen { pid: bystander_pids[0], start: 1 };
        assert!(!other.lives());
        kill_left(&folder, &seen.into_iter().chain([other]).collect());
        marked.wait().unwrap();
        cleared.wait().unwrap();
        wait_until_gone(&[marked_pids, cleared_pids].concat());
        for pid in neighbour_pids.iter().chain(&bystander_pids) {
            assert!(stat(*pid).is_some(), "{pid} has nothing to do with it");
        }
        kill_those_in(&home.path().join("attempts"));
        neighbour.wait().unwrap();
        wait_until_gone(&neighbour_pids);
        assert!(bystander_pids.iter().all(|pid| stat(*pid).is_some()), "nor with any of them");
        bystander_pids.iter().for_each(|pid| kill_tree(*pid));
        bystander.wait().unwrap();
    }

    #[test]
    fn a_tree_with_a_child_in_its_own_session_is_killed_whole() {
        let (mut child, pids) = started(&mut Command::new("setsid"));
        let leader = i32::try_from(child.id()).unwrap();
        assert!(pids.iter().all(|pid| members(leader).contains(pid)), "the tree is seen whole");
        kill_tree(leader);
        child.wait().unwrap();
        wait_until_gone(&pids);
        assert!(resident(i32::try_from(std::process::id()).unwrap()).unwrap() > 100_000);
    }
}
