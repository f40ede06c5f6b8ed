//! `--branch`: what a training study kept, as a branch of the git repository that the user's project is in.
//!
//! Git fetches it from `repository.git` of the results: objects and one branch come in, and nothing else changes. No hook
//! runs, nothing is cleaned up, and the file of the last fetch stays what it was.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::results::COMMITTER;

/// Variables that would lead git to another repository than the one around the project.
const ELSEWHERE: [&str; 10] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_COUNT",
];

/// Why the branch cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum BranchError {
    #[error("--branch needs git, which cannot be started ({0}); install it, or leave --branch out")]
    NoGit(io::Error),
    #[error("--branch: {} is in no work tree of git ({said}); run `git init` there, or leave --branch out", project.display())]
    NoRepository { project: PathBuf, said: String },
    #[error("--branch: the repository around {} names objects by {format}, the branch by sha1; leave --branch out", project.display())]
    Format { project: PathBuf, format: String },
    #[error("--branch: {branch} is checked out in {at}; switch to another branch there first")]
    CheckedOut { branch: String, at: String },
    #[error(
        "--branch: {branch} has commits of your own, which would be lost; rename it with `git branch -m {branch} NAME`"
    )]
    Yours { branch: String },
    #[error("--branch: there is a branch {0}, so that none can be below it; rename it first")]
    InTheWay(String),
    #[error("--branch: git cannot fetch {branch} from {} ({said}); all results are there", repository.display())]
    Fetch { branch: String, repository: PathBuf, said: String },
}

/// The repository around a project, and the branch that it is to have.
#[derive(Debug)]
pub(super) struct Repository {
    project: PathBuf,
    branch: String,
}

impl Repository {
    /// Looks whether `branch` may be written to the repository that `project` is in.
    pub(super) fn find(project: &Path, branch: String) -> Result<Self, BranchError> {
        let found = Self { project: project.to_owned(), branch };
        let project = || found.project.clone();
        let inside = found.git(["rev-parse", "--is-inside-work-tree"])?;
        match inside {
            Ok(answer) if answer == "true" => {}
            Ok(_) => {
                let said = "it is inside the repository itself".to_owned();
                return Err(BranchError::NoRepository { project: project(), said });
            }
            Err(said) => return Err(BranchError::NoRepository { project: project(), said }),
        }
        // An older git knows one format only.
        if let Ok(format) = found.git(["rev-parse", "--show-object-format"])?
            && format != "sha1"
            && !format.starts_with('-')
        {
            return Err(BranchError::Format { project: project(), format });
        }
        found.is_free()?;
        Ok(found)
    }

    /// Whether nothing of the user's is in the way.
    fn is_free(&self) -> Result<(), BranchError> {
        let branch = || self.branch.clone();
        if let Some((above, _)) = self.branch.split_once('/')
            && self.git(["show-ref", "--verify", "--quiet", &format!("refs/heads/{above}")])?.is_ok()
        {
            return Err(BranchError::InTheWay(above.to_owned()));
        }
        let mut at = "a work tree".to_owned();
        for line in self.git(["worktree", "list", "--porcelain"])?.unwrap_or_default().lines() {
            match line.split_once(' ') {
                Some(("worktree", path)) => path.clone_into(&mut at),
                Some(("branch", name)) if name.strip_prefix("refs/heads/") == Some(&self.branch) => {
                    return Err(BranchError::CheckedOut { branch: branch(), at });
                }
                _ => {}
            }
        }
        let committer = self.git([
            "log",
            "-1",
            "--no-show-signature",
            "--format=%ce",
            &format!("refs/heads/{}", self.branch),
            "--",
        ])?;
        // An error means that there is none yet.
        if committer.is_ok_and(|committer| committer != COMMITTER) {
            return Err(BranchError::Yours { branch: branch() });
        }
        Ok(())
    }

    /// Fetches the branch from the repository of the results; returns its name.
    pub(super) fn fetch(&self, repository: &Path) -> Result<&str, BranchError> {
        // Hours may have passed since it was asked.
        self.is_free()?;
        let failed = |said: String| BranchError::Fetch {
            branch: self.branch.clone(),
            repository: repository.to_owned(),
            said,
        };
        let from = std::path::absolute(repository).map_err(|error| failed(error.to_string()))?;
        let branch = format!("+refs/heads/{0}:refs/heads/{0}", self.branch);
        let quiet = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"];
        let quiet = quiet.into_iter().chain(["--no-recurse-submodules", "--no-prune", "--"]).map(OsStr::new);
        let fetched = self.git(quiet.chain([from.as_os_str(), OsStr::new(&branch)]))?;
        fetched.map(|_| self.branch.as_str()).map_err(failed)
    }

    /// What git says, or the first line of its complaint.
    fn git<S: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = S>,
    ) -> Result<Result<String, String>, BranchError> {
        let mut git = Command::new("git");
        ELSEWHERE.iter().for_each(|name| {
            git.env_remove(name);
        });
        git.env("LC_ALL", "C").env("GIT_OPTIONAL_LOCKS", "0").env("GIT_TERMINAL_PROMPT", "0");
        git.arg("-C").arg(&self.project).args(["-c", "core.hooksPath=/dev/null"]).args(arguments);
        let ended = git.output().map_err(BranchError::NoGit)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        if ended.status.success() {
            return Ok(Ok(text(&ended.stdout)));
        }
        let said = text(&ended.stderr);
        Ok(Err(said.lines().next().unwrap_or("it said nothing").to_owned()))
    }
}
