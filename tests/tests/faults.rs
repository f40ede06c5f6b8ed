//! Experiments that misbehave: each is an outcome with a reason, and nothing else suffers.

use ar_tests::cluster::{Cluster, Model, SECRET};
use ar_tests::{processes, run};

/// What a model that works looks like; the faults are put into its `fit` or beside it.
macro_rules! model {
    ($name:literal, $fault:literal) => {
        Model {
            name: $name,
            code: concat!(
                "import ctypes, os, signal, sys, time\n",
                "from sklearn.naive_bayes import GaussianNB\n\n\n",
                "class Faulty(GaussianNB):\n",
                "    def fit(self, X, y, sample_weight=None):\n",
                "        ",
                $fault,
                "\n",
                "        return super().fit(X, y)\n\n\n",
                "def make(context):\n",
                "    return Faulty()\n",
            ),
        }
    };
}

/// Replaces the metric in the child: the Python side must see that its value cannot be one.
macro_rules! metric {
    ($name:literal, $value:literal) => {
        Model {
            name: $name,
            code: concat!(
                "from dataclasses import replace\n\n",
                "from ar_runner import metrics\n",
                "from sklearn.naive_bayes import GaussianNB\n\n\n",
                "def make(context):\n",
                "    wrong = replace(metrics.METRICS['accuracy'], function=lambda *_: ",
                $value,
                ")\n",
                "    metrics.METRICS['accuracy'] = wrong\n",
                "    return GaussianNB()\n",
            ),
        }
    };
}

/// Replaces the whole evaluation in the child: the worker and the coordinator must see it.
macro_rules! result {
    ($name:literal, $fields:literal) => {
        Model {
            name: $name,
            code: concat!(
                "from ar_runner.child import send\n",
                "from ar_runner.evaluate import Evaluator\n",
                "from sklearn.naive_bayes import GaussianNB\n\n\n",
                "def make(context):\n",
                "    Evaluator.score = lambda *_: 0.5\n",
                "    import ar_runner.child as child\n\n",
                "    def lie(where, frame):\n",
                "        if frame['op'] == 'result':\n",
                "            frame = {'op': 'result', 'seconds': 0.1, ",
                $fields,
                "}\n",
                "        send(where, frame)\n\n",
                "    child.send = lie\n",
                "    return GaussianNB()\n",
            ),
        }
    };
}

const FAULTS: [(Model, &str, &str); 15] = [
    (model!("raises", "raise RuntimeError('no luck')"), "crashed", "no luck"),
    (model!("exits", "os._exit(3)"), "crashed", "exit code 3"),
    (model!("segfaults", "ctypes.string_at(0)"), "crashed", "signal 11"),
    (model!("prints", "[print('x' * 1000) for _ in range(5000)]; os._exit(4)"), "crashed", "exit code 4"),
    (model!("hogs", "hog = [bytearray(64 << 20) for _ in range(64)]"), "out of memory", "MiB"),
    (model!("loops", "exec('while True: pass')"), "timed out", "deadline"),
    (
        model!("ignores", "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(1000)"),
        "timed out",
        "deadline",
    ),
    (metric!("nan", "float('nan')"), "no metric", "nan"),
    (metric!("text", "'excellent'"), "no metric", "excellent"),
    (metric!("too_good", "42.0"), "no metric", "42"),
    (metric!("nothing", "None"), "no metric", "None"),
    (result!("says_nan", "'score': float('nan'), 'folds': [0.5] * 5"), "no metric", "finite"),
    (result!("says_text", "'score': 'excellent', 'folds': [0.5] * 5"), "no metric", "finite"),
    (result!("says_nothing", "'folds': [0.5] * 5"), "no metric", "without a value"),
    (result!("says_too_much", "'score': 42.0, 'folds': [0.5] * 5"), "no metric", "42"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_misbehaviour_is_an_outcome_with_a_reason_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(folder.path()).await;
    let heart = run::example("heart-statlog.csv");
    let models: Vec<Model> =
        FAULTS.iter().map(|(model, _, _)| *model).chain([model!("works", "pass")]).collect();
    let arguments =
        [heart.to_str().unwrap(), "--experiment-limit", "8s", "--experiment-memory", "1GiB", "--rounds", "2"];
    let study = cluster.submit(&arguments, &models).await;
    let worker = cluster.worker("one", 2);
    cluster.finish(&study).await;

    let mut wrong = Vec::new();
    for (model, word, reason) in FAULTS {
        let outcome = cluster.outcome_of(&study, model.name);
        let why = outcome.reason().unwrap_or_default();
        if outcome.word() != word || !why.contains(reason) {
            wrong.push(format!("{}: {} ({why}), not {word} ({reason})", model.name, outcome.word()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for healthy in ["base", "works", "dummy"] {
        assert_eq!(cluster.outcome_of(&study, healthy).word(), "done", "{healthy}");
    }
    worker.leave().await;
    processes::wait_until("no process is left", || processes::of(folder.path()).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_of_the_worker_do_not_reach_an_experiment() {
    let looks = model!(
        "looks",
        "raise RuntimeError(f\"sees {os.environ.get('ANTHROPIC_API_KEY')} {os.environ['PATH'] != ''}\")"
    );
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(folder.path()).await;
    let heart = run::example("heart-statlog.csv");
    let study = cluster.submit(&[heart.to_str().unwrap(), "--rounds", "1"], &[looks]).await;
    let worker = cluster.worker("one", 1);
    cluster.finish(&study).await;
    let environ = std::fs::read_to_string(format!("/proc/{}/environ", worker.pid().unwrap())).unwrap();
    assert!(environ.contains(SECRET), "the worker itself has it");
    let why = cluster.outcome_of(&study, "looks").reason().unwrap_or_default();
    assert!(why.contains("sees None True"), "{why}");
    worker.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_experiment_leaves_running_is_ended_with_it() {
    let stray = model!(
        "strays",
        "os.fork() or (os.setsid(), signal.signal(signal.SIGTERM, signal.SIG_IGN), time.sleep(1000))"
    );
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(folder.path()).await;
    let heart = run::example("heart-statlog.csv");
    let study = cluster.submit(&[heart.to_str().unwrap(), "--rounds", "1"], &[stray]).await;
    let worker = cluster.worker("one", 2);
    cluster.finish(&study).await;
    assert_eq!(cluster.outcome_of(&study, "strays").word(), "done");
    // The worker and its fork server, and no child of an experiment that has ended.
    processes::wait_until("the strays are gone", || processes::of(folder.path()).len() <= 2);
    worker.leave().await;
    processes::wait_until("no process is left", || processes::of(folder.path()).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_option_whose_import_fails_is_left_out_with_the_reason() {
    const BROKEN: Model = Model {
        name: "broken",
        code: "import libgomp_that_is_not_there\n\n\ndef make(context):\n    return None\n",
    };
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(folder.path()).await;
    let heart = run::example("heart-statlog.csv");
    let study =
        cluster.submit(&[heart.to_str().unwrap(), "--rounds", "1"], &[BROKEN, model!("works", "pass")]).await;
    let worker = cluster.worker("one", 2);
    cluster.finish(&study).await;
    let entry = &cluster.state.studies[&study];
    let (slot, option, reason) = entry.removed.first().expect("an option was taken out");
    assert_eq!((slot.as_str(), option.as_str()), ("build_model", "broken"));
    assert!(reason.contains("libgomp_that_is_not_there"), "{reason}");
    assert!(cluster.state.experiments.iter().all(|e| e.config.get("build_model") != Some("broken")));
    assert_eq!(cluster.outcome_of(&study, "works").word(), "done");
    worker.leave().await;
}
