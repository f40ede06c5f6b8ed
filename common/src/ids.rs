//! Names and numbers that identify things. Newtypes, so that one is never taken for another.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }
    };
}

number!(
    /// An experiment, numbered from 1 over the whole life of a store.
    ExperimentId(u64)
);
number!(
    /// Which execution of an experiment this is, from 1.
    Attempt(u32)
);
number!(
    /// A position in the journal, from 1; 0 is "before the first record".
    Seq(u64)
);
number!(
    /// The reign of one coordinator; rises with every start.
    Epoch(u64)
);
name!(
    /// A study's identity: the hash of everything that decides its results, as 64 hexadecimal digits. Its copies share the text,
    /// as every experiment has one.
    StudyId(std::sync::Arc<str>)
);
name!(
    /// A worker's stable name, chosen by the worker.
    WorkerId(String)
);

impl StudyId {
    /// The first 8 digits, for showing and for folder names.
    pub fn short(&self) -> &str {
        self.0.get(..8).unwrap_or(&self.0)
    }
}

impl Seq {
    /// The position after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl Attempt {
    /// The attempt after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The fencing token of a lease: the journal position of its grant, and the incarnation of the
/// store that granted it. A later grant of the same experiment always compares greater, and a
/// token from before a backup was restored never equals one from after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct LeaseSeq {
    /// Random number drawn when the store was made, restored or migrated.
    pub incarnation: u64,
    /// Journal position of the grant.
    pub seq: Seq,
}

impl fmt::Display for LeaseSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{:08x}", self.seq, self.incarnation & 0xffff_ffff)
    }
}
