//! Why an experiment was chosen.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why an experiment was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Mode {
    /// To see a part of the space that nothing has touched: the base, coverage.
    Explore,
    /// To look further within the families that do well.
    Exploit,
    /// To put together options that did well apart.
    Combine,
    /// To look right around the best, or to measure it again.
    Narrow,
}

impl Mode {
    /// All four, in the order in which they are reported.
    pub const ALL: [Self; 4] = [Self::Explore, Self::Exploit, Self::Combine, Self::Narrow];

    /// The name as shown and journaled.
    pub fn name(self) -> &'static str {
        match self {
            Self::Explore => "EXPLORE",
            Self::Exploit => "EXPLOIT",
            Self::Combine => "COMBINE",
            Self::Narrow => "NARROW",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
