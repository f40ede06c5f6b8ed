//! A test in namespaces of its own: what it mounts, the network it makes and the processes it starts are gone with it, however it ends.

use std::process::Command;

/// Set in the process that has them.
const INSIDE: &str = "AR_TEST_ALONE";
/// Mounts, network, host name and processes of its own; all of these end with the one that is started here.
const OWN: [&str; 8] =
    ["--mount", "--propagation=private", "--net", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// Runs `test` as root of a machine of its own: this test program again, under `unshare`, for the one test of this name. `before` is
/// done first where the network is that of the machine, e.g. to fetch what is not there inside. Where such namespaces cannot be made,
/// it says so and does nothing.
///
/// # Panics
/// When the test fails there.
pub fn alone(name: &str, before: impl FnOnce(), test: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        must("mount -t tmpfs tmpfs /run");
        must("mount -t tmpfs tmpfs /var/log");
        must("ip link set lo up");
        return test();
    }
    if let Err(why) = possible() {
        println!("SKIPPED: {name} needs root, and namespaces of its own: {why}");
        return;
    }
    before();
    let program = std::env::current_exe().expect("this program has a path");
    let mut inside = Command::new("unshare");
    inside.args(OWN).arg(program).args(["--exact", name, "--nocapture"]).env(INSIDE, "1");
    let ended = inside.status().expect("it could be started a moment ago");
    assert!(ended.success(), "{name} failed in namespaces of its own");
}

fn possible() -> Result<(), String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("this user is not root".to_owned());
    }
    let tried = "mount -t tmpfs tmpfs /run && ip link set lo up && ip netns add x && mkdir /run/up /run/work && \
                 mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/up,workdir=/run/work /etc";
    let tried = Command::new("unshare").args(OWN).args(["sh", "-c", tried]).output();
    let tried = tried.map_err(|error| format!("`unshare`: {error}"))?;
    if tried.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&tried.stderr).trim().to_owned())
    }
}

fn must(command: &str) {
    let done = Command::new("sh").args(["-c", command]).status();
    assert!(done.is_ok_and(|status| status.success()), "`{command}` could be done a moment ago");
}
