//! The Python environment of a study: made once per hash of its pinned requirements and kept in the
//! user's cache folder, or the user's own interpreter.
//!
//! ```text
//! CACHE/environments/KEY/          the environment; it counts only when `complete` is in it
//! CACHE/environments/KEY.lock      held while it is made, so that two workers make it once
//! CACHE/environments/KEY.log       what the installer said
//! ```

mod install;
mod interpreter;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use install::Installer;

/// Oldest Python that the runner works with.
const OLDEST: (u32, u32) = (3, 10);
/// First Python for which the pinned packages have no wheels.
const TOO_NEW: (u32, u32) = (3, 15);
/// What an interpreter of the user's own must bring; boosters may be missing and are then left out.
const NEEDED: [&str; 6] = ["numpy", "scipy", "pandas", "sklearn", "joblib", "msgpack"];
/// Its presence says that an environment was made to its end.
const COMPLETE: &str = "complete";

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The requirements, as pip reads them.
    pub lock: &'a str,
    /// Whether they name everything that is needed, each with its version; if not, what they depend on is installed, too.
    pub complete: bool,
    /// The folder where environments are kept.
    pub cache: &'a Path,
    /// The user's own interpreter, into which nothing is installed.
    pub python: Option<&'a Path>,
}

/// An environment that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// Its interpreter.
    pub python: PathBuf,
    /// The version of that, e.g. `3.11.9`.
    pub version: String,
}

/// Why there is none; each text says how to mend that.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// No interpreter was found.
    #[error(
        "no Python was found; install Python 3.10 or newer (Debian and Ubuntu: `apt install python3-venv`), or uv, or name one with --python PATH"
    )]
    NoPython,
    /// Those that were found are too old or too new.
    #[error(
        "{found}, and Python 3.10 to 3.14 is needed; install one (Debian and Ubuntu: `apt install python3.11-venv`; or uv, which brings its own), or name one with --python PATH"
    )]
    Unsuitable {
        /// What was found.
        found: String,
    },
    /// The interpreter that was named does not run.
    #[error("{python} does not run as Python ({why}); name another with --python PATH")]
    NotPython {
        /// Which.
        python: PathBuf,
        /// What happened.
        why: String,
    },
    /// The interpreter that was named lacks packages.
    #[error(
        "{python} lacks {missing}; run `{python} -m pip install {packages}`, or leave --python out to have an environment made"
    )]
    Lacks {
        /// Which.
        python: PathBuf,
        /// The modules it cannot import, with the reasons.
        missing: String,
        /// The packages that bring them.
        packages: String,
    },
    /// `python -m venv` does not work.
    #[error(
        "{python} cannot make a virtual environment ({why}); on Debian and Ubuntu `apt install python{version}-venv` mends that"
    )]
    NoVenv {
        /// Which interpreter.
        python: PathBuf,
        /// Its version, `3.11`.
        version: String,
        /// What it said.
        why: String,
    },
    /// The packages could not be installed.
    #[error(
        "cannot install the Python packages ({why}); see {log}, check the network or the proxy, and run the same command again, or name a Python that has them with --python PATH"
    )]
    Install {
        /// What the installer said last.
        why: String,
        /// All it said.
        log: PathBuf,
    },
    /// The cache folder.
    #[error("cannot write {path} ({source}); free it, or set XDG_CACHE_HOME to a folder that can be written")]
    Cache {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The cache folder of this user: `$XDG_CACHE_HOME/autoresearch`, or what the platform has for that.
/// `None` where there is no home.
pub fn default_cache() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let below_home = if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" };
    let cache = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(below_home)))?;
    Some(cache.join("autoresearch"))
}

/// The environment asked for, made if it is not there. `progress` gets one line per step.
///
/// # Errors
/// When it cannot be made; the error says how to mend that.
pub async fn ensure(
    request: &Request<'_>,
    progress: impl Fn(String) + Send + Sync,
) -> Result<Environment, EnvironmentError> {
    if let Some(python) = request.python {
        return own(python).await;
    }
    let installer = Installer::find().await?;
    let form = if request.complete { "1" } else { "1, with dependencies" };
    let key = blake3::hash(format!("{form}\n{}\n{}", installer.describe(), request.lock).as_bytes()).to_hex();
    let home = request.cache.join("environments");
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| EnvironmentError::Cache { path, source }
    };
    fs::create_dir_all(&home).map_err(failed(&home))?;
    let folder = home.join(&key[..16]);
    let _held = lock(folder.with_extension("lock"), &progress).await?;
    let python = folder.join("bin").join("python");
    if folder.join(COMPLETE).is_file()
        && let Ok(version) = interpreter::version(&python).await
    {
        return Ok(Environment { python, version: version.text });
    }
    // What an interrupted installation left, or one whose base interpreter has gone.
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&folder)(error)),
        _ => {}
    }
    installer.make(&folder, request, &progress).await?;
    let version = interpreter::version(&python)
        .await
        .map_err(|why| EnvironmentError::NotPython { python: python.clone(), why })?;
    let marker = folder.join(COMPLETE);
    File::create(&marker).and_then(|file| file.sync_all()).map_err(failed(&marker))?;
    Ok(Environment { python, version: version.text })
}

/// The user's own interpreter, checked before anything rests on it.
async fn own(python: &Path) -> Result<Environment, EnvironmentError> {
    let not_python = |why| EnvironmentError::NotPython { python: python.to_owned(), why };
    let version = interpreter::version(python).await.map_err(not_python)?;
    if !version.suits() {
        let found = format!("{} is Python {}", python.display(), version.text);
        return Err(EnvironmentError::Unsuitable { found });
    }
    let missing = interpreter::missing(python, &NEEDED).await.map_err(not_python)?;
    if missing.is_empty() {
        return Ok(Environment { python: python.to_owned(), version: version.text });
    }
    let package = |module: &str| {
        if module == "sklearn" { "scikit-learn".to_owned() } else { module.to_owned() }
    };
    Err(EnvironmentError::Lacks {
        python: python.to_owned(),
        missing: missing
            .iter()
            .map(|(module, why)| format!("{module} ({why})"))
            .collect::<Vec<_>>()
            .join(", "),
        packages: missing.iter().map(|(module, _)| package(module)).collect::<Vec<_>>().join(" "),
    })
}

/// Waits for the lock on an environment; it falls with the process that holds it.
async fn lock(
    path: PathBuf,
    progress: &(impl Fn(String) + Send + Sync),
) -> Result<Flock<File>, EnvironmentError> {
    let failed = |source| EnvironmentError::Cache { path: path.clone(), source };
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(held) => return Ok(held),
        Err((file, _)) => file,
    };
    progress("waiting for another process that makes the Python environment".to_owned());
    let waited =
        tokio::task::spawn_blocking(move || Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, e)| e));
    match waited.await {
        Ok(held) => held.map_err(|error| failed(error.into())),
        Err(error) => Err(failed(io::Error::other(error))),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    async fn own_error(python: &Path) -> String {
        let folder = tempfile::tempdir().unwrap();
        let request = Request { lock: "", complete: true, cache: folder.path(), python: Some(python) };
        ensure(&request, |_| {}).await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn a_python_that_is_none_is_told_so() {
        let folder = tempfile::tempdir().unwrap();
        let absent = own_error(&folder.path().join("no-python")).await;
        assert!(absent.contains("does not run as Python") && absent.contains("--python PATH"), "{absent}");
        let other = own_error(&script(folder.path(), "other", "echo hello")).await;
        assert!(other.contains("does not run as Python"), "{other}");
    }

    #[tokio::test]
    async fn too_old_a_python_is_told_the_versions_that_do() {
        let folder = tempfile::tempdir().unwrap();
        let old = own_error(&script(folder.path(), "old", "echo 3 8 3.8.10")).await;
        assert!(old.contains("3.8.10") && old.contains("3.10 to 3.14"), "{old}");
    }

    #[tokio::test]
    async fn what_an_own_python_lacks_comes_with_the_command_that_mends_it() {
        let folder = tempfile::tempdir().unwrap();
        let script = script(
            folder.path(),
            "bare",
            "case \"$*\" in *version_info*) echo 3 11 3.11.9;; *) echo \"sklearn: No module named 'sklearn'\";; esac",
        );
        let lacks = own_error(&script).await;
        assert!(lacks.contains("-m pip install scikit-learn"), "{lacks}");
    }
}
