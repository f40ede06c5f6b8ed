//! What a run went through.

macro_rules! met {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Counts of what happened.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub(crate) struct Met {
            $($(#[$doc])* pub(crate) $name: u32,)*
        }

        impl Met {
            pub(crate) fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }

            pub(crate) fn counts(&self) -> Vec<(&'static str, u32)> {
                vec![$((stringify!($name), self.$name),)*]
            }
        }
    };
}

met! {
    /// Coordinators that ruled.
    reigns,
    /// Batches that died with their coordinator.
    batches_lost,
    /// Batches that became durable while what they were to do was lost.
    batches_without_effects,
    /// Batches of a deposed coordinator, refused by the journal.
    batches_fenced,
    /// Leases that ended without a result.
    requeued,
    /// Those that no heartbeat listed.
    lapsed,
    /// Those that their worker came back without.
    forgotten,
    /// Those that were given back.
    released,
    /// Those whose process ran.
    lost_running,
    /// Experiments that ended so.
    quarantined,
    /// Results under a lease that had lapsed.
    late,
    /// Results that were refused.
    refused,
    /// Results that were acknowledged a second time.
    repeats,
    /// Experiments that ended by a call.
    cancelled,
    /// Experiments that ended as another's twin.
    duplicates,
    /// Experiments that lost their race.
    raced_out,
    /// Experiments that ran into their deadline.
    timed_out,
    /// Studies that were extended.
    extended,
    /// Frames of a deposed coordinator that a worker refused.
    epochs_refused,
    /// Results that were on a disk when their worker died.
    spooled_over_a_death,
    /// Workers that left in good order.
    exits,
    /// Sessions that were closed by the coordinator.
    closed,
    /// Those that their worker was on: an older Hello came after a newer one.
    closed_alive,
    /// Runs that were called off on their worker.
    called_off,
    /// Environments that could not be made.
    not_ready,
}
