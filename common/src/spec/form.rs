//! A study as it is written.

use serde::{Deserialize, Serialize};

use super::{Limits, SearchSpec, Splits, StudySpec, TabularSpec};
use crate::budget::Budget;
use crate::digest::Digest;
use crate::metric::Metric;
use crate::space::Space;
use crate::workload::{Tabular, Training, Workload};

/// A study as it is written: the parts of its workload stand beside the others, those of a table or `training`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Form {
    version: u32,
    name: String,
    seed: u64,
    metric: Metric,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<TabularSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    splits: Option<Splits>,
    budget: Budget,
    #[serde(default, skip_serializing_if = "SearchSpec::is_default")]
    search: SearchSpec,
    #[serde(default)]
    limits: Limits,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    environment: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    training: Option<Training>,
    space: Space,
}

/// A study that says neither what a table's study says, nor `training`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a study has either `training`, or all of `data`, `splits`, `environment` and `code`")]
pub struct FormError;

impl TryFrom<Form> for StudySpec {
    type Error = FormError;

    fn try_from(form: Form) -> Result<Self, FormError> {
        let Form { version, name, seed, metric, budget, search, limits, space, .. } = form;
        let workload = match (form.data, form.splits, form.environment, form.code, form.training) {
            (Some(data), Some(splits), Some(environment), Some(code), None) => {
                Workload::Tabular(Tabular { data, splits, environment, code })
            }
            (None, None, None, None, Some(training)) => Workload::Training(training),
            _ => return Err(FormError),
        };
        Ok(Self { version, name, seed, metric, workload, budget, search, limits, space })
    }
}

impl From<StudySpec> for Form {
    fn from(spec: StudySpec) -> Self {
        let StudySpec { version, name, seed, metric, workload, budget, search, limits, space } = spec;
        let (tabular, training) = match workload {
            Workload::Tabular(tabular) => (Some(tabular), None),
            Workload::Training(training) => (None, Some(training)),
        };
        let (data, splits, environment, code) = match tabular {
            Some(t) => (Some(t.data), Some(t.splits), Some(t.environment), Some(t.code)),
            None => (None, None, None, None),
        };
        Self {
            version,
            name,
            seed,
            metric,
            data,
            splits,
            budget,
            search,
            limits,
            environment,
            code,
            training,
            space,
        }
    }
}
