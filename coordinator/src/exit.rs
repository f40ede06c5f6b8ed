//! Exit codes, each with its meaning; part of the interface.

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// It did what was asked.
    Done = 0,
    /// The study ended and no experiment has a score.
    NothingSucceeded = 1,
    /// The input cannot be used: data, flags, environment, folder. Nothing was written over.
    BadInput = 2,
    /// The store is in use by another process, damaged, or cannot be written to (a full disk).
    Store = 3,
    /// Another coordinator leads now; started again, this one stands by.
    Deposed = 69,
    /// Something of ours failed.
    Internal = 70,
    /// Interrupted (Ctrl-C or SIGTERM); the same command goes on where it stopped.
    Interrupted = 130,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The text for `--help`.
pub const HELP: &str = "\
Exit codes:
  0    done
  1    no experiment succeeded
  2    bad input: data, flags, Python environment or folder; nothing was written over
  3    the store is in use by another run, damaged, or on a full disk; free it and run the same command again
  69   another coordinator leads now; started again, this one stands by
  70   an internal error
  130  interrupted; run the same command again to go on";
