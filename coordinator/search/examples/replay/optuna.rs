//! Optuna's TPE in a Python process of its own.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;

use ar_common::{Config, Space};
use serde_json::{Value, json};

use crate::strategies::Strategy;
use crate::table::mean;

const DRIVER: &str = include_str!("optuna_driver.py");
/// The version that is compared with.
const REQUIREMENT: &str = "optuna==5.0.0";

/// A running driver.
pub struct Driver {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    pub version: String,
}

impl Driver {
    fn start(python: &Path) -> Result<Self, String> {
        let mut child = Command::new(python)
            .args(["-c", DRIVER])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{}: {error}", python.display()))?;
        let input = child.stdin.take().ok_or("no pipe to the driver")?;
        let output = BufReader::new(child.stdout.take().ok_or("no pipe from the driver")?);
        let mut driver = Self { child, input, output, version: String::new() };
        let hello = driver.read().map_err(|_| format!("{} cannot import optuna", python.display()))?;
        driver.version = hello["version"].as_str().unwrap_or_default().to_owned();
        Ok(driver)
    }

    fn read(&mut self) -> Result<Value, String> {
        let mut line = String::new();
        self.output.read_line(&mut line).map_err(|error| error.to_string())?;
        serde_json::from_str(&line).map_err(|_| "the driver of Optuna ended".to_owned())
    }

    fn call(&mut self, request: &Value) -> Result<Value, String> {
        writeln!(self.input, "{request}").map_err(|error| error.to_string())?;
        self.read()
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Drivers that are free.
pub struct Drivers {
    python: PathBuf,
    free: Mutex<Vec<Driver>>,
}

impl Drivers {
    /// With the Python at `python`, or with one that has Optuna installed by pip under the build folder.
    pub fn new(python: Option<PathBuf>) -> Result<Self, String> {
        let python = match python {
            Some(python) => python,
            None => installed()?,
        };
        let driver = Driver::start(&python)?;
        eprintln!("optuna {}", driver.version);
        Ok(Self { python, free: Mutex::new(vec![driver]) })
    }

    /// A study on a driver of its own.
    pub fn study(&self, space: &Space, seed: u64, parallel: bool) -> Result<Optuna<'_>, String> {
        let free = self.free.lock().map_err(|error| error.to_string())?.pop();
        let mut driver = match free {
            Some(driver) => driver,
            None => Driver::start(&self.python)?,
        };
        let slots: serde_json::Map<String, Value> = space
            .dimensions
            .iter()
            .map(|d| (d.name.clone(), d.options.iter().map(|o| o.name.as_str()).collect()))
            .collect();
        driver.call(&json!({"slots": slots, "seed": seed, "parallel": parallel}))?;
        Ok(Optuna { home: self, driver: Some(driver), asked: 0, pending: VecDeque::new() })
    }
}

/// A virtual environment with Optuna; made if it is not there.
fn installed() -> Result<PathBuf, String> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), PathBuf::from);
    let folder = target.join("replay-optuna");
    let python = folder.join("bin/python");
    if Driver::start(&python).is_ok() {
        return Ok(python);
    }
    eprintln!("installing {REQUIREMENT} into {}", folder.display());
    let run = |program: &Path, arguments: &[&std::ffi::OsStr]| {
        let output = Command::new(program).args(arguments).output().map_err(|error| error.to_string())?;
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        }
    };
    run(Path::new("python3"), &["-m".as_ref(), "venv".as_ref(), folder.as_os_str()])?;
    run(&python, &["-m", "pip", "install", "--quiet", REQUIREMENT].map(|a| a.as_ref()))?;
    Ok(python)
}

/// One study of Optuna.
pub struct Optuna<'d> {
    home: &'d Drivers,
    driver: Option<Driver>,
    asked: u64,
    pending: VecDeque<(u64, Config)>,
}

impl Optuna<'_> {
    fn driver(&mut self) -> Result<&mut Driver, String> {
        self.driver.as_mut().ok_or_else(|| "the driver of Optuna ended".to_owned())
    }
}

impl Strategy for Optuna<'_> {
    fn ask(&mut self) -> Result<Option<Config>, String> {
        let answer = self.driver()?.call(&json!({"ask": true}))?;
        let chosen = answer["config"].as_object().ok_or("the driver of Optuna gave no configuration")?;
        let config: Config = chosen
            .iter()
            .map(|(slot, o)| (slot.clone(), o.as_str().unwrap_or_default().to_owned()))
            .collect();
        self.pending.push_back((self.asked, config.clone()));
        self.asked += 1;
        Ok(Some(config))
    }

    fn tell(&mut self, config: &Config, folds: Option<&[f64]>) -> Result<(), String> {
        let at = self.pending.iter().position(|(_, pending)| pending == config);
        let (number, _) =
            at.and_then(|at| self.pending.remove(at)).ok_or("a result that was not asked for")?;
        self.driver()?.call(&json!({"tell": number, "value": folds.map(mean)})).map(|_| ())
    }
}

impl Drop for Optuna<'_> {
    fn drop(&mut self) {
        if let (Some(driver), Ok(mut free)) = (self.driver.take(), self.home.free.lock()) {
            free.push(driver);
        }
    }
}
