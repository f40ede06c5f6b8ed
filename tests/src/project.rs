//! A small project with a training script of a few lines of shell. What is searched is a Python file beside it, whose constant
//! the script reads.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use crate::processes;
use crate::run::{self, Running};

/// The score is the constant: the lower, the better.
pub const GOOD: &str = "lr=$(sed -n 's/^LR = \\([0-9.e-]*\\).*/\\1/p' train.py)
printf 'step 00001 | loss: 5.0\\rstep 00002 | loss: 4.0\\n'
printf -- '---\\nval_bpb:  %s\\nnum_steps: 7\\nseed: %s\\nbudget: %s\\n' $lr $SEED $TIME_BUDGET
";

/// A user's folder with a script, and the folder of its results beside it.
#[derive(Debug)]
pub struct Project {
    /// Holds both.
    pub home: TempDir,
}

impl Project {
    /// A project whose `train.sh` is this, with a `train.py` that has the constant `LR`.
    ///
    /// # Panics
    /// When it cannot be written: the tests rely on that.
    pub fn new(script: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let project = Self { home };
        project.write("train.py", "# caf\u{e9}\r\nLR = 0.05  # rate\r\nSEED = 1\r\n");
        project.write("prepare.py", "FIXED = 1\n");
        project.write("train.sh", script);
        project.write(".gitignore", "*.ckpt\n");
        project.write("large.ckpt", "not ours");
        project
    }

    /// The user's folder.
    pub fn root(&self) -> PathBuf {
        self.home.path().join("project")
    }

    /// Where results go.
    pub fn out(&self) -> PathBuf {
        self.home.path().join("out")
    }

    /// Writes a file of the user's.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, path: &str, text: &str) {
        let to = self.root().join(path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, text).unwrap();
    }

    /// Every file of the user's tree with its content.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn tree(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        files_below(&self.root())
    }

    /// A command line that runs it, with more flags.
    ///
    /// # Panics
    /// When the temporary folder has a name that is no text.
    pub fn arguments(&self, more: &[&str]) -> Vec<String> {
        let fixed = ["--train", "sh train.sh", "--budget-variable", "TIME_BUDGET", "--sampler", "random"];
        let (root, out) = (self.root(), self.out());
        let places = ["run", root.to_str().unwrap(), "--out", out.to_str().unwrap()];
        places.iter().chain(&fixed).chain(more).map(|text| (*text).to_owned()).collect()
    }

    /// Runs it to its end.
    pub fn run(&self, more: &[&str]) -> Output {
        let arguments = self.arguments(more);
        run::finish(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Starts a run.
    pub fn start(&self, more: &[&str]) -> Running {
        let arguments = self.arguments(more);
        Running::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// `results.json` of its study.
    ///
    /// # Panics
    /// When there is none.
    pub fn results(&self) -> Value {
        serde_json::from_slice(&fs::read(self.results_folder().join("results.json")).unwrap()).unwrap()
    }

    /// The folder of its study's results.
    ///
    /// # Panics
    /// When there is none.
    pub fn results_folder(&self) -> PathBuf {
        let mut folders = fs::read_dir(self.out()).unwrap().map(|entry| entry.unwrap().path());
        folders.find(|path| path.join("results.json").is_file()).expect("a results folder")
    }

    /// Nothing runs that belongs to this project.
    ///
    /// # Panics
    /// When that does not become so.
    pub fn nothing_left_running(&self) {
        let home = self.home.path();
        processes::wait_until("nothing of the run is left", || processes::of(home).is_empty());
    }

    /// Nothing runs that belongs to this project, and no workspace is left.
    ///
    /// # Panics
    /// When that does not become so.
    pub fn nothing_left(&self) {
        self.nothing_left_running();
        let attempts = self.out().join("store/worker/attempts");
        let left: Vec<_> = fs::read_dir(attempts).map(|all| all.flatten().collect()).unwrap_or_default();
        assert!(left.is_empty(), "workspaces are removed: {left:?}");
    }
}

/// Every file below a folder with its content, but for git's own.
///
/// # Panics
/// When it cannot be read.
fn files_below(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() && !path.is_symlink() {
            true if path.ends_with(".git") => {}
            true => files.extend(files_below(&path)),
            false => drop(files.insert(path.clone(), fs::read(&path).unwrap())),
        }
    }
    files
}
