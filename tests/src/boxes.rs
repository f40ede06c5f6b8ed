//! Boxes as a person has them: each with a name that the others know, an address, a folder that is its home, and a shell in it. For a
//! test that is [`alone`](crate::alone::alone).
//!
//! What a person writes to `/etc`, `/var/lib`, `/var/cache` and `/usr/local/bin` is theirs, and not the machine's that the test runs
//! on. All boxes share `/mnt`, and what is installed in `/usr/local/bin`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::network::{Host, Network};
use crate::processes;

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often it is looked whether something is so.
const LOOK: Duration = Duration::from_millis(5);

/// Makes what all share. Overlays write to memory: not every file system can be written through one.
const SHARED: &str = "mkdir -p /run/own/bin /run/own/bin.work $FOLDER/mnt $FOLDER/stand-ins
mount -t overlay overlay -o lowerdir=/usr/local/bin,upperdir=/run/own/bin,workdir=/run/own/bin.work /usr/local/bin
mount --bind $FOLDER/mnt /mnt
";

/// Makes of a shell that of a box.
const SETTING: &str = "hostname $NAME
own=/run/own/$NAME
mkdir -p $own/etc $own/etc.work $FOLDER/$NAME $FOLDER/$NAME.lib $FOLDER/$NAME.cache
mount -t overlay overlay -o lowerdir=/etc,upperdir=$own/etc,workdir=$own/etc.work /etc
cp $FOLDER/hosts /etc/hosts
mount --bind $FOLDER/$NAME.lib /var/lib
mount --bind $FOLDER/$NAME.cache /var/cache
export PATH=$FOLDER/stand-ins:$PATH:/usr/local/bin
cd $FOLDER/$NAME
unset FOLDER NAME own
";

/// Stands in the place of `scp`, as these boxes have no login: its last argument is BOX: or BOX:PATH, a place below that box's home.
const SCP: &str = "#!/bin/sh -e
for to; do :; done
while [ $# -gt 1 ]; do cp --preserve=mode \"$1\" \"FOLDER/${to%%:*}/${to#*:}\"; shift; done
";

/// Boxes on one network.
#[derive(Debug)]
pub struct Boxes {
    all: BTreeMap<String, Machine>,
}

/// One of them.
#[derive(Debug)]
pub struct Machine {
    /// What it is called.
    pub name: String,
    /// Its folder, in which its shell begins.
    pub home: PathBuf,
    host: Host,
    shell: Child,
    input: ChildStdin,
    /// Where what is said goes, by number.
    said: PathBuf,
    count: u32,
    /// What runs in the background, the latest last.
    jobs: Vec<Job>,
}

/// A program that runs until it is ended.
#[derive(Debug)]
struct Job {
    name: String,
    pid: i32,
    log: PathBuf,
}

/// How a command ended.
#[derive(Debug, Default)]
pub struct Said {
    /// Its exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// It succeeded.
    ///
    /// # Panics
    /// When it did not.
    pub fn is_well(&self) {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
    }

    /// It says all of this.
    ///
    /// # Panics
    /// When something is missing.
    pub fn tells(&self, parts: &[&str]) {
        for part in parts {
            assert!(self.out.contains(part), "it does not say `{part}`: {}{}", self.out, self.err);
        }
    }
}

impl Boxes {
    /// Makes them, with all that they have in this folder.
    ///
    /// # Panics
    /// When they cannot be made.
    pub fn make(folder: &Path, names: &[&str]) -> Self {
        let network = Network::make().expect("one can be made where a test is alone");
        let hosts: Vec<Host> = names.iter().map(|_| network.host()).collect();
        // It is gone with the test; taking it apart before that only takes time.
        std::mem::forget(network);
        let table: String =
            names.iter().zip(&hosts).map(|(name, host)| format!("{} {name}\n", host.address())).collect();
        write(&folder.join("hosts"), &format!("127.0.0.1 localhost\n{table}"));
        let shared = Command::new("sh").args(["-ec", SHARED]).env("FOLDER", folder).status();
        assert!(shared.is_ok_and(|status| status.success()), "mounts can be made where a test is alone");
        let scp = folder.join("stand-ins/scp");
        write(&scp, &SCP.replace("FOLDER", folder.to_str().expect("a plain path")));
        fs::set_permissions(scp, fs::Permissions::from_mode(0o755)).expect("it was written");
        let boxes = names
            .iter()
            .zip(hosts)
            .map(|(name, host)| ((*name).to_owned(), Machine::start(name, host, folder)));
        Self { all: boxes.collect() }
    }

    /// The one of this name.
    ///
    /// # Panics
    /// When there is none.
    pub fn at(&mut self, name: &str) -> &mut Machine {
        self.all.get_mut(name).unwrap_or_else(|| panic!("there is no box {name}"))
    }

    /// Waits until a program in the background has said this on one of these; all that it has said.
    ///
    /// # Panics
    /// When it does not, or one of them ends.
    pub fn until_any(&self, names: &[String], program: &str, wanted: &str) -> String {
        let began = Instant::now();
        loop {
            for on in names.iter().map(|name| &self.all[name]) {
                if on.has_said(program, wanted) {
                    return on.log(program);
                }
                assert!(began.elapsed() < PATIENCE, "{}: {program} does not say `{wanted}`", on.name);
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Machine {
    fn start(name: &str, host: Host, folder: &Path) -> Self {
        let said = folder.join(format!("{name}.said"));
        fs::create_dir(&said).expect("the folder can be written");
        let mut own = Command::new("unshare");
        own.args(["--mount", "--uts", "sh", "-e"]).env("FOLDER", folder).env("NAME", name);
        // What a test says does not depend on the GPUs of the machine that it runs on.
        own.env(ar_worker::NVML_LIBRARY, "none");
        let mut shell = host.on(&own).stdin(Stdio::piped()).spawn().expect("a shell starts");
        let input = shell.stdin.take().expect("it is a pipe");
        let home = folder.join(name);
        let mut made =
            Self { name: name.to_owned(), home, host, shell, input, said, count: 0, jobs: Vec::new() };
        made.tell(SETTING);
        made.run(":");
        made
    }

    /// Its address.
    pub fn address(&self) -> String {
        self.host.address()
    }

    /// Runs a command in its shell, which goes on only if it succeeds, as each command within it does.
    ///
    /// # Panics
    /// When it fails.
    pub fn run(&mut self, command: &str) -> Said {
        let at = self.next();
        self.tell(&format!("{{ {command}\n}} >{at}.out 2>{at}.err </dev/null\n"));
        let said = self.answered("$?");
        assert_eq!(said.code, 0, "{}: {command}\n{}{}", self.name, said.out, said.err);
        said
    }

    /// Runs a command in its shell that may fail.
    ///
    /// # Panics
    /// When the shell ends.
    pub fn attempt(&mut self, command: &str) -> Said {
        let at = self.next();
        self.tell(&format!("code=0\n{{ {command}\n}} >{at}.out 2>{at}.err </dev/null || code=$?\n"));
        self.answered("$code")
    }

    /// Starts a program in the background; `command` ends with its `exec`.
    ///
    /// # Panics
    /// When the shell ends.
    pub fn start_job(&mut self, name: &str, command: &str) {
        let at = self.next();
        let log = PathBuf::from(format!("{at}.log"));
        self.tell(&format!("{{ {command}\n}} >{at}.log 2>&1 </dev/null &\n"));
        let pid = self.answered("$!").code;
        self.jobs.push(Job { name: name.to_owned(), pid, log });
    }

    /// What a program in the background has said since it was started; of several of the same name, the latest.
    ///
    /// # Panics
    /// When there is none.
    pub fn log(&self, name: &str) -> String {
        let job = self.jobs.iter().rfind(|job| job.name == name);
        let job = job.unwrap_or_else(|| panic!("{}: {name} does not run", self.name));
        String::from_utf8_lossy(&fs::read(&job.log).unwrap_or_default()).into_owned()
    }

    /// Waits until a program in the background has said this.
    ///
    /// # Panics
    /// When it does not, or ends.
    pub fn until(&self, name: &str, wanted: &str) {
        let began = Instant::now();
        while !self.has_said(name, wanted) {
            assert!(
                began.elapsed() < PATIENCE,
                "{}: {name} does not say `{wanted}`: {}",
                self.name,
                self.log(name)
            );
            std::thread::sleep(LOOK);
        }
    }

    fn has_said(&self, name: &str, wanted: &str) -> bool {
        let lives = self.jobs.iter().any(|job| job.name == name && processes::is_alive(job.pid));
        let log = self.log(name);
        assert!(lives, "{}: {name} has ended: {log}", self.name);
        log.contains(wanted)
    }

    /// The name of what was started last in the background and runs.
    pub fn latest(&self) -> Option<String> {
        self.jobs.last().map(|job| job.name.clone())
    }

    /// Sends a signal to a program in the background and waits for its end; its exit code.
    ///
    /// # Panics
    /// When there is none, or it does not end.
    pub fn end(&mut self, name: &str, signal: Signal) -> i32 {
        let job = self.jobs.iter().rposition(|job| job.name == name);
        let job = self.jobs.remove(job.unwrap_or_else(|| panic!("{}: {name} does not run", self.name)));
        kill(Pid::from_raw(job.pid), signal).expect("it was not waited for, so it is there");
        self.next();
        self.tell(&format!("code=0\nwait {} || code=$?\n", job.pid));
        self.answered("$code").code
    }

    fn tell(&mut self, text: &str) {
        self.input.write_all(text.as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    /// Where what the next command says goes.
    fn next(&mut self) -> String {
        self.count += 1;
        self.said.join(self.count.to_string()).to_str().expect("a plain path").to_owned()
    }

    /// Waits for what was told last; `number` is what its shell then says.
    fn answered(&mut self, number: &str) -> Said {
        let at = self.said.join(self.count.to_string());
        let text = |suffix: &str| {
            let bytes = fs::read(at.with_extension(suffix)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let path = at.display();
        self.tell(&format!("echo {number} >{path}.some\nmv {path}.some {path}.code\n"));
        let began = Instant::now();
        let code = loop {
            if let Ok(code) = text("code").trim().parse() {
                break code;
            }
            let ended = self.shell.try_wait().ok().flatten();
            let goes_on = ended.is_none() && began.elapsed() < PATIENCE;
            assert!(goes_on, "{}: {ended:?}\n{}{}", self.name, text("out"), text("err"));
            std::thread::sleep(LOOK);
        };
        Said { code, out: text("out"), err: text("err") }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for job in &self.jobs {
            processes::kill_9(job.pid);
        }
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("the folder can be written");
}
