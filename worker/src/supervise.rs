//! The process between a worker and a training command: it holds everything that the command starts, and when the command
//! ends, or its worker does, nothing of it is left.
//!
//! It is a subreaper, so that what the command's processes leave behind, in whatever session, is handed to it and not to
//! the system. Its standard input is the worker's hand: a byte `T` asks the command to end; the end of input, which is also
//! the end of the worker however it dies, ends everything at once.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::process;

/// Asks the command to end.
pub(crate) const TERMINATE: u8 = b'T';
/// Exit code when the command could not be started.
pub(crate) const NOT_STARTED: u8 = 127;
/// How long what was killed may take to be gone; a process in the middle of a disk access cannot be killed sooner.
const GONE: Duration = Duration::from_secs(10);

/// Runs `command` to its end and returns its exit code, or 128 and the number of the signal that ended it.
///
/// This is a process of its own: it ends other processes of its session and is to be called from the hidden command alone.
pub fn supervise(command: &[OsString]) -> u8 {
    match start(command) {
        Ok(child) => {
            std::thread::spawn(move || obey(child));
            let code = wait_for(child);
            end_all();
            code
        }
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "its standard error is the attempt's output")]
            {
                eprintln!("cannot start it: {error}");
            }
            NOT_STARTED
        }
    }
}

fn start(command: &[OsString]) -> io::Result<Pid> {
    // Who starts it must not make it the leader of a group: a leader cannot have a session of its own.
    nix::unistd::setsid()?;
    #[cfg(target_os = "linux")]
    {
        nix::sys::prctl::set_child_subreaper(true)?;
        nix::sys::prctl::set_no_new_privs()?;
    }
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).process_group(0);
    let child = command.spawn()?;
    i32::try_from(child.id()).map(Pid::from_raw).map_err(io::Error::other)
}

/// Does what the worker asks for. Never returns while there is a worker.
fn obey(child: Pid) {
    let mut byte = [0];
    loop {
        match io::stdin().read(&mut byte) {
            Ok(1) if byte == [TERMINATE] => {
                process::terminate(child.as_raw());
                for pid in everything() {
                    // It may be gone already: that is what is wanted.
                    let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(1) => {}
            _ => break,
        }
    }
    end_all();
    // The other thread may wait for a process that cannot be killed yet.
    std::process::exit(128 + Signal::SIGKILL as i32);
}

/// Waits until the command has ended; what else ends meanwhile is collected.
fn wait_for(child: Pid) -> u8 {
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == child => return u8::try_from(code).unwrap_or(1),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                return 128 + u8::try_from(signal as i32).unwrap_or(0);
            }
            Err(Errno::ECHILD) => return NOT_STARTED,
            _ => {}
        }
    }
}

/// Every process below this one.
fn everything() -> Vec<i32> {
    let own = Pid::this().as_raw();
    process::members(own).into_iter().filter(|pid| *pid != own).collect()
}

/// Kills everything until nothing is left.
fn end_all() {
    let until = Instant::now() + GONE;
    loop {
        let left = everything();
        if left.is_empty() || Instant::now() > until {
            return;
        }
        for pid in left {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        while matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Ok(status) if status != WaitStatus::StillAlive)
        {
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
