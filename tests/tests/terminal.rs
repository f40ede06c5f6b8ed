//! What a person sees on a terminal.

use std::fs::File;
use std::io::Read;
use std::process::Stdio;

use ar_tests::run;
use nix::pty::{Winsize, openpty};

/// The text that was drawn, control sequences taken out.
fn plain(drawn: &[u8]) -> String {
    let text = String::from_utf8_lossy(drawn);
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c == '\u{1b}' {
            rest.by_ref().skip(1).find(char::is_ascii_alphabetic);
        } else {
            plain.push(c);
        }
    }
    plain
}

#[test]
fn a_terminal_shows_a_bar_with_the_best_the_mode_the_running_the_rate_and_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let size = Winsize { ws_row: 40, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = openpty(Some(&size), None).unwrap();
    let heart = run::example("heart-statlog.csv");
    let mut command = run::command(&["run", heart.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    command.args(["--budget", "6", "--rounds", "2"]).env("TERM", "xterm");
    command.stdout(Stdio::from(pty.slave.try_clone().unwrap())).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Only the child must hold the other end, or the end would not be seen.
    drop((command, pty.slave));
    let mut drawn = Vec::new();
    let mut terminal = File::from(pty.master);
    let mut buffer = [0; 4096];
    // On Linux the end of a terminal is an error.
    while let Ok(read @ 1..) = terminal.read(&mut buffer) {
        drawn.extend_from_slice(&buffer[..read]);
    }
    assert!(child.wait().unwrap().success());
    let text = plain(&drawn);
    let bar = text
        .split(['\r', '\n'])
        .find(|line| line.contains("/12") && line.contains("best 0.") && line.contains(" of "));
    let bar = bar.unwrap_or_else(|| panic!("no bar in {text}"));
    assert!(bar.contains("/s") && bar.contains("ETA"), "{bar}");
    let modes = ["EXPLORE", "EXPLOIT", "COMBINE", "NARROW"];
    assert!(modes.iter().any(|mode| bar.contains(mode)), "{bar}");
    assert!(text.contains("verdict"), "{text}");
    assert!(!text.contains("[  1/12] EXPLORE  accuracy 0.5556"), "what does not matter does not stay");
}
