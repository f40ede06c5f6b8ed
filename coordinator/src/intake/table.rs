//! A table and flags, or a table's `study.toml`, as a study.

use std::path::PathBuf;

use ar_common::{
    Budget, Constraints, Digest, EntryKind, Limits, SearchSpec, Space, StudySpec, Tabular, TreeEntry,
    Workload,
};
use ar_net::BlobStore;

use super::{Intake, IntakeError, Subject, name_of, steer};
use crate::catalog::{self, Facts, LeftOut};
use crate::cli::RunArgs;
use crate::data::{self, ColumnKind, Holdout, Profile};

/// Folds of cross-validation.
const FOLDS: u32 = 5;
/// Default budget: rounds, experiments in each.
const ROUNDS: u32 = 4;
const PER_ROUND: u32 = 15;

/// A table that is searched.
#[derive(Debug)]
pub struct Table {
    /// What is known of it.
    pub profile: Profile,
    /// Options left out before the search.
    pub left_out: Vec<LeftOut>,
    path: PathBuf,
}

/// Compiles a table and flags.
pub(super) fn from_flags(args: &RunArgs) -> Result<Intake, IntakeError> {
    let holdout = match args.holdout.as_deref() {
        None => Holdout::Auto,
        Some("none") => Holdout::None,
        Some(text) => Holdout::Fraction(text.parse().map_err(|_| {
            IntakeError::Flag(format!("--holdout `{text}` is neither a fraction like 0.2 nor `none`"))
        })?),
    };
    let request = data::Request {
        path: &args.input,
        target: args.target.as_deref(),
        metric: args.metric.as_deref(),
        folds: FOLDS,
        repeats: None,
        holdout,
        group: args.group.as_deref(),
        time: args.time.as_deref(),
        drop: &args.drop,
    };
    let profile = data::profile(&request)?;
    let (mut space, left_out) = catalog::space(ar_runner::CATALOG, &facts(&profile))?;
    steer::forbid(&mut space, &args.forbid)?;
    let spec = StudySpec {
        version: StudySpec::VERSION,
        name: name_of(&args.input),
        seed: args.seed.unwrap_or(0),
        metric: profile.metric.clone(),
        workload: Workload::Tabular(Tabular {
            data: profile.tabular_spec(&args.input),
            splits: profile.splits(),
            environment: environment(),
            code: code(),
        }),
        budget: Budget { rounds: args.rounds.unwrap_or(ROUNDS), per_round: args.budget.unwrap_or(PER_ROUND) },
        search: search(args, &SearchSpec::default(), &space)?,
        limits: limits(args, &Limits::default(), &profile),
        space,
    };
    let table = Table { profile, left_out, path: args.input.clone() };
    Ok(Intake { spec, subject: Subject::Table(Box::new(table)) })
}

fn limits(args: &RunArgs, otherwise: &Limits, profile: &Profile) -> Limits {
    let known = &otherwise.constraints;
    let constraints = Constraints {
        predict_ms_per_1000_rows: args.max_predict_ms.or(known.predict_ms_per_1000_rows),
        memory: args.max_memory.or(known.memory),
        rows: Some(profile.splits().predicted_rows(profile.rows as u64)),
    };
    Limits {
        constraints,
        study_seconds: args.time_limit.map(|d| d.as_secs_f64()).or(otherwise.study_seconds),
        experiment_seconds: args.experiment_limit.map(|d| d.as_secs_f64()).or(otherwise.experiment_seconds),
        experiment_memory: args.experiment_memory.or(otherwise.experiment_memory),
        share: otherwise.share.clone(),
        needs: otherwise.needs.clone(),
    }
}

fn search(args: &RunArgs, otherwise: &SearchSpec, space: &Space) -> Result<SearchSpec, IntakeError> {
    let asked = steer::enqueue(space, &args.enqueue)?;
    Ok(SearchSpec {
        incomparable: Vec::new(),
        warm_start: None,
        sampler: args.sampler.unwrap_or(otherwise.sampler),
        stop_below: args.stop_below.or(otherwise.stop_below),
        no_ensemble: args.no_ensemble || otherwise.no_ensemble,
        no_race: args.no_race || otherwise.no_race,
        enqueue: if asked.is_empty() { otherwise.enqueue.clone() } else { asked },
    })
}

/// Takes a `study.toml`. Budget and limits given as flags weigh more than those in the file; what
/// decides results may only be said in one place.
pub(super) fn from_study(args: &RunArgs, mut spec: StudySpec) -> Result<Intake, IntakeError> {
    let wrong = |why: String| IntakeError::Study { path: args.input.clone(), why };
    let fixed = [
        ("--target", args.target.is_some()),
        ("--metric", args.metric.is_some()),
        ("--seed", args.seed.is_some()),
        ("--holdout", args.holdout.is_some()),
        ("--group", args.group.is_some()),
        ("--time", args.time.is_some()),
        ("--drop", !args.drop.is_empty()),
        ("--forbid", !args.forbid.is_empty()),
    ];
    if let Some((flag, _)) = fixed.iter().find(|(_, given)| *given) {
        return Err(IntakeError::Flag(format!("{flag} is decided by the study file; change it there")));
    }
    let Some(tabular) = spec.tabular() else {
        return Err(wrong("it is of no table".to_owned()));
    };
    if tabular.environment != environment() || tabular.code != code() {
        return Err(wrong(
            "it was written by another version of this program, whose scores may differ; print it anew with --dry-run"
                .to_owned(),
        ));
    }
    let path = PathBuf::from(&tabular.data.path);
    let request = data::Request {
        path: &path,
        target: Some(&tabular.data.target),
        metric: Some(&spec.metric.name),
        folds: tabular.splits.folds,
        repeats: Some(tabular.splits.repeats),
        holdout: tabular.splits.holdout.map_or(Holdout::None, Holdout::Fraction),
        group: tabular.splits.group.as_deref(),
        time: tabular.splits.time.as_deref(),
        drop: &tabular.data.drop,
    };
    let profile = data::profile(&request)?;
    if profile.content != tabular.data.content {
        return Err(wrong(format!(
            "{} has changed since it was written; print it anew with --dry-run",
            path.display()
        )));
    }
    let (full, mut left_out) = catalog::space(ar_runner::CATALOG, &facts(&profile))?;
    check_space(&spec.space, &full).map_err(wrong)?;
    left_out.retain(|option| spec.space.dimension(&option.dimension).is_some());
    spec.budget.rounds = args.rounds.unwrap_or(spec.budget.rounds);
    spec.budget.per_round = args.budget.unwrap_or(spec.budget.per_round);
    spec.limits = limits(args, &spec.limits, &profile);
    spec.search = search(args, &spec.search, &spec.space)?;
    Ok(Intake { spec, subject: Subject::Table(Box::new(Table { profile, left_out, path })) })
}

/// A study file may leave options out; it may not name what is not there.
fn check_space(asked: &Space, full: &Space) -> Result<(), String> {
    asked.validate().map_err(|error| error.to_string())?;
    for dimension in &full.dimensions {
        let Some(found) = asked.dimension(&dimension.name) else {
            return Err(format!(
                "the slot `{}` is missing; leave it with its `base` at least",
                dimension.name
            ));
        };
        for option in &found.options {
            if dimension.option(&option.name) != Some(option) {
                let names: Vec<&str> = dimension.options.iter().map(|o| o.name.as_str()).collect();
                return Err(format!(
                    "`{}` of slot `{}` is not an option for this data, or its family or conditions were changed; there are: {}",
                    option.name,
                    dimension.name,
                    names.join(", ")
                ));
            }
        }
    }
    match asked.dimensions.iter().find(|d| full.dimension(&d.name).is_none()) {
        Some(unknown) => Err(format!("there is no slot `{}`", unknown.name)),
        None => Ok(()),
    }
}

fn facts(profile: &Profile) -> Facts {
    Facts {
        task: profile.task,
        rows: profile.rows as u64,
        columns: profile.matrix_columns() as u64,
        classes: profile.classes.len() as u64,
        missing: profile.has_missing(),
        numeric: profile.matrix_numbers() as u64,
        categorical: profile.count(ColumnKind::Categorical) as u64,
        date: profile.count(ColumnKind::Date) as u64,
        text: profile.count(ColumnKind::Text) as u64,
        high_cardinality: profile.max_cardinality() > 10,
        discrete: profile.has_discrete_numbers(),
        nonnegative: profile.nonnegative_numbers() as u64,
        nonnegative_target: profile.has_nonnegative_target(),
        zeros: profile.has_suspicious_zeros(),
    }
}

/// Digest of the pinned requirements.
fn environment() -> Digest {
    Digest::of(ar_runner::REQUIREMENTS.as_bytes())
}

/// Digest of the code that evaluates.
fn code() -> Digest {
    let mut hasher = String::new();
    for (path, content) in ar_runner::files() {
        hasher.push_str(&format!("{path} {}\n", Digest::of(content)));
    }
    Digest::of(hasher.as_bytes())
}

impl Table {
    /// Puts the study's files into the blob store and returns the digest of their list.
    pub(super) fn store(&self, spec: &StudySpec, blobs: &BlobStore) -> Result<Digest, IntakeError> {
        let mut entries = Vec::new();
        let (digest, bytes) = blobs.put_file(&self.path)?;
        if spec.tabular().is_none_or(|tabular| tabular.data.content != digest) {
            return Err(IntakeError::Moving(self.path.clone()));
        }
        entries.push(TreeEntry { path: "data.csv".to_owned(), digest, bytes, kind: EntryKind::Plain });
        let study = data::study_json(&self.profile, spec.seed).to_string();
        let small = [
            ("study.json".to_owned(), study.as_bytes()),
            ("requirements.lock".to_owned(), ar_runner::REQUIREMENTS.as_bytes()),
        ];
        for (path, content) in small.into_iter().chain(ar_runner::files()) {
            let (digest, bytes) = (blobs.put(content)?, content.len() as u64);
            entries.push(TreeEntry { path, digest, bytes, kind: EntryKind::Plain });
        }
        Ok(blobs.put_tree(entries)?)
    }
}
