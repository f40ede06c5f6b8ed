//! What a run went through.

/// What a run went through.
#[derive(Debug, Default)]
pub(crate) struct Met {
    pub(crate) runs: u32,
    pub(crate) offers: u32,
    pub(crate) twins: u32,
    pub(crate) races: u32,
    pub(crate) timeouts: u32,
    pub(crate) losses: u32,
    pub(crate) released: u32,
    pub(crate) cancelled: u32,
    pub(crate) refused_epochs: u32,
    pub(crate) deaths: u32,
    pub(crate) without_room: u32,
    pub(crate) waits: u32,
    pub(crate) drains: u32,
}

impl Met {
    pub(crate) fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.offers += other.offers;
        self.twins += other.twins;
        self.races += other.races;
        self.timeouts += other.timeouts;
        self.losses += other.losses;
        self.released += other.released;
        self.cancelled += other.cancelled;
        self.refused_epochs += other.refused_epochs;
        self.deaths += other.deaths;
        self.without_room += other.without_room;
        self.waits += other.waits;
        self.drains += other.drains;
    }
}
