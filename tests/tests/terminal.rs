//! What a person sees on a terminal.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::process::Stdio;

use ar_tests::project::Project;
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

/// What a run that ends well draws on a terminal of 120 columns.
fn drawn_by(arguments: &[&str]) -> String {
    let size = Winsize { ws_row: 40, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
    let pty = openpty(Some(&size), None).unwrap();
    let mut command = run::command(arguments);
    command.env("TERM", "xterm");
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
    plain(&drawn)
}

#[test]
fn a_terminal_shows_a_bar_with_the_best_the_mode_the_running_the_rate_and_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let heart = run::example("heart-statlog.csv");
    let arguments = ["run", heart.to_str().unwrap(), "--out", out.to_str().unwrap()];
    let text = drawn_by(&[&arguments[..], &["--budget", "6", "--rounds", "2"]].concat());
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

/// A script that trains for three seconds, a step in each tenth of one.
const STEPS: &str = "for step in $(seq 30); do
    printf 'step %05d | loss: 3.%02d\\r' $step $((60 - step)); sleep 0.1
done
printf -- '\\n---\\nval_bpb: 1.5\\n'
";

#[test]
fn a_terminal_shows_how_far_each_training_run_is() {
    let project = Project::new(STEPS);
    let flags = ["--budget", "2", "--rounds", "1", "--slots", "2", "--time-budget", "4s"];
    let arguments = project.arguments(&flags);
    let text = drawn_by(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let is_bar = |line: &&str| line.starts_with(['█', '░']) && line.contains(" run: #");
    let bars: Vec<&str> = text.split(['\r', '\n']).filter(is_bar).collect();
    assert!(bars.iter().all(|bar| bar.chars().count() <= 120), "{bars:#?}");
    let figures = |bar: &&str| Some(bar.split_once("loss 3.")?.1.get(..2)?.to_owned());
    let shown: BTreeSet<String> = bars.iter().filter_map(figures).collect();
    assert!(
        shown.len() > 1 && bars.iter().any(|bar| bar.contains("  loss 3.") && bar.contains(" %")),
        "{bars:#?}"
    );
}

#[test]
fn without_a_terminal_short_runs_are_told_of_when_they_end_and_json_stands_alone() {
    let project = Project::new(STEPS);
    let flags = ["--budget", "1", "--rounds", "1", "--time-budget", "4s"];
    let ended = project.run(&[&flags[..], &["--json"]].concat());
    assert!(ended.status.success(), "{}", run::stderr(&ended));
    let results: serde_json::Value = serde_json::from_slice(&ended.stdout).expect("JSON and nothing else");
    assert_eq!(results["experiments"][0]["score"].as_f64(), Some(1.5));
    let told = run::stderr(&ended);
    assert!(!told.lines().any(|line| line.starts_with("running ") || line.contains("loss 3.")), "{told}");
}
