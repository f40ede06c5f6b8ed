//! Training runs on GPUs, with real processes and a driver that a test can break: who runs where, what is measured, and
//! what happens to a GPU that is not whole after a run.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ar_tests::processes;
use ar_tests::run::{self, Running};
use serde_json::Value;
use tempfile::TempDir;

/// The score is the constant. Figures of the worker's own names are not the script's to say.
const SCORE: &str = "lr=$(sed -n 's/^LR = \\([0-9.e-]*\\).*/\\1/p' train.py)
printf -- '---\\nval_bpb:  %s\\ngpu_energy_j: -1\\n' $lr
";

/// A project, and the GPUs of the machine that it runs on.
struct Bench {
    home: TempDir,
    library: PathBuf,
    /// More variables of the command.
    variables: Vec<(String, String)>,
}

impl Bench {
    /// Two GPUs, `GPU-0` and `GPU-1`. Every run writes down what it was given; then comes `script`, then a score.
    fn new(script: &str) -> Self {
        Self::without(script, &[])
    }

    /// As [`Bench::new`], with a driver that cannot tell some things: names of macros of `nvml.c`.
    fn without(script: &str, missing: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let library = home.path().join("libnvidia-ml.so");
        let source = run::root().join("tests/tests/gpus/nvml.c");
        let mut compile = Command::new("cc");
        compile.args(["-shared", "-fPIC", "-Wall", "-Werror", "-o"]).arg(&library).arg(source);
        let compiled = compile.args(missing.iter().map(|name| format!("-D{name}"))).output();
        let compiled = compiled.expect("there is a C compiler, as Rust links with it");
        assert!(compiled.status.success(), "{}", run::stderr(&compiled));
        let bench = Self { home, library, variables: Vec::new() };
        bench.set("gpus 0 2");
        let root = bench.path("project");
        fs::create_dir(&root).unwrap();
        fs::write(root.join("train.py"), "LR = 0.05\n").unwrap();
        let begun = format!("cd '{}'\necho \"$CUDA_VISIBLE_DEVICES\" >> log\n", bench.home.path().display());
        fs::write(root.join("train.sh"), format!("here=$PWD\n{begun}{script}\ncd \"$here\"\n{SCORE}"))
            .unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Changes what the driver says from now on.
    fn set(&self, line: &str) {
        let mut state = fs::read_to_string(self.path("state")).unwrap_or_default();
        writeln!(state, "{line}").unwrap();
        // A reader never sees half a file.
        fs::write(self.path("new state"), state).unwrap();
        fs::rename(self.path("new state"), self.path("state")).unwrap();
    }

    fn command(&self, flags: &[&str]) -> Command {
        let (root, out) = (self.path("project"), self.path("out"));
        let places = ["run", root.to_str().unwrap(), "--out", out.to_str().unwrap(), "--rounds", "1"];
        let fixed = ["--train", "sh train.sh", "--budget-variable", "TIME_BUDGET", "--sampler", "random"];
        let mut command = run::command(&[&places[..], &fixed, flags].concat());
        command.env(ar_worker::NVML_LIBRARY, &self.library).env("FAKE_NVML", self.path("state"));
        command.env_remove("CUDA_VISIBLE_DEVICES");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    fn run(&self, flags: &[&str]) -> Output {
        let ended = self.command(flags).output().unwrap();
        assert_eq!(ended.status.code(), Some(0), "{}{}", run::stdout(&ended), run::stderr(&ended));
        ended
    }

    /// What each run was given, in the order in which they began.
    fn given(&self) -> Vec<String> {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    fn experiments(&self) -> Vec<Value> {
        let mut folders = fs::read_dir(self.path("out")).unwrap().map(|entry| entry.unwrap().path());
        let folder = folders.find(|path| path.join("results.json").is_file()).expect("a results folder");
        let results: Value = serde_json::from_slice(&fs::read(folder.join("results.json")).unwrap()).unwrap();
        results["experiments"].as_array().unwrap().clone()
    }
}

fn figure(experiment: &Value, name: &str) -> Option<f64> {
    experiment["figures"][name].as_f64()
}

#[test]
fn each_run_has_a_gpu_of_its_own_and_what_it_took_is_told() {
    // A run holds a lock by the name of its GPU, which another one on the same GPU could not take; the first alone runs
    // by itself, every other one waits for a neighbour.
    let script = "mkdir \"lock $CUDA_VISIBLE_DEVICES\" || exit 9
        [ -e base ] && until [ -e 'lock GPU-0' -a -e 'lock GPU-1' ] || [ -e met ]; do sleep 0.01; done
        [ -e base ] && touch met
        touch base
        sleep 0.6
        rmdir \"lock $CUDA_VISIBLE_DEVICES\"";
    let bench = Bench::new(script);
    let ended = bench.run(&["--budget", "6", "--time-budget", "20s", "--startup", "1s"]);
    let said = run::stdout(&ended);
    assert!(said.contains("2 experiments at once, each on 1 of 2 GPUs of its own"), "{said}");
    assert!(said.contains("gpus      2 x Fake H100 (80.0 GiB); NVIDIA driver 550.54.14"), "{said}");
    assert!(bench.path("met").exists(), "two ran at once");
    let given = bench.given();
    assert!(given.iter().all(|gpu| gpu == "GPU-0" || gpu == "GPU-1"), "{given:?}");
    let experiments = bench.experiments();
    assert_eq!(given.len(), experiments.len());
    for experiment in &experiments {
        assert_eq!(experiment["outcome"], "done", "{experiment}");
        assert_eq!(experiment["device"]["class"], "Fake H100");
        let ids = experiment["device"]["ids"].as_array().unwrap();
        assert!(ids.len() == 1 && given.iter().any(|gpu| ids[0] == **gpu), "{experiment}");
        let energy = figure(experiment, "gpu_energy_j").unwrap();
        let seconds = experiment["seconds"].as_f64().unwrap();
        assert!(
            (seconds - 0.1..seconds + 5.0).contains(&(energy / 10.0)),
            "10 W for {seconds} s: {energy} J"
        );
        assert_eq!(figure(experiment, "gpu_utilization_percent"), Some(75.0));
        assert_eq!(figure(experiment, "gpu_peak_memory_mb"), Some(512.0));
        assert_eq!(figure(experiment, "gpu_max_temperature_c"), Some(61.0));
    }
}

#[test]
fn a_worker_that_was_told_its_gpus_uses_no_other() {
    for (told, gpus) in [("1", "GPU-1"), ("GPU-0", "GPU-0"), ("1,7,0", "GPU-1")] {
        let mut bench = Bench::new("");
        bench.variables.push(("CUDA_VISIBLE_DEVICES".into(), told.into()));
        let said = run::stdout(&bench.run(&["--budget", "2"]));
        assert!(said.contains("1 experiments at once, each on 1 of 1 GPUs"), "{said}");
        assert!(said.contains("1 of 2 GPUs by CUDA_VISIBLE_DEVICES"), "{said}");
        assert!(bench.given().iter().all(|given| given == gpus), "{told}: {:?}", bench.given());
    }
}

#[test]
fn a_gpu_whose_memory_is_not_free_after_a_kill_is_never_used_again() {
    let script = "if [ -e base -a \"$CUDA_VISIBLE_DEVICES\" = GPU-0 ]; then
            echo 'memory 0 5368709120' >> state
            exec sleep 1000
        fi
        touch base";
    let bench = Bench::new(script);
    let ended = bench.run(&["--budget", "6", "--time-budget", "1s", "--startup", "1s"]);
    let said = run::stdout(&ended);
    let warned = "quarantined: GPU GPU-0 still has 5368709120 bytes of memory in use 10 s after its run ended; it had \
                  536870912 when that began; 1 experiments at once from now on";
    assert!(said.contains(warned), "{said}");
    let given = bench.given();
    assert_eq!(
        given.iter().filter(|gpu| *gpu == "GPU-0").count(),
        2,
        "the base, and what was killed: {given:?}"
    );
    let experiments = bench.experiments();
    let outcomes: Vec<&str> = experiments.iter().filter_map(|e| e["outcome"].as_str()).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == "timed out").count(), 1, "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == "done").count(), outcomes.len() - 1);
}

#[test]
fn a_gpu_that_recovers_is_used_again() {
    let script = "if [ -e base ]; then
            if [ \"$CUDA_VISIBLE_DEVICES\" = GPU-0 -a ! -e crashed ]; then
                touch crashed
                echo 'memory 0 5368709120' >> state
                exit 3
            fi
            until [ -e go ]; do sleep 0.01; done
        fi
        touch base";
    let bench = Bench::new(script);
    let mut running =
        Running::spawn(bench.command(&["--budget", "6", "--time-budget", "30s", "--startup", "30s"]));
    assert!(running.until(|line| line.contains("quarantined: GPU GPU-0")).is_some(), "{:?}", running.seen);
    let mut given = bench.given();
    given.sort_unstable();
    assert_eq!(given, ["GPU-0", "GPU-0", "GPU-1"], "the base, and one on each since");
    bench.set("memory 0 536870912");
    let back = running.until(|line| line.contains("GPU GPU-0 has recovered and is used again"));
    assert!(
        back.is_some_and(|line| line.ends_with("; 2 experiments at once from now on")),
        "{:?}",
        running.seen
    );
    let uses = || bench.given().iter().filter(|gpu| *gpu == "GPU-0").count();
    processes::wait_until("a run begins on the GPU that recovered", || uses() > 2);
    fs::write(bench.path("go"), "").unwrap();
    let (code, said) = running.end();
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn a_run_on_a_gpu_that_is_lost_has_crashed_and_the_gpu_is_not_used_again() {
    let script = "if [ -e base -a \"$CUDA_VISIBLE_DEVICES\" = GPU-0 ]; then
            echo 'lost 0 1' >> state
            exec sleep 1000
        fi
        touch base";
    let bench = Bench::new(script);
    let said = run::stdout(&bench.run(&["--budget", "6", "--time-budget", "20s", "--startup", "1s"]));
    assert!(said.contains("quarantined: GPU GPU-0 is lost"), "{said}");
    let experiments = bench.experiments();
    let crashed: Vec<&Value> = experiments.iter().filter(|e| e["outcome"] != "done").collect();
    let [crashed] = &crashed[..] else { panic!("{crashed:?}") };
    assert_eq!(crashed["outcome"], "crashed");
    assert!(crashed["reason"].as_str().unwrap().starts_with("GPU GPU-0 is lost"), "{crashed}");
    assert_eq!(bench.given().iter().filter(|gpu| *gpu == "GPU-0").count(), 2, "{:?}", bench.given());
}

#[test]
fn what_the_driver_cannot_tell_is_not_known_and_nothing_fails() {
    let bench = Bench::without("sleep 0.6", &["NO_ENERGY"]);
    bench.run(&["--budget", "1"]);
    let base = &bench.experiments()[0];
    let (seconds, energy) = (base["seconds"].as_f64().unwrap(), figure(base, "gpu_energy_j").unwrap());
    assert!((seconds - 0.1..seconds + 5.0).contains(&(energy / 200.0)), "by its power, 200 W: {base}");

    let bench = Bench::without("[ -e base ] && exit 3\ntouch base", &["NO_ENERGY", "NO_POWER", "NO_MEMORY"]);
    let said = run::stdout(&bench.run(&["--budget", "3"]));
    assert!(said.contains("gpus      2 x Fake H100; NVIDIA"), "its size is not known either: {said}");
    assert!(!said.contains("quarantined"), "{said}");
    let base = &bench.experiments()[0];
    assert_eq!((figure(base, "gpu_energy_j"), figure(base, "gpu_peak_memory_mb")), (None, None), "{base}");
    assert_eq!(figure(base, "gpu_utilization_percent"), Some(75.0));
}

#[test]
fn a_machine_without_the_library_runs_as_it_ever_did() {
    let mut bench = Bench::new("");
    bench.library = bench.path("gone.so");
    bench.variables.push(("CUDA_VISIBLE_DEVICES".into(), "5".into()));
    let said = run::stdout(&bench.run(&["--budget", "2"]));
    assert!(said.contains("1 experiments at once, no GPU"), "{said}");
    assert!(
        bench.given().iter().all(|given| given == "5"),
        "what the worker was told goes on: {:?}",
        bench.given()
    );
    for experiment in bench.experiments() {
        let class = experiment["device"]["class"].as_str().unwrap();
        assert!(!class.is_empty() && said.contains(class), "the processor: {experiment}");
        assert!(
            experiment["device"].get("ids").is_none() && experiment.get("figures").is_none(),
            "{experiment}"
        );
    }
}

#[test]
fn a_run_may_have_several_gpus_and_never_more_than_there_are() {
    let bench = Bench::new("");
    let said = run::stdout(&bench.run(&["--budget", "2", "--gpus-per-experiment", "2"]));
    assert!(said.contains("1 experiments at once, each on 2 of 2 GPUs"), "{said}");
    assert!(bench.given().iter().all(|given| given == "GPU-0,GPU-1"), "{:?}", bench.given());
    assert_eq!(bench.experiments()[0]["device"]["class"], "2 x Fake H100");

    // How many it has is no part of a study: it may be said where one is run again.
    let printed = bench.command(&["--budget", "2", "--dry-run"]).output().unwrap();
    let study = bench.path("study.toml");
    fs::write(&study, &printed.stdout).unwrap();
    let mut again = run::command(&["run", study.to_str().unwrap(), "--gpus-per-experiment", "3"]);
    let ended = again.env(ar_worker::NVML_LIBRARY, &bench.library).output().unwrap();
    assert!(run::stderr(&ended).contains("needs 3 GPUs"), "{}", run::stderr(&ended));
    let table = run::example("heart-statlog.csv");
    let ended = run::finish(&["run", table.to_str().unwrap(), "--gpus-per-experiment", "1"]);
    assert_eq!(ended.status.code(), Some(2));
    assert!(run::stderr(&ended).contains("--gpus-per-experiment is for training scripts"));

    let bench = Bench::new("");
    let refused = |flags: &[&str], reason: &str| {
        let ended = bench.command(flags).output().unwrap();
        let said = run::stderr(&ended);
        assert_eq!(ended.status.code(), Some(2), "{said}");
        assert!(said.trim_end().lines().count() == 1 && said.contains(reason), "{said}");
        assert!(!bench.path("out").exists(), "nothing is written");
    };
    refused(&["--gpus-per-experiment", "3"], "needs 3 GPUs and 2 can be used here (NVIDIA driver 550.54.14)");
    refused(&["--slots", "3"], "--slots 3 with 1 for each experiment needs 3 GPUs and 2 can be used here");
    let said = run::stdout(&bench.run(&["--budget", "1", "--slots", "3", "--gpus-per-experiment", "0"]));
    assert!(said.contains("3 experiments at once, not pinned to a GPU"), "{said}");
    assert_eq!(bench.given()[0], "", "and none is hidden");
    assert!(bench.experiments()[0].get("device").is_none(), "which one it used is not known");
}

#[test]
fn each_instance_of_a_partitioned_gpu_is_one_of_its_own() {
    let bench = Bench::new("");
    bench.set("mig 1 2");
    let said = run::stdout(&bench.run(&["--budget", "3"]));
    assert!(said.contains("3 experiments at once, each on 1 of 3 GPUs"), "{said}");
    assert!(said.contains("1 x Fake H100 (80.0 GiB), 2 x Fake H100 MIG 1g.10gb (80.0 GiB)"), "{said}");
    let whole = Path::new("GPU-1");
    assert!(bench.given().iter().all(|given| Path::new(given) != whole), "{:?}", bench.given());
}
