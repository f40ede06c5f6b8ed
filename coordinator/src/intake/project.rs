//! A folder with a training script, and flags, as a study.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ar_common::{
    Budget, BudgetBy, Constraints, DataRef, Digest, Dimension, Direction, EntryKind, Limits, Metric, Pin,
    SearchSpec, Site, Space, StudySpec, Training, TreeEntry, Variants, Workload,
};
use ar_net::BlobStore;
use ar_source::{Constant, KnobFlag, Knobbed, Language};

use super::snapshot::Snapshot;
use super::{Intake, IntakeError, Subject, data, name_of, steer, variants, words};
use crate::cli::{RunArgs, TrainArgs};
use crate::local::{JOB, Job};

/// Default budget: rounds, experiments in each.
const ROUNDS: u32 = 5;
const PER_ROUND: u32 = 8;
/// Seconds that one run may train, if nothing else is said: those of Karpathy's autoresearch.
const BUDGET_SECONDS: f64 = 300.0;
/// Seconds that it may take beyond, at least.
const STARTUP_SECONDS: f64 = 60.0;
/// The script that is looked for.
const SCRIPT: &str = "train.py";
/// What the budget is called, as a variable of the environment or as a constant.
const TIME_BUDGET: &str = "TIME_BUDGET";
/// What is fixed in this family of projects.
const FIXED: [&str; 2] = ["prepare.py", "evaluate.py"];
/// Metrics of training scripts, and what their names have in common when lower is better.
const LOWER: [&str; 7] = ["bpb", "loss", "perplexity", "ppl", "error", "nll", "rmse"];
const HIGHER: [&str; 4] = ["accuracy", "acc", "reward", "score"];

/// A project that is searched.
#[derive(Debug)]
pub struct Project {
    snapshot: Snapshot,
    /// What is searched, in the order of the files.
    pub knobs: Vec<(String, Knobbed)>,
    /// Slots whose options are whole files.
    pub variants: Vec<(Variants, Dimension)>,
    /// Constants that are not searched: file, name, why.
    pub unsearched: Vec<(String, ar_source::Unsearched)>,
    /// Names of data at which the folder has something, which is left out.
    pub left_out: Vec<String>,
}

/// Compiles a project and flags.
pub(super) fn from_flags(args: &RunArgs) -> Result<Intake, IntakeError> {
    let train = &args.training;
    let references = data::read(&train.data, &args.input, &args.out)?;
    let snapshot = Snapshot::of(&args.input, &args.out, &references)?;
    let has = |path: &str| snapshot.entries.iter().any(|entry| entry.path == path);
    let command = match &train.train {
        Some(command) => command.clone(),
        None if has(SCRIPT) => format!("python {SCRIPT}"),
        None => {
            return Err(flag(format!(
                "{} is a folder without a {SCRIPT}; say what trains, e.g. --train \"python main.py\" --edit main.py",
                args.input.display()
            )));
        }
    };
    let edit = if train.edit.is_empty() { vec![SCRIPT.to_owned()] } else { train.edit.clone() };
    data::check(&references, &own(train, &snapshot, &edit), &snapshot.entries)?;
    let slots = variants::find(&snapshot.entries)?;
    let (mut knobs, mut unsearched) = knobs(train, &snapshot, &edit, !slots.is_empty())?;
    let pins = steer::pin(&mut knobs, &mut unsearched, &train.pin)?;
    let budget_seconds = train.time_budget.map_or(BUDGET_SECONDS, |budget| budget.as_secs_f64());
    let startup = train.startup.map(|startup| startup.as_secs_f64());
    let protect = protected(train, has, &edit)?;
    check_regex(train)?;
    let mut space = Space {
        dimensions: knobs.iter().map(|(_, knob)| knob.dimension.clone()).collect(),
        ..Space::default()
    };
    let budget_by = budget_by(train, &snapshot)?;
    let fixed = fixed(&protect, &budget_by, &pins);
    let named: Vec<(String, String)> =
        knobs.iter().map(|(file, knob)| (file.clone(), knob.dimension.name.clone())).collect();
    variants::take(&mut space, &slots, &named, &fixed)?;
    space.validate().map_err(|error| flag(error.to_string()))?;
    steer::forbid(&mut space, &args.forbid)?;
    let training = Training {
        path: args.input.display().to_string(),
        project: snapshot.digest(),
        command,
        edit,
        budget_seconds,
        startup_seconds: startup.unwrap_or(STARTUP_SECONDS.max(budget_seconds)),
        budget_by,
        metric_regex: train.metric_regex.clone(),
        evaluate: train.evaluate.clone(),
        protect,
        sites: knobs.iter().map(site).collect(),
        pins,
        variants: slots.iter().map(|(variants, _)| variants.clone()).collect(),
        data: references,
    };
    let warm_start = words::warm_start(train, &space, &training.variants);
    let spec = StudySpec {
        version: StudySpec::VERSION,
        name: name_of(snapshot.root()),
        seed: args.seed.unwrap_or(0),
        metric: metric(args)?,
        limits: limits(args, training.deadline_seconds()),
        workload: Workload::Training(training),
        budget: Budget { rounds: args.rounds.unwrap_or(ROUNDS), per_round: args.budget.unwrap_or(PER_ROUND) },
        search: SearchSpec {
            sampler: args.sampler.unwrap_or_default(),
            stop_below: args.stop_below,
            // Two trained models are not averaged.
            no_ensemble: true,
            no_race: args.no_race || train.no_early_stop,
            incomparable: space
                .dimensions
                .iter()
                .map(|d| d.name.clone())
                .filter(|name| words::is_its_own(name))
                .collect(),
            warm_start,
            enqueue: steer::enqueue(&space, &args.enqueue)?,
        },
        space,
    };
    let left_out = left_out(&snapshot, spec.training().map(|training| training.data.as_slice()));
    let project = Project { snapshot, knobs, variants: slots, unsearched, left_out };
    Ok(Intake { spec, subject: Subject::Project(Box::new(project)) })
}

/// Files of the project in whose place no data may stand, each with what it is.
fn own<'a>(train: &'a TrainArgs, snapshot: &Snapshot, edit: &'a [String]) -> Vec<(&'a str, &'static str)> {
    let searched = edit.iter().map(|file| (file.as_str(), "searched"));
    let named = train.protect.iter().map(|file| (file.as_str(), "protected"));
    let fixed =
        FIXED.into_iter().filter(|file| train.protect.is_empty() && snapshot.root().join(file).exists());
    searched.chain(named).chain(fixed.map(|file| (file, "protected"))).collect()
}

/// Names of data at which the folder has something.
fn left_out(snapshot: &Snapshot, data: Option<&[DataRef]>) -> Vec<String> {
    let there = |data: &&DataRef| snapshot.root().join(&data.name).symlink_metadata().is_ok();
    data.unwrap_or_default().iter().filter(there).map(|data| data.name.clone()).collect()
}

/// The files that no run may change.
fn protected(
    train: &TrainArgs,
    has: impl Fn(&str) -> bool,
    edit: &[String],
) -> Result<Vec<String>, IntakeError> {
    let protect = match train.protect.is_empty() {
        false => train.protect.clone(),
        true => FIXED
            .into_iter()
            .filter(|path| has(path) && !edit.iter().any(|e| e == path))
            .map(str::to_owned)
            .collect(),
    };
    if let Some(missing) = protect.iter().find(|path| !has(path)) {
        return Err(flag(format!("--protect {missing}: the project has no such file")));
    }
    Ok(protect)
}

fn check_regex(train: &TrainArgs) -> Result<(), IntakeError> {
    if let Some(Err(error)) = train.metric_regex.as_deref().map(regex::Regex::new) {
        // The parser draws an arrow below the text, over several lines.
        let text = error.to_string();
        return Err(flag(format!(
            "--metric-regex is not valid: {}",
            text.lines().last().unwrap_or_default()
        )));
    }
    Ok(())
}

/// Files in whose place no other may stand, each with the reason.
fn fixed<'a>(
    protect: &'a [String],
    budget_by: &'a BudgetBy,
    pins: &'a [Pin],
) -> Vec<(&'a str, &'static str)> {
    let mut fixed: Vec<(&str, &str)> = protect.iter().map(|path| (path.as_str(), "protected")).collect();
    if let BudgetBy::Constant { file, .. } = budget_by {
        fixed.push((file, "where the budget is written"));
    }
    fixed.extend(pins.iter().map(|pin| (pin.file.as_str(), "where a pin is written")));
    fixed
}

/// Takes the `study.toml` of a project. Budget and limits given as flags weigh more than those in the file.
pub(super) fn from_study(args: &RunArgs, mut spec: StudySpec) -> Result<Intake, IntakeError> {
    let wrong = |why: String| IntakeError::Study { path: args.input.clone(), why };
    let Some(training) = spec.training() else {
        return Err(wrong("it is of no training script".to_owned()));
    };
    let snapshot = Snapshot::of(Path::new(&training.path), &args.out, &training.data)?;
    if snapshot.digest() != training.project {
        return Err(wrong(format!(
            "{} has changed since it was written; print it anew with --dry-run",
            training.path
        )));
    }
    data::unchanged(&training.data).map_err(wrong)?;
    let left_out = left_out(&snapshot, Some(&training.data));
    spec.space.validate().map_err(|error| wrong(error.to_string()))?;
    spec.budget.rounds = args.rounds.unwrap_or(spec.budget.rounds);
    spec.budget.per_round = args.budget.unwrap_or(spec.budget.per_round);
    spec.limits.study_seconds =
        args.time_limit.map(|limit| limit.as_secs_f64()).or(spec.limits.study_seconds);
    spec.search.sampler = args.sampler.unwrap_or(spec.search.sampler);
    if !args.forbid.is_empty() {
        return Err(flag("--forbid is decided by the study file; change it there".to_owned()));
    }
    if !args.enqueue.is_empty() {
        spec.search.enqueue = steer::enqueue(&spec.space, &args.enqueue)?;
    }
    let project =
        Project { snapshot, knobs: Vec::new(), variants: Vec::new(), unsearched: Vec::new(), left_out };
    Ok(Intake { spec, subject: Subject::Project(Box::new(project)) })
}

fn flag(text: String) -> IntakeError {
    IntakeError::Flag(text)
}

fn limits(args: &RunArgs, deadline: f64) -> Limits {
    Limits {
        study_seconds: args.time_limit.map(|limit| limit.as_secs_f64()),
        experiment_seconds: Some(args.experiment_limit.map_or(deadline, |limit| limit.as_secs_f64())),
        experiment_memory: args.experiment_memory,
        share: Default::default(),
        needs: Default::default(),
        constraints: Constraints { memory: args.max_memory, ..Constraints::default() },
    }
}

fn metric(args: &RunArgs) -> Result<Metric, IntakeError> {
    let name = args.metric.clone().unwrap_or_else(|| "val_bpb".to_owned());
    let lower = name.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let direction = match args.training.direction {
        Some(direction) => direction,
        None if has(&LOWER) => Direction::Minimize,
        None if has(&HIGHER) => Direction::Maximize,
        None => {
            return Err(flag(format!(
                "whether a lower or a higher {name} is better is not known; say --direction minimize or maximize"
            )));
        }
    };
    Ok(Metric { name, direction, low: None, high: None })
}

/// The constants of a file.
fn constants(snapshot: &Snapshot, path: &str) -> Result<Vec<Constant>, IntakeError> {
    let text = snapshot.text(path).ok_or_else(|| {
        let known = snapshot.entries.iter().filter(|e| Language::of_path(&e.path).is_some()).take(5);
        let known: Vec<&str> = known.map(|e| e.path.as_str()).collect();
        flag(format!("--edit {path}: the project has no such text file; it has e.g. {}", known.join(", ")))
    })?;
    let language = Language::of_path(path)
        .ok_or_else(|| flag(format!("--edit {path}: constants are found in .py and .rs files only")))?;
    ar_source::constants(language, &text).map_err(|error| flag(format!("{path}: {error}")))
}

type Found = (Vec<(String, Knobbed)>, Vec<(String, ar_source::Unsearched)>);

fn knobs(
    train: &TrainArgs,
    snapshot: &Snapshot,
    edit: &[String],
    has_slots: bool,
) -> Result<Found, IntakeError> {
    let parse = |text: &String| KnobFlag::parse(text).map_err(|error| flag(format!("--knob {error}")));
    let mut asked: Vec<KnobFlag> = train.knob.iter().map(parse).collect::<Result<_, _>>()?;
    // A constant that is pinned is one with a single choice.
    asked.extend(steer::pins(&train.pin)?);
    let (mut all, mut unsearched) = (Vec::new(), Vec::new());
    let mut names = BTreeSet::new();
    let files: Vec<(&String, Vec<Constant>)> =
        edit.iter().map(|path| Ok((path, constants(snapshot, path)?))).collect::<Result<_, IntakeError>>()?;
    let anywhere = |name: &str| files.iter().any(|(_, constants)| constants.iter().any(|c| c.name == name));
    for (path, constants) in &files {
        // A flag is for the file that has the constant; one that no file has is refused by the last.
        let here: Vec<KnobFlag> = asked
            .iter()
            .filter(|flag| constants.iter().any(|c| c.name == flag.name) || !anywhere(&flag.name))
            .cloned()
            .collect();
        let found = ar_source::knobs(constants, &here, &train.no_knob)
            .map_err(|error| flag(format!("{path}: {error}")))?;
        for mut knob in found {
            if !names.insert(knob.dimension.name.clone()) {
                knob.dimension.name = format!("{path}:{}", knob.dimension.name);
            }
            all.push(((*path).clone(), knob));
        }
        let left = ar_source::unsearched(constants, &here, &train.no_knob);
        unsearched.extend(left.into_iter().map(|constant| ((*path).clone(), constant)));
    }
    if all.is_empty() && !has_slots {
        return Err(flag(format!(
            "{} has no constant that can be searched; write one at the top level, like `LR = 0.01`, or name another file with --edit",
            edit.join(", ")
        )));
    }
    Ok((all, unsearched))
}

fn site((file, knob): &(String, Knobbed)) -> Site {
    let options = knob.dimension.options.iter().filter(|option| option.name != ar_common::space::BASE);
    let texts: BTreeMap<String, String> =
        options.map(|option| (option.name.clone(), ar_source::replacement(&knob.constant, option))).collect();
    Site {
        dimension: knob.dimension.name.clone(),
        file: file.clone(),
        start: knob.constant.span.start,
        end: knob.constant.span.end,
        texts,
    }
}

/// How the script learns its budget: it reads a variable, or it has a constant.
fn budget_by(train: &TrainArgs, snapshot: &Snapshot) -> Result<BudgetBy, IntakeError> {
    if let Some(name) = &train.budget_variable {
        return Ok(BudgetBy::Variable(name.clone()));
    }
    let scripts = snapshot.entries.iter().filter(|e| Language::of_path(&e.path).is_some());
    let mut constant = None;
    for entry in scripts {
        let Some(text) = snapshot.text(&entry.path) else {
            continue;
        };
        let reads =
            |line: &str| line.contains(TIME_BUDGET) && (line.contains("environ") || line.contains("env"));
        if text.lines().any(reads) {
            return Ok(BudgetBy::Variable(TIME_BUDGET.to_owned()));
        }
        let language = Language::of_path(&entry.path).unwrap_or(Language::Python);
        let found = ar_source::constants(language, &text).unwrap_or_default();
        let found = found.into_iter().find(|constant| constant.name == TIME_BUDGET);
        constant = constant.or(found.map(|found| (entry.path.clone(), found.span)));
    }
    match constant {
        Some((file, span)) => Ok(BudgetBy::Constant { file, start: span.start, end: span.end }),
        None => Err(flag(format!(
            "no script reads {TIME_BUDGET} from its environment or has it as a constant; name the variable that it reads with \
             --budget-variable NAME (it is set to the seconds of --time-budget)"
        ))),
    }
}

impl Project {
    /// Puts the project and what a worker is told of it into the blob store; returns the digest of their list.
    pub(super) fn store(&self, spec: &StudySpec, blobs: &BlobStore) -> Result<Digest, IntakeError> {
        self.snapshot.store(blobs)?;
        let moved =
            |entry: &TreeEntry| TreeEntry { path: format!("project/{}", entry.path), ..entry.clone() };
        let mut entries: Vec<TreeEntry> = self.snapshot.entries.iter().map(moved).collect();
        let Some(training) = spec.training().cloned() else {
            return Err(IntakeError::Moving(self.snapshot.root().to_owned()));
        };
        let job = Job { training, metric: spec.metric.clone(), seed: spec.seed };
        // Plain data has no way to fail.
        let job = serde_json::to_vec(&job).unwrap_or_default();
        let (digest, bytes) = (blobs.put(&job)?, job.len() as u64);
        entries.push(TreeEntry { path: JOB.to_owned(), digest, bytes, kind: EntryKind::Plain });
        Ok(blobs.put_tree(entries)?)
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        self.snapshot.root()
    }

    /// Files of the project.
    pub fn files(&self) -> usize {
        self.snapshot.entries.len()
    }
}

/// Whether `path` is what this module compiles.
pub(super) fn is_project(path: &Path) -> bool {
    path.is_dir()
}
