//! `examples/train-cpu` as a function of a configuration and a seed.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use ar_common::{Config, Direction, Metric, Space};
use ar_source::{Knobbed, Language};
use ar_tests::run;
use ar_worker::environment::{self, Request};

/// A run that takes more seconds of a processor has no score, as it would have none where time is limited. Not by the clock:
/// what else the machine does must not matter.
const LIMIT_SECONDS: u32 = 60;

pub(crate) struct Script {
    pub(crate) space: Space,
    pub(crate) metric: Metric,
    knobs: Vec<Knobbed>,
    source: String,
    prepare: String,
    python: PathBuf,
    steps: u32,
}

impl Script {
    pub(crate) fn load(steps: u32) -> Result<Self, String> {
        let folder = run::root().join("examples/train-cpu");
        let read = |name: &str| {
            std::fs::read_to_string(folder.join(name)).map_err(|error| format!("{name}: {error}"))
        };
        let source = read("train.py")?;
        let constants = ar_source::constants(Language::Python, &source).map_err(|error| error.to_string())?;
        let knobs = ar_source::knobs(&constants, &[], &[]).map_err(|error| error.to_string())?;
        let dimensions = knobs.iter().map(|knob| knob.dimension.clone()).collect();
        let space = Space { dimensions, ..Space::default() };
        let metric =
            Metric { name: "val_bpb".to_owned(), direction: Direction::Minimize, low: None, high: None };
        let cache = environment::default_cache().unwrap_or_else(std::env::temp_dir);
        let lock = read("requirements.txt")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let request = Request { lock: &lock, complete: false, cache: &cache, python: None };
        let made =
            runtime.map_err(|error| error.to_string())?.block_on(environment::ensure(&request, |_| {}));
        let python = made.map_err(|error| error.to_string())?.python;
        Ok(Self { space, metric, knobs, source, prepare: read("prepare.py")?, python, steps })
    }

    /// The metric of a configuration; `None` if it fails or takes too long.
    pub(crate) fn run(&self, config: &Config, seed: u64) -> Result<Option<f64>, String> {
        let changes: Vec<(std::ops::Range<usize>, String)> = self
            .knobs
            .iter()
            .filter_map(|knob| {
                let chosen = config.get(&knob.dimension.name)?;
                let option = knob.dimension.options.iter().find(|option| option.name == chosen)?;
                Some((knob.constant.span.clone(), ar_source::replacement(&knob.constant, option)))
            })
            .collect();
        let text = ar_source::rewrite(&self.source, &changes).map_err(|error| error.to_string())?;
        let failed = |error: std::io::Error| error.to_string();
        let folder = tempfile::tempdir().map_err(failed)?;
        std::fs::write(folder.path().join("train.py"), text).map_err(failed)?;
        std::fs::write(folder.path().join("prepare.py"), &self.prepare).map_err(failed)?;
        let said = std::fs::File::create(folder.path().join("said")).map_err(failed)?;
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -t {LIMIT_SECONDS}; exec \"$0\" train.py")]).arg(&self.python);
        command.current_dir(folder.path()).stdin(Stdio::null());
        command.env("SEED", seed.to_string()).env("STEP_BUDGET", self.steps.to_string());
        let status = command.stdout(said).stderr(Stdio::null()).status().map_err(failed)?;
        let said = std::fs::read_to_string(folder.path().join("said")).map_err(failed)?;
        let score = said.lines().find_map(|line| line.strip_prefix("val_bpb:")?.trim().parse().ok());
        Ok(score.filter(|score: &f64| status.success() && score.is_finite()))
    }
}
