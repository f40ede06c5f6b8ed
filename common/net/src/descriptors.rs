//! Files and connections that a process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to the hard one: a coordinator holds a connection for each worker, and 1,024 is what a shell gives.
/// Returns the limit in force, if there is one.
pub fn raise_limit() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        // It is as it was; who needs more is told so when it runs out.
        Err(_) => current,
    }
}
