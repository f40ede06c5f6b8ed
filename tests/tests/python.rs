//! The tests of the Python runner, run in the environment that the program makes for itself.

use std::process::Command;

use ar_tests::run;
use ar_worker::environment::{self, Request};

#[tokio::test]
async fn the_python_runner_passes_its_own_tests() {
    let cache = environment::default_cache().expect("there is a cache folder");
    let request = Request { lock: ar_runner::REQUIREMENTS, complete: true, cache: &cache, python: None };
    let environment = environment::ensure(&request, |step| println!("{step}")).await.unwrap();
    let runner = run::root().join("worker/runner");
    let tests = runner.join("tests");
    let status = Command::new(&environment.python)
        .args(["-m", "unittest", "discover", "-v"])
        .arg("-s")
        .arg(&tests)
        .arg("-t")
        .arg(&tests)
        .env("PYTHONPATH", &runner)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .status()
        .unwrap();
    assert!(status.success(), "the tests of the Python runner fail, see above");
}
