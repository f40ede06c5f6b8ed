//! The clock of one process: it begins when the process does, and it may jump ahead of the world's.

/// A monotonic clock. It never goes back, as a machine's does not; one that was asleep, or whose host was, is ahead
/// by more than those around it have seen pass.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    /// When it read zero, milliseconds of the world.
    began: u64,
    /// How far it has jumped.
    ahead: u64,
}

impl Clock {
    /// The clock of a process that starts now.
    pub(crate) fn new(now: u64) -> Self {
        Self { began: now, ahead: 0 }
    }

    /// What it shows.
    pub(crate) fn read(&self, now: u64) -> u64 {
        now - self.began + self.ahead
    }

    /// When it shows `reading`; now, if it has.
    pub(crate) fn when(&self, reading: u64, now: u64) -> u64 {
        (reading + self.began).saturating_sub(self.ahead).max(now)
    }

    /// It jumps.
    pub(crate) fn jump(&mut self, ms: u64) {
        self.ahead += ms;
    }
}
