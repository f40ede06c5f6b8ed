//! Python environments of the tests, made on first use in the cache folder of the user, as the program makes its own.

use std::path::PathBuf;

use ar_worker::environment::{self, Request};

/// A server of S3 that keeps all in memory.
const S3: &str = "moto[s3]==5.2.5\nflask==3.1.3\nflask-cors==6.0.5\n";

/// The interpreter of the environment in which tabular studies run.
pub fn of_studies() -> PathBuf {
    ensure(ar_runner::REQUIREMENTS, true)
}

/// An interpreter that has a server of S3 (`-m moto.server`) and a client of it (`boto3`).
pub fn with_s3() -> PathBuf {
    ensure(S3, false)
}

/// The interpreter of an environment with these requirements, which are `complete` where they name all that they need themselves.
///
/// # Panics
/// When it cannot be made.
pub fn ensure(lock: &str, complete: bool) -> PathBuf {
    let cache = environment::default_cache().expect("there is a cache folder");
    let request = Request { lock, complete, cache: &cache, python: None };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let made = runtime.block_on(environment::ensure(&request, |_| {}));
    made.unwrap_or_else(|error| panic!("{error}")).python
}
