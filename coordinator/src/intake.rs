//! From flags or a `study.toml` to one [`StudySpec`] and the files that its attempts need.

use std::path::{Path, PathBuf};

use ar_common::{Budget, Constraints, Digest, Limits, SearchSpec, Space, StudySpec, TreeEntry};
use ar_net::{BlobError, BlobStore};

use crate::catalog::{self, CatalogError, Facts, LeftOut};
use crate::cli::RunArgs;
use crate::data::{self, ColumnKind, DataError, Holdout, Profile};

/// Folds of cross-validation.
const FOLDS: u32 = 5;
/// Default budget: rounds, experiments in each.
const ROUNDS: u32 = 4;
const PER_ROUND: u32 = 15;

/// A study ready to be submitted.
#[derive(Debug)]
pub struct Intake {
    /// What it is.
    pub spec: StudySpec,
    /// What is known of its table.
    pub profile: Profile,
    /// Options left out before the search.
    pub left_out: Vec<LeftOut>,
    path: PathBuf,
}

/// Why there is no study. Each line says what to do.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// The data.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A flag.
    #[error("{0}")]
    Flag(String),
    /// A `study.toml` that cannot be read.
    #[error("cannot read the study {path}: {why}")]
    Study {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The catalog of this binary.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The store.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The data changed between two readings.
    #[error("{0} changed while it was read; wait until it is written, and run the same command again")]
    Moving(PathBuf),
}

/// Compiles the input of `run`.
///
/// # Errors
/// When the data, a flag or the study file cannot be used.
pub fn compile(args: &RunArgs) -> Result<Intake, IntakeError> {
    let is_study = args.input.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
    if is_study { from_file(args) } else { from_flags(args) }
}

fn from_flags(args: &RunArgs) -> Result<Intake, IntakeError> {
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
        holdout,
        group: args.group.as_deref(),
        time: args.time.as_deref(),
        drop: &args.drop,
    };
    let profile = data::profile(&request)?;
    let (space, left_out) = catalog::space(ar_runner::CATALOG, &facts(&profile))?;
    let spec = StudySpec {
        version: StudySpec::VERSION,
        name: name_of(&args.input),
        seed: args.seed.unwrap_or(0),
        metric: profile.metric.clone(),
        data: profile.tabular_spec(&args.input),
        splits: profile.splits(),
        budget: Budget { rounds: args.rounds.unwrap_or(ROUNDS), per_round: args.budget.unwrap_or(PER_ROUND) },
        search: search(args, SearchSpec::default()),
        limits: limits(args, &Limits::default(), &profile),
        environment: environment(),
        code: code(),
        space,
    };
    Ok(Intake { spec, profile, left_out, path: args.input.clone() })
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
    }
}

fn search(args: &RunArgs, otherwise: SearchSpec) -> SearchSpec {
    SearchSpec {
        sampler: args.sampler.unwrap_or(otherwise.sampler),
        stop_below: args.stop_below.or(otherwise.stop_below),
        no_ensemble: args.no_ensemble || otherwise.no_ensemble,
        no_race: args.no_race || otherwise.no_race,
    }
}

/// Reads a `study.toml`. Budget and limits given as flags weigh more than those in the file; what
/// decides results may only be said in one place.
fn from_file(args: &RunArgs) -> Result<Intake, IntakeError> {
    let wrong = |why: String| IntakeError::Study { path: args.input.clone(), why };
    let fixed = [
        ("--target", args.target.is_some()),
        ("--metric", args.metric.is_some()),
        ("--seed", args.seed.is_some()),
        ("--holdout", args.holdout.is_some()),
        ("--group", args.group.is_some()),
        ("--time", args.time.is_some()),
        ("--drop", !args.drop.is_empty()),
    ];
    if let Some((flag, _)) = fixed.iter().find(|(_, given)| *given) {
        return Err(IntakeError::Flag(format!("{flag} is decided by the study file; change it there")));
    }
    let text = std::fs::read_to_string(&args.input).map_err(|error| wrong(error.to_string()))?;
    let mut spec: StudySpec =
        toml::from_str(&text).map_err(|error| wrong(error.to_string().trim().to_owned()))?;
    if spec.version != StudySpec::VERSION {
        return Err(wrong(format!(
            "it is of version {}, this program reads version {}; print it anew with --dry-run",
            spec.version,
            StudySpec::VERSION
        )));
    }
    if spec.environment != environment() || spec.code != code() {
        return Err(wrong(
            "it was written by another version of this program, whose scores may differ; print it anew with --dry-run"
                .to_owned(),
        ));
    }
    let path = PathBuf::from(&spec.data.path);
    let request = data::Request {
        path: &path,
        target: Some(&spec.data.target),
        metric: Some(&spec.metric.name),
        folds: spec.splits.folds,
        holdout: spec.splits.holdout.map_or(Holdout::None, Holdout::Fraction),
        group: spec.splits.group.as_deref(),
        time: spec.splits.time.as_deref(),
        drop: &spec.data.drop,
    };
    let profile = data::profile(&request)?;
    if profile.content != spec.data.content {
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
    spec.search = search(args, spec.search);
    Ok(Intake { spec, profile, left_out, path })
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

/// A name for people and folders, from the file's name.
fn name_of(path: &Path) -> String {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let plain: String = stem
        .chars()
        .map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' })
        .take(60)
        .collect();
    let plain = plain.trim_matches(['-', '.']).to_owned();
    if plain.is_empty() { "study".to_owned() } else { plain }
}

impl Intake {
    /// Puts the study's files into the blob store and returns the digest of their list.
    ///
    /// # Errors
    /// When the data changed since it was profiled, or the store fails.
    pub fn store(&self, blobs: &BlobStore) -> Result<Digest, IntakeError> {
        let mut entries = Vec::new();
        let (digest, bytes) = blobs.put_file(&self.path)?;
        if digest != self.spec.data.content {
            return Err(IntakeError::Moving(self.path.clone()));
        }
        entries.push(TreeEntry { path: "data.csv".to_owned(), digest, bytes });
        let study = data::study_json(&self.profile, self.spec.seed).to_string();
        let small = [
            ("study.json".to_owned(), study.as_bytes()),
            ("requirements.lock".to_owned(), ar_runner::REQUIREMENTS.as_bytes()),
        ];
        for (path, content) in small.into_iter().chain(ar_runner::files()) {
            entries.push(TreeEntry { path, digest: blobs.put(content)?, bytes: content.len() as u64 });
        }
        Ok(blobs.put_tree(entries)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_fits_a_folder() {
        assert_eq!(name_of(Path::new("/x/heart-statlog.csv")), "heart-statlog");
        assert_eq!(name_of(Path::new("my data, v2.csv")), "my-data--v2");
        assert_eq!(name_of(Path::new("..csv")), "study");
    }
}
