//! Small disks that can be filled up.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Set in the process that has its own mounts.
const INSIDE: &str = "AR_TEST_MOUNTS";
/// Set by whoever knows that this machine cannot have them.
const WITHOUT: &str = "AR_NO_MOUNTS";

/// Runs `test` in a process with mounts of its own, which are gone with it: this test program again, under `unshare`, for the
/// one test of this name.
///
/// # Panics
/// When the test fails there, or the machine does not let it have mounts.
pub fn with_mounts(name: &str, test: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return test();
    }
    if std::env::var_os(WITHOUT).is_some() {
        #[expect(clippy::print_stderr, reason = "a test that is left out says so")]
        {
            eprintln!("LEFT OUT: {name} needs mounts, and {WITHOUT} is set");
        }
        return;
    }
    let mut unshare = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    let program = std::env::current_exe().expect("this program has a path");
    unshare.args(["--mount", "--propagation", "private"]).arg(program);
    let ended = unshare.args(["--exact", name, "--nocapture"]).env(INSIDE, "1").status();
    let ended = ended.expect("this test needs `unshare` of util-linux");
    assert!(
        ended.success(),
        "{name} failed in a mount namespace of its own; where none can be made (no root, no user namespaces), \
         set {WITHOUT}=1 to leave such tests out"
    );
}

/// A disk in memory, mounted for as long as this lives.
#[derive(Debug)]
pub struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    /// Mounts one at `at`, which is made.
    ///
    /// # Panics
    /// When it cannot be mounted; see [`with_mounts`].
    pub fn mount(at: &Path, size: &str) -> Self {
        fs::create_dir_all(at).expect("a folder to mount at");
        let size = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).status();
        assert!(mounted.is_ok_and(|status| status.success()), "cannot mount a tmpfs at {}", at.display());
        Self { at: at.to_owned() }
    }

    /// Takes all the space but so many bytes, and what others leave, until what it returns is dropped.
    ///
    /// # Panics
    /// When the disk does not get full.
    pub fn fill_but(&self, room: u64) -> Full {
        let path = self.at.join("filler");
        let mut filler = File::create(&path).expect("a name takes no space");
        let at = self.at.clone();
        let left = move || {
            let disk = nix::sys::statvfs::statvfs(&at).expect("it is mounted");
            disk.blocks_free() * disk.fragment_size()
        };
        let mut take = move || {
            while left() > room && filler.write_all(&[1; 4096]).is_ok() {}
            left()
        };
        let left = take();
        assert!(left <= room, "{left} bytes are left");
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        let taking = std::thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                take();
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Full { path, over, taking: Some(taking) }
    }
}

/// A disk that is full for as long as this lives.
#[derive(Debug)]
pub struct Full {
    path: PathBuf,
    over: Arc<AtomicBool>,
    taking: Option<JoinHandle<()>>,
}

impl Drop for Full {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let ended = self.taking.take().map(JoinHandle::join);
        assert!(ended.is_none_or(|ended| ended.is_ok()), "what kept the disk full has failed");
        fs::remove_file(&self.path).expect("it was filled");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // With the namespace it is gone anyway; before that, folders below it could not be removed.
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).status();
    }
}
