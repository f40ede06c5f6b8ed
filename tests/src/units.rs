//! What stands in the place of systemd on a box: `systemctl` for units that are in its `/etc/systemd/system/`.
//!
//! It starts what a unit says, as the user and in the folders that it says, in the surroundings that systemd gives; and waits until the
//! program says that it is ready. What else a unit says (sandbox, watchdog, restarts) it leaves to systemd.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::boxes::Machine;
use crate::run::Running;

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// What systemd gives to a service.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The service manager, as a program hears it: a socket to which it says how it stands.
#[derive(Debug)]
pub struct Manager {
    path: PathBuf,
    socket: UnixDatagram,
}

impl Manager {
    /// One whose socket is in this folder.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn new(folder: &Path) -> Self {
        Self::at(folder.join("notify"))
    }

    fn at(path: PathBuf) -> Self {
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a time that is not zero");
        Self { path, socket }
    }

    /// A program under it, which takes one for dead that says nothing for so long.
    pub fn start(&self, mut command: Command, watchdog: Option<Duration>) -> Running {
        command.env("NOTIFY_SOCKET", &self.path);
        if let Some(limit) = watchdog {
            command.env("WATCHDOG_USEC", limit.as_micros().to_string());
        }
        Running::spawn(command)
    }

    /// The next message.
    ///
    /// # Panics
    /// When none comes in time.
    pub fn heard(&self) -> String {
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).expect("it says something in time");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    /// All messages up to the one that has this.
    ///
    /// # Panics
    /// When it does not come in time.
    pub fn until(&self, wanted: &str) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        let began = Instant::now();
        loop {
            let heard = self.heard();
            let is_wanted = heard.contains(wanted);
            all.push(heard);
            if is_wanted {
                return all;
            }
            assert!(began.elapsed() < PATIENCE, "it never says {wanted:?}: {:?}", all.last());
        }
    }
}

/// Does what this command of `systemctl` says.
///
/// # Panics
/// When that fails, or it is none of the commands that are known here.
pub fn systemctl(on: &mut Machine, arguments: &[&str]) {
    match arguments {
        // Units are read when they are started.
        ["daemon-reload"] => {}
        ["enable", "--now", unit] | ["start", unit] => start(on, unit),
        ["stop", unit] => stop(on, unit),
        ["restart", unit] => {
            stop(on, unit);
            start(on, unit);
        }
        other => panic!("this stand-in of systemctl does not know {other:?}"),
    }
}

fn stop(on: &mut Machine, unit: &str) {
    let code = on.end(unit, Signal::SIGTERM);
    assert_eq!(code, 0, "{unit} on {}", on.name);
}

fn start(on: &mut Machine, unit: &str) {
    let text = on.run(&format!("cat /etc/systemd/system/{unit}.service")).out;
    let all = |key: &str| -> Vec<String> {
        let values = text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        values.map(str::to_owned).collect()
    };
    let one = |key: &str| all(key).pop().unwrap_or_else(|| panic!("{unit} says no {key}"));
    assert_eq!(one("Type"), "notify");
    let user = one("User");
    for (root, key) in [("/var/lib", "StateDirectory"), ("/var/cache", "CacheDirectory")] {
        for folder in all(key) {
            on.run(&format!("install -d -m 700 -o {user} -g {user} {root}/{folder}"));
        }
    }
    let manager = Manager::at(PathBuf::from(format!("/run/{}.{unit}", on.name)));
    fs::set_permissions(&manager.path, fs::Permissions::from_mode(0o777)).expect("it was made");
    let mut surroundings = all("Environment");
    surroundings.extend([PATH.to_owned(), format!("NOTIFY_SOCKET={}", manager.path.display())]);
    surroundings.push(format!("{}=none", ar_worker::NVML_LIBRARY));
    on.start_job(
        unit,
        &format!(
            "umask {}; cd {}; exec env -i {} setpriv --reuid={user} --regid={user} --init-groups --no-new-privs {}",
            one("UMask"),
            one("WorkingDirectory"),
            surroundings.join(" "),
            one("ExecStart"),
        ),
    );
    manager.until("READY=1\n");
    let _ = fs::remove_file(&manager.path);
}
