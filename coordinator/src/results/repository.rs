//! `repository.git`: what a training study kept, as a git branch `autoresearch/NAME-ID`, one commit per kept change.
//!
//! It is made by `git fast-import` from the stored project, never from the user's folder, and anew whenever what is kept has
//! changed: an experiment that was planned early may end late. The same study gives the same commits, so dates are not
//! times (the journal has none): each commit is as many seconds after 2000 as the number of its experiment. Where there
//! is no git there is no repository.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use ar_common::{Config, Digest, EntryKind, Fate, StudyId, Training, TreeEntry, workload};
use ar_net::{BlobStore, durable};
use serde::{Deserialize, Serialize};

use super::judgement::DecisionPart;
use super::report::{ExperimentPart, Report};
use super::table;

/// Seconds of 2000-01-01T00:00:00Z.
const YEAR_2000: u64 = 946_684_800;
/// The address of who makes its commits, by which they are told from anybody else's.
pub const COMMITTER: &str = "autoresearch@localhost";
/// Where what was made is written down, inside the repository.
const MADE: &str = "autoresearch.json";

/// Commits of kept experiments, by their number.
pub(super) type Commits = BTreeMap<u64, String>;

/// What a repository was made of, and the commits that came of it.
#[derive(Serialize, Deserialize)]
struct Made {
    of: Digest,
    commits: Commits,
}

/// A commit to make.
#[derive(Serialize)]
struct Commit<'a> {
    /// The experiment; `None` of the verdict.
    experiment: Option<u64>,
    config: &'a Config,
    message: String,
}

/// Makes or keeps `folder`. No commits where git is not installed.
///
/// # Errors
/// When the project is missing from the store, or git fails; then with what it said.
pub(super) fn write(
    folder: &Path,
    report: &Report,
    training: &Training,
    tree: &Digest,
    blobs: &BlobStore,
) -> io::Result<Commits> {
    let commits = commits(report);
    let branch = super::branch(&report.study.name, &StudyId(report.study.id.as_str().into()));
    let of = Digest::of(&serde_json::to_vec(&(&branch, tree, &commits)).map_err(io::Error::other)?);
    let known = std::fs::read(folder.join(MADE)).ok();
    let known: Option<Made> = known.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    if let Some(made) = known.filter(|made| made.of == of) {
        return Ok(made.commits);
    }
    let mut init = git(folder);
    match init.args(["init", "--quiet", "--bare", "--template="]).arg(folder).output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Commits::new()),
        ended => said(&ended?)?,
    }
    let head = format!("refs/heads/{branch}");
    said(&git(folder).args(["symbolic-ref", "HEAD", &head]).output()?)?;
    let tree = blobs.read_tree(tree).map_err(io::Error::other)?;
    let project = Project { training, blobs, entries: project(&tree.entries) };
    let marks = folder.join("marks");
    let mut import = git(folder)
        .args(["fast-import", "--quiet", "--force"])
        .arg(format!("--export-marks={}", marks.display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let stdin = import.stdin.take().ok_or_else(|| io::Error::other("git has no input"))?;
    let written = project.stream(io::BufWriter::new(stdin), &head, &commits);
    said(&import.wait_with_output()?)?;
    written?;
    let made = Made { of, commits: numbered(&std::fs::read_to_string(&marks)?, &commits) };
    durable::write(&folder.join(MADE), &serde_json::to_vec(&made).map_err(io::Error::other)?)?;
    Ok(made.commits)
}

/// Git on the repository in `folder`, deaf to what else is configured.
fn git(folder: &Path) -> Command {
    let mut git = Command::new("git");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GIT_")) {
        git.env_remove(name);
    }
    git.env("GIT_DIR", folder).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    git
}

fn said(ended: &std::process::Output) -> io::Result<()> {
    let line =
        || String::from_utf8_lossy(&ended.stderr).lines().next().unwrap_or("it said nothing").to_owned();
    if ended.status.success() { Ok(()) } else { Err(io::Error::other(format!("git: {}", line()))) }
}

/// What was kept, in order, and the verdict's winner if that is not the last of it.
fn commits(report: &Report) -> Vec<Commit<'_>> {
    let mut parent: Option<&ExperimentPart> = None;
    let mut commits = Vec::new();
    for kept in table::kept(report) {
        commits.push(Commit {
            experiment: Some(kept.id),
            config: &kept.config,
            message: message(report, kept, parent),
        });
        parent = Some(kept);
    }
    if let Some(verdict) = &report.verdict
        && commits.last().is_none_or(|last| last.config != &verdict.winner)
    {
        let message = format!("The verdict: {}\n\n{}\n", verdict.winner_label, verdict.text);
        commits.push(Commit { experiment: None, config: &verdict.winner, message });
    }
    commits
}

fn message(report: &Report, kept: &ExperimentPart, parent: Option<&ExperimentPart>) -> String {
    let metric = &report.study.metric;
    let score =
        |of: &ExperimentPart| of.score.map_or_else(|| "none".to_owned(), |score| format!("{score:.6}"));
    let mut text = format!("{}\n\n{metric}: {}, {}\n", kept.label, score(kept), spread(report, &kept.config));
    if let Some(scores) = &report.study.scores {
        text += &format!("The score is {scores}.\n");
    }
    let decisions = report.verdict.as_ref().map_or(&[][..], |verdict| &verdict.decisions).iter();
    let decided = decisions.rev().find(|d| d.fate == Fate::Kept && d.challenger == kept.config);
    if let Some(DecisionPart { difference: Some(difference), low: Some(low), e_value: Some(e), .. }) = decided
        && let Some(decision) = decided
    {
        text += &format!(
            "Better than its parent by {difference:.6} of {metric}, at least {low:.6}, in {} pairs of runs on fresh seeds (e-value {e:.3e}; \
             {} keeps it).\n",
            decision.pairs,
            crate::text::number(decision.needed, 3),
        );
    }
    text += &format!("\nExperiment: {}\n", kept.id);
    if let Some(parent) = parent {
        text += &format!("Parent: experiment {}, {metric} {}\n", parent.id, score(parent));
    }
    text
}

/// What all runs of a configuration gave: one says nothing of its noise.
fn spread(report: &Report, config: &Config) -> String {
    let same = report.experiments.iter().filter(|e| e.config == *config && e.members.is_empty());
    let scores: Vec<f64> = same.filter_map(|e| e.score).collect();
    match super::report::deviation(&scores) {
        None => "one run".to_owned(),
        Some(deviation) => {
            let n = scores.len() as f64;
            let mean = scores.iter().sum::<f64>() / n;
            format!("mean of {n} runs {mean:.6} +- {:.6} (standard error)", deviation / n.sqrt())
        }
    }
}

/// The project's files in a stored tree, by their paths in the project.
fn project(entries: &[TreeEntry]) -> BTreeMap<&str, &TreeEntry> {
    entries.iter().filter_map(|entry| Some((entry.path.strip_prefix("project/")?, entry))).collect()
}

/// A stored project, and how its files become those of a configuration.
struct Project<'a> {
    training: &'a Training,
    blobs: &'a BlobStore,
    entries: BTreeMap<&'a str, &'a TreeEntry>,
}

impl Project<'_> {
    /// Writes what `git fast-import` reads: the project as submitted, then each commit on the one before.
    fn stream(&self, mut out: impl Write, head: &str, commits: &[Commit<'_>]) -> io::Result<()> {
        writeln!(out, "reset {head}")?;
        begin(&mut out, head, 1, 0, "The project as it was submitted\n")?;
        for (path, entry) in &self.entries {
            self.file(&mut out, path, entry, &self.blobs.read(&entry.digest).map_err(io::Error::other)?)?;
        }
        for (n, commit) in commits.iter().enumerate() {
            let seconds = commit.experiment.or_else(|| commits.iter().filter_map(|c| c.experiment).max());
            begin(&mut out, head, n + 2, seconds.unwrap_or(0), &commit.message)?;
            writeln!(out, "from :{}", n + 1)?;
            let changes = self.training.changes(commit.config);
            let replaced = self.training.replaced(commit.config);
            for path in self.changed() {
                let named = |path: &str| {
                    let entry = self.entries.get(path).copied();
                    entry.ok_or_else(|| io::Error::other(format!("the stored project has no {path}")))
                };
                if let Some(other) = replaced.get(path) {
                    let content = self.blobs.read(&named(other)?.digest).map_err(io::Error::other)?;
                    self.file(&mut out, path, named(path)?, &content)?;
                    continue;
                }
                let entry = named(path)?;
                let content = self.blobs.read(&entry.digest).map_err(io::Error::other)?;
                let made = std::str::from_utf8(&content).ok().and_then(|text| {
                    workload::spliced(text, changes.get(path).map(Vec::as_slice).unwrap_or_default())
                });
                let made =
                    made.ok_or_else(|| io::Error::other(format!("the values do not fit the stored {path}")))?;
                self.file(&mut out, path, entry, made.as_bytes())?;
            }
        }
        writeln!(out, "done")?;
        out.flush()
    }

    /// Every file that some configuration changes.
    fn changed(&self) -> BTreeSet<&str> {
        let mut files: BTreeSet<&str> = self.training.sites.iter().map(|site| site.file.as_str()).collect();
        if let workload::BudgetBy::Constant { file, .. } = &self.training.budget_by {
            files.insert(file);
        }
        files.extend(self.training.pins.iter().map(|pin| pin.file.as_str()));
        files.extend(self.training.variants.iter().map(|variants| variants.file.as_str()));
        files
    }

    fn file(&self, out: &mut impl Write, path: &str, entry: &TreeEntry, content: &[u8]) -> io::Result<()> {
        let mode = match entry.kind {
            EntryKind::Plain => "100644",
            EntryKind::Executable => "100755",
            EntryKind::Link => "120000",
        };
        // A stored path has no control characters and no backslash.
        writeln!(out, "M {mode} inline \"{}\"", path.replace('"', "\\\""))?;
        data(out, content)
    }
}

fn begin(out: &mut impl Write, head: &str, mark: usize, seconds: u64, message: &str) -> io::Result<()> {
    let time = YEAR_2000 + seconds;
    writeln!(out, "commit {head}\nmark :{mark}")?;
    writeln!(out, "committer autoresearch <{COMMITTER}> {time} +0000")?;
    data(out, message.as_bytes())
}

fn data(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    writeln!(out, "data {}", bytes.len())?;
    out.write_all(bytes)?;
    writeln!(out)
}

/// The commits that the marks of a stream became.
fn numbered(marks: &str, commits: &[Commit<'_>]) -> Commits {
    let mut numbered = Commits::new();
    for line in marks.lines() {
        let Some((mark, commit)) = line.strip_prefix(':').and_then(|line| line.split_once(' ')) else {
            continue;
        };
        let of = mark.parse::<usize>().ok().and_then(|mark| commits.get(mark.checked_sub(2)?));
        if let Some(experiment) = of.and_then(|commit| commit.experiment) {
            numbered.insert(experiment, commit.to_owned());
        }
    }
    numbered
}
