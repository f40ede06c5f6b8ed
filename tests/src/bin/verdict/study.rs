//! One table and one seed: a study of the rows that are not outer ones, and what each rule would hand over.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ar_common::Task;
use ar_coordinator::data::{self, Request};
use serde_json::Value;

use crate::error::{BenchError, file, table};
use crate::process;
use crate::score::{Gain, gain, metric, score};
use crate::split::{Columns, Rows};
use crate::tables::Table;

const REFIT: &str = include_str!("refit.py");

/// A rule that names what is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// What the program handed over.
    Ours,
    /// The highest score of cross-validation.
    BestSeen,
    /// The candidate of the verdict, handed over without a test.
    PosteriorMean,
}

impl Rule {
    pub(crate) const ALL: [Self; 3] = [Self::Ours, Self::BestSeen, Self::PosteriorMean];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::BestSeen => "best seen",
            Self::PosteriorMean => "posterior mean",
        }
    }
}

/// What came out of one study.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcome {
    /// Rows that nobody but the bench has seen.
    pub(crate) outer_rows: usize,
    /// Score of the base on them.
    pub(crate) base: f64,
    /// Over the base.
    pub(crate) gains: BTreeMap<Rule, Gain>,
    /// Whether the verdict named another winner than the base.
    pub(crate) beats_base: bool,
}

/// Splits the table, runs the program on one part and judges it on the other. Works in `folder`, which is empty.
pub(crate) fn judge(drawn: &Table, seed: u64, python: &Path, folder: &Path) -> Result<Outcome, BenchError> {
    let place = Place { folder: folder.to_owned() };
    // The program's own eyes say what the task is; nothing else of this look at all rows is used.
    let (delimiter, task) = {
        let name = last_column(&drawn.path)?;
        let profile = data::profile(&Request { target: Some(&name), ..Request::new(&drawn.path) })?;
        (profile.delimiter, profile.task)
    };
    let (train, outer) = Rows::read(&drawn.path, delimiter, task)?.split(task, seed);
    train.write(&place.train(), Columns::All)?;
    outer.write(&place.outer(), Columns::Features)?;

    let (target, seed_text) = (train.target_name().to_owned(), seed.to_string());
    let (train_path, out) = (text(&place.train()), text(&place.out()));
    let run = ["run", &train_path, "--target", &target, "--metric", metric(task), "--seed", &seed_text];
    let printed = process::program(&[&run[..], &["--out", &out, "--json"]].concat())?;
    let results: Value = serde_json::from_slice(&printed).map_err(|_| BenchError::Lacks("object"))?;

    let handed_over = place.folder.join("handed-over.csv");
    let (outer_path, to) = (text(&place.outer()), text(&handed_over));
    process::program(&["predict", "train", &outer_path, "--out", &out, "--output", &to])?;

    let truth = outer.targets();
    let configs = configs(&results)?;
    place.refit(&configs, &target, task, seed, python)?;
    let ours = predictions(&handed_over, truth.len())?;
    let fitted = |name: &str| predictions(&place.refits().join(name).join("predictions.csv"), truth.len());
    // The same configuration must predict the same whoever fitted it, or the rules could not be compared.
    let verdict = &results["verdict"];
    let named = if beats_base(verdict) && votes(verdict) { configs[CANDIDATE].clone() } else { Value::Null };
    let winner = if named.is_null() { verdict["winner"].clone() } else { named };
    for (name, _) in configs.iter().filter(|(_, config)| **config == winner) {
        if fitted(name)? != ours {
            return Err(BenchError::Differs(winner.to_string()));
        }
    }
    let base = fitted(BASE)?;
    let predicted = [ours, fitted(BEST_SEEN)?, fitted(CANDIDATE)?];
    let gains = Rule::ALL.into_iter().zip(predicted.iter().map(|p| gain(task, &truth, p, &base))).collect();
    Ok(Outcome {
        outer_rows: truth.len(),
        base: score(task, &truth, &base),
        gains,
        beats_base: beats_base(verdict),
    })
}

fn beats_base(verdict: &Value) -> bool {
    verdict["beats_base"].as_bool().unwrap_or(false)
}

/// Whether the verdict's candidate is an ensemble.
fn votes(verdict: &Value) -> bool {
    verdict["members"].as_array().is_some_and(|members| !members.is_empty())
}

/// Names of the configurations that the bench fits itself, and of their folders.
const BASE: &str = "base";
const BEST_SEEN: &str = "best-seen";
const CANDIDATE: &str = "candidate";

/// The base, what has the best score, and the candidate of the verdict, which is the base where nothing else has a score.
fn configs(results: &Value) -> Result<BTreeMap<&'static str, Value>, BenchError> {
    let best = &results["best"]["config"];
    let Some(best_config) = best.as_object() else { return Err(BenchError::Lacks("best.config")) };
    // Complete configurations name every slot.
    let base: serde_json::Map<String, Value> =
        best_config.keys().map(|slot| (slot.clone(), Value::from(ar_common::space::BASE))).collect();
    let base = Value::Object(base);
    let candidate = match &results["verdict"] {
        Value::Null => return Err(BenchError::Lacks("verdict")),
        verdict if verdict["candidate"].is_null() => base.clone(),
        verdict if votes(verdict) => serde_json::json!({"members": verdict["members"]}),
        verdict => verdict["candidate"].clone(),
    };
    Ok(BTreeMap::from([(BASE, base), (BEST_SEEN, best.clone()), (CANDIDATE, candidate)]))
}

/// Where the files of one study are.
struct Place {
    folder: PathBuf,
}

impl Place {
    fn train(&self) -> PathBuf {
        self.folder.join("train.csv")
    }

    fn outer(&self) -> PathBuf {
        self.folder.join("outer.csv")
    }

    fn out(&self) -> PathBuf {
        self.folder.join("out")
    }

    fn refits(&self) -> PathBuf {
        self.folder.join("refits")
    }

    /// Fits the configurations as the worker would and predicts the outer rows with each.
    fn refit(
        &self,
        configs: &BTreeMap<&'static str, Value>,
        target: &str,
        task: Task,
        seed: u64,
        python: &Path,
    ) -> Result<(), BenchError> {
        let train = self.train();
        let request = Request { target: Some(target), metric: Some(metric(task)), ..Request::new(&train) };
        let profile = data::profile(&request)?;
        let study = self.folder.join("study");
        for (path, content) in ar_runner::files() {
            write(&study.join(path), content)?;
        }
        write(&study.join("study.json"), data::study_json(&profile, seed).to_string().as_bytes())?;
        fs::copy(&train, study.join("data.csv")).map_err(file(&train))?;
        let (script, asked) = (self.folder.join("refit.py"), self.folder.join("configs.json"));
        write(&script, REFIT.as_bytes())?;
        write(&asked, serde_json::json!(configs).to_string().as_bytes())?;
        fs::create_dir(self.refits()).map_err(file(&self.refits()))?;
        process::python(python, &script, &[&study, &asked, &self.outer(), &self.refits()], Some(&study))
    }
}

fn write(path: &Path, content: &[u8]) -> Result<(), BenchError> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(file(folder))?;
    fs::write(path, content).map_err(file(path))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Name of the last column, before anything is known of the delimiter.
fn last_column(path: &Path) -> Result<String, BenchError> {
    let profile = data::profile(&Request::new(path))?;
    let last = profile.columns.last().map(|column| column.name.clone());
    last.ok_or_else(|| BenchError::Table { path: path.to_owned(), why: "it has no columns".to_owned() })
}

/// The column `prediction` of a file that the program wrote.
fn predictions(path: &Path, wanted: usize) -> Result<Vec<String>, BenchError> {
    let mut reader = csv::Reader::from_path(path).map_err(table(path))?;
    let head = reader.headers().map_err(table(path))?;
    let Some(column) = head.iter().position(|name| name == "prediction") else {
        return Err(BenchError::Predictions { path: path.to_owned(), rows: 0, wanted });
    };
    let cells = reader.records().map(|row| Ok(row?.get(column).unwrap_or("").trim().to_owned()));
    let cells: Vec<String> = cells.collect::<Result<_, csv::Error>>().map_err(table(path))?;
    if cells.len() != wanted {
        return Err(BenchError::Predictions { path: path.to_owned(), rows: cells.len(), wanted });
    }
    Ok(cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_is_the_candidate_where_the_verdict_names_none() {
        let best = serde_json::json!({"scale": "none", "build_model": "svm"});
        let base = serde_json::json!({"scale": "base", "build_model": "base"});
        let results = serde_json::json!({"best": {"config": best}, "verdict": {"candidate": null}});
        let configs = configs(&results).unwrap();
        assert_eq!((&configs[BASE], &configs[BEST_SEEN], &configs[CANDIDATE]), (&base, &best, &base));
    }

    #[test]
    fn a_candidate_that_is_an_ensemble_is_its_members() {
        let best = serde_json::json!({"scale": "none"});
        let members = serde_json::json!([{"config": best, "weight": 2}]);
        let verdict = serde_json::json!({"candidate": {"scale": "base"}, "members": members});
        let results = serde_json::json!({"best": {"config": best}, "verdict": verdict});
        assert_eq!(configs(&results).unwrap()[CANDIDATE], serde_json::json!({"members": members}));
    }

    #[test]
    fn a_study_without_verdict_is_told_and_not_scored() {
        let results = serde_json::json!({"best": {"config": {"scale": "none"}}, "verdict": null});
        assert!(matches!(configs(&results), Err(BenchError::Lacks("verdict"))));
    }

    #[test]
    fn predictions_must_be_as_many_as_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.csv");
        fs::write(&path, "prediction,probability_a\na,0.9\nb,0.1\n").unwrap();
        assert_eq!(predictions(&path, 2).unwrap(), ["a", "b"]);
        assert!(matches!(predictions(&path, 3), Err(BenchError::Predictions { rows: 2, wanted: 3, .. })));
    }
}
