//! `--branch`: what a study kept comes into the user's own repository, and nothing else of that changes.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ar_tests::project::{GOOD, Project};
use ar_tests::run;

const FLAGS: [&str; 9] =
    ["--budget", "14", "--rounds", "3", "--seed", "5", "--enqueue", "LR=0.01", "--branch"];

/// Git as the user runs it in `folder`.
fn git(folder: &Path, arguments: &[&str]) -> Output {
    let user = ["-c", "user.name=User", "-c", "user.email=user@example.org", "-c", "init.defaultBranch=main"];
    let mut git = Command::new("git");
    git.arg("-C").arg(folder).args(user).args(arguments);
    git.output().expect("git is installed, as this was cloned")
}

fn said(folder: &Path, arguments: &[&str]) -> String {
    let ended = git(folder, arguments);
    assert!(ended.status.success(), "{arguments:?}: {}", run::stderr(&ended));
    run::stdout(&ended)
}

/// A repository at `root` with a commit of all that is there and a hook that tells when a branch is written.
fn repository(root: &Path) {
    said(root, &["init", "--quiet"]);
    said(root, &["add", "--all"]);
    said(root, &["commit", "--quiet", "--message", "mine"]);
    let hook = root.join(".git/hooks/reference-transaction");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, "#!/bin/sh\ntouch \"$(git rev-parse --git-dir)/hooked\"\n").unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
}

/// What the user would see: status, branches but those of studies, where he is, what he last fetched.
fn seen(root: &Path) -> (Vec<String>, Vec<u8>, bool) {
    let told = [
        &["status", "--porcelain=v2", "--branch", "--untracked-files=all"][..],
        &["for-each-ref", "--exclude=refs/heads/autoresearch"],
        &["diff"],
        &["diff", "--cached"],
        &["stash", "list"],
    ];
    let told = told.map(|arguments| said(root, arguments)).to_vec();
    let top = PathBuf::from(said(root, &["rev-parse", "--show-toplevel"]).trim_end()).join(".git");
    (told, fs::read(top.join("index")).unwrap(), top.join("FETCH_HEAD").exists())
}

fn tip(repository: &Path, branch: &str) -> String {
    said(repository, &["rev-parse", &format!("refs/heads/{branch}")])
}

#[test]
fn the_branch_of_the_verdict_comes_in_and_the_work_tree_stays() {
    let project = Project::new(GOOD);
    let root = project.root();
    repository(&root);
    // Work in progress of every kind.
    project.write("prepare.py", "FIXED = 1\n# staged\n");
    said(&root, &["add", "prepare.py"]);
    project.write("train.sh", &format!("{GOOD}# not staged\n"));
    project.write("notes.txt", "untracked\n");
    let (before, files) = (seen(&root), project.tree());
    let first = project.run(&FLAGS);
    assert_eq!(first.status.code(), Some(0), "{}", run::stderr(&first));
    assert_eq!(project.tree(), files, "the work tree is as it was");
    assert_eq!(seen(&root), before, "and so is all that git says of it");
    assert!(!root.join(".git/hooked").exists(), "no hook of the user's has run");
    let folder = project.results_folder();
    let branch = format!("autoresearch/{}", folder.file_name().unwrap().to_str().unwrap());
    assert!(run::stdout(&first).contains(&format!("branch    {branch}")), "{}", run::stdout(&first));
    assert_eq!(tip(&root, &branch), tip(&folder.join("repository.git"), &branch));
    let best = fs::read_to_string(folder.join("best/train.py")).unwrap();
    assert_eq!(
        said(&root, &["show", &format!("{branch}:train.py")]),
        best,
        "it ends with the verdict's winner"
    );
    assert_ne!(best, fs::read_to_string(root.join("train.py")).unwrap(), "which is not the base");
    said(&root, &["fsck", "--strict"]);

    // Our own branch is written anew, whatever was there of ours.
    let commits = said(&root, &["rev-list", &branch]);
    let older = commits.lines().last().unwrap();
    said(&root, &["update-ref", &format!("refs/heads/{branch}"), older]);
    let again = project.run(&FLAGS);
    assert_eq!(again.status.code(), Some(0), "{}", run::stderr(&again));
    assert_eq!(tip(&root, &branch), tip(&folder.join("repository.git"), &branch));
    assert_eq!(seen(&root), before);

    // What is the user's is not.
    let refused = |reason: &str| {
        let (kept, results) = (tip(&root, &branch), fs::read(folder.join("results.json")).unwrap());
        let ended = project.run(&FLAGS);
        let said = run::stderr(&ended);
        assert_eq!((ended.status.code(), said.trim_end().lines().count()), (Some(2), 1), "{said}");
        assert!(said.contains(reason) && said.contains(&branch), "{said}");
        assert_eq!(tip(&root, &branch), kept);
        assert_eq!(fs::read(folder.join("results.json")).unwrap(), results);
        assert!(run::stdout(&ended).is_empty(), "nothing has run");
    };
    let elsewhere = project.home.path().join("elsewhere");
    said(&root, &["worktree", "add", "--quiet", elsewhere.to_str().unwrap(), &branch]);
    refused("checked out in");
    said(&elsewhere, &["commit", "--quiet", "--allow-empty", "--message", "mine, too"]);
    said(&root, &["worktree", "remove", elsewhere.to_str().unwrap()]);
    refused("commits of your own");
    project.nothing_left();
}

#[test]
fn a_project_below_the_top_of_its_repository_has_a_branch_of_the_project_alone() {
    let project = Project::new(GOOD);
    let top = project.home.path();
    repository(top);
    let before = project.tree();
    let ended = project.run(&FLAGS);
    assert_eq!(ended.status.code(), Some(0), "{}", run::stderr(&ended));
    assert_eq!(project.tree(), before);
    let folder = project.results_folder();
    let branch = format!("autoresearch/{}", folder.file_name().unwrap().to_str().unwrap());
    assert_eq!(tip(top, &branch), tip(&folder.join("repository.git"), &branch));
    let files = said(top, &["ls-tree", "-r", "--name-only", &branch]);
    assert_eq!(files, ".gitignore\nprepare.py\ntrain.py\ntrain.sh\n");
    project.nothing_left();
}

#[test]
fn where_there_is_no_repository_or_no_room_for_the_branch_nothing_runs() {
    let project = Project::new(GOOD);
    let refused = |reason: &str| {
        let ended = project.run(&FLAGS);
        let said = run::stderr(&ended);
        assert_eq!((ended.status.code(), said.trim_end().lines().count()), (Some(2), 1), "{said}");
        assert!(said.contains(reason), "{said}");
        assert!(!project.out().exists(), "nothing is written");
    };
    refused("is in no work tree of git");
    repository(&project.root());
    said(&project.root(), &["branch", "autoresearch"]);
    refused("there is a branch autoresearch");
    let table = run::finish(&["run", run::example("heart-statlog.csv").to_str().unwrap(), "--branch"]);
    assert_eq!(table.status.code(), Some(2));
    assert!(run::stderr(&table).contains("--branch is for training scripts"), "{}", run::stderr(&table));
}
