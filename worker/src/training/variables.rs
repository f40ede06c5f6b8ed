//! The environment variables that a training script finds.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use ar_common::BudgetBy;
use ar_common::frames::Grant;

use super::Project;
use crate::process;

/// The file in which a script may leave what it trained, and in which the evaluation finds it.
pub(super) const CHECKPOINT: &str = "checkpoint";
/// The file that a script is to go on from.
pub(super) const CHECKPOINT_IN: &str = "checkpoint-in";
/// Variables of the worker that a script may see. API keys and the like are not among them.
const ALLOWED: [&str; 16] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "CUDA_VISIBLE_DEVICES",
    "CUDA_HOME",
    "CONDA_PREFIX",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
];

/// What a script finds in its environment: what is allowed, its budget and its seed.
pub(super) fn environment(project: &Project, grant: &Grant, folder: &Path) -> BTreeMap<OsString, OsString> {
    let allowed = ALLOWED.iter().filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)));
    let mut all: BTreeMap<OsString, OsString> = allowed.collect();
    if let Some(programs) = &project.programs {
        let path = all.remove(&OsString::from("PATH")).unwrap_or_default();
        let places = std::iter::once(programs.clone()).chain(std::env::split_paths(&path));
        if let Ok(path) = std::env::join_paths(places) {
            all.insert("PATH".into(), path);
        }
    }
    let training = &project.job.training;
    let budget = training.budget_seconds.to_string();
    if let BudgetBy::Variable(name) = &training.budget_by {
        all.insert(name.into(), budget.into());
    }
    let repeat = grant.block.repeat().unwrap_or(0);
    all.insert("SEED".into(), project.job.seed.wrapping_add(repeat.into()).to_string().into());
    all.insert("PYTHONUNBUFFERED".into(), "1".into());
    all.insert("OMP_WAIT_POLICY".into(), "PASSIVE".into());
    all.insert(process::WORKSPACE.into(), folder.into());
    let order = grant.checkpoint.as_ref();
    if training.evaluate.is_some() || order.is_some() {
        all.insert("CHECKPOINT_OUT".into(), folder.join(CHECKPOINT).into());
    }
    if order.is_some_and(|order| order.from.is_some()) {
        all.insert("CHECKPOINT_IN".into(), folder.join(CHECKPOINT_IN).into());
    }
    all
}
