//! What the page takes for granted: boxes, the programs on each, a table to search on, somewhere for files; and small studies.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ar_tests::boxes::{Boxes, Said};
use ar_tests::project::{GOOD, Project};
use ar_tests::{python, run};
use serde_json::Value;
use tempfile::TempDir;

const BOXES: [&str; 11] = ["head", "box-1", "box-2", "box-3", "laptop", "a", "b", "c", "e1", "e2", "e3"];

/// What the page's `submit` leaves to a file of flags: a study of three experiments.
const SMALL: &str = "[submit]\nbudget = 3\nrounds = 1\n";

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the store of objects of box `c` is.
const S3: &str = "http://127.0.0.1:5000";

/// A server of S3 with a bucket.
const SERVER: &str = "import boto3, sys, threading
from moto.server import ThreadedMotoServer
ThreadedMotoServer('127.0.0.1', 5000).start()
boto3.client('s3', endpoint_url=sys.argv[1]).create_bucket(Bucket='lab')
print('there is a bucket', flush=True)
threading.Event().wait()
";

/// Says what is in it.
const LIST: &str = "import boto3, sys
pages = boto3.client('s3', endpoint_url=sys.argv[1]).get_paginator('list_objects_v2').paginate(Bucket='lab')
print(*[object['Key'] for page in pages for object in page['Contents']], sep='\\n')
";

pub(crate) struct Setting {
    pub(crate) boxes: Boxes,
    pub(crate) began: Instant,
    python: PathBuf,
    project: Project,
    _folder: TempDir,
}

impl Setting {
    pub(crate) fn make() -> Self {
        let began = Instant::now();
        let folder = tempfile::tempdir().unwrap();
        let mut boxes = Boxes::make(folder.path(), &BOXES);
        for place in BOXES {
            let home = boxes.at(place).home.clone();
            for program in ["ar-coordinator", "ar-worker"] {
                symlink(run::binary().with_file_name(program), home.join(program)).unwrap();
            }
            // Of the files of a checkout, the page names those of `deploy`.
            symlink(run::root().join("deploy"), home.join("deploy")).unwrap();
        }
        for place in ["laptop", "c"] {
            let on = boxes.at(place);
            fs::copy(run::example("heart-statlog.csv"), on.home.join("heart.csv")).unwrap();
            fs::write(on.home.join("small.toml"), SMALL).unwrap();
            on.run("export AR_CONFIG=$PWD/small.toml");
        }
        for folder in ["shared", "backup"] {
            boxes.at("head").run(&format!("mkdir /mnt/{folder}"));
        }
        let python = python::with_s3();
        Self { boxes, began, python, project: Project::new(GOOD), _folder: folder }
    }

    /// A server of S3 on box `c`, and there the variables that say where it is.
    fn serve_objects(&mut self) {
        let c = self.boxes.at("c");
        c.run("export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=us-east-1");
        c.run(&format!("export AWS_ENDPOINT={S3} AWS_ALLOW_HTTP=true"));
        fs::write(c.home.join("server.py"), SERVER).unwrap();
        fs::write(c.home.join("list.py"), LIST).unwrap();
        c.start_job("s3", &format!("exec {} server.py {S3}", self.python.display()));
    }

    /// What has to be there before the commands under a heading: it takes a while to be there.
    pub(crate) fn before(&mut self, section: &str) {
        let has_begun = self.boxes.at("c").latest().is_some();
        if section.starts_with("Several") && !has_begun {
            self.serve_objects();
        } else if section.starts_with("Files") {
            self.boxes.at("c").until("s3", "there is a bucket");
        }
    }

    /// The names of what is in the bucket.
    pub(crate) fn objects(&mut self) -> Vec<String> {
        let list = format!("{} list.py {S3}", self.python.display());
        self.boxes.at("c").run(&list).out.lines().map(str::to_owned).collect()
    }

    /// Submits a study that needs no Python.
    pub(crate) fn submit_project(&mut self, place: &str, more: &str) {
        let fixed = "--train 'sh train.sh' --budget-variable TIME_BUDGET --sampler random";
        let submit = format!("ar-coordinator submit {} {fixed} {more}", self.project.root().display());
        self.ask(place, &submit).is_well();
    }

    /// What a command says on a box.
    pub(crate) fn ask(&mut self, place: &str, command: &str) -> Said {
        self.boxes.at(place).attempt(command)
    }

    /// How a study of a coordinator stands, once it stands as wanted; nothing if there is no such study. Between two coordinators
    /// nobody answers.
    pub(crate) fn until(&mut self, of: &str, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let said = self.ask("laptop", &format!("ar-coordinator status --json {of}"));
            if let Ok(lines) = serde_json::from_str::<Vec<Value>>(&said.out) {
                let line = lines.into_iter().find(|line| line["name"] == name).unwrap_or_default();
                if wanted(&line) {
                    return line;
                }
            }
            assert!(began.elapsed() < PATIENCE, "{name} does not stand as wanted: {} {}", said.out, said.err);
        }
    }
}
