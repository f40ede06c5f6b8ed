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
    /// Those that were cut short on a disk as the power failed.
    torn_batches,
    /// Coordinators' machines that lost what was not synced.
    power_cuts,
    /// Journals that had lost what was acknowledged, and were refused.
    losses_noticed,
    /// Coordinators that took the leader key.
    elections,
    /// Leaders that learnt when they kept their key alive that it was gone.
    found_deposed,
    /// Leaders that heard nothing for so long that they gave up.
    gave_up,
    /// Requests that did not reach the shared store because of a partition, or whose answer did not come back.
    store_cut_off,
    /// Requests that the network lost.
    requests_lost,
    /// Requests that arrived long after they had been sent again.
    requests_held,
    /// Requests that arrived twice.
    requests_twice,
    /// Answers that the network lost.
    answers_lost,
    /// Answers that came when nobody waited any more.
    answers_late,
    /// Requests that were sent again as they were.
    asked_again,
    /// Those that had been committed before, as the journal's head said.
    known_by_batch,
    /// Snapshots of the journal that were taken.
    snapshots,
    /// Plans that were made again at the end.
    plans_again,
    /// Times that a worker could not connect because it was cut off.
    cut_off,
    /// Frames that were lost.
    dropped,
    /// Frames that came twice.
    duplicated,
    /// Frames that took long.
    slowed,
    /// Connections whose last frames came after they had broken.
    delayed,
    /// Frames that came after what was said later, on another connection.
    reordered,
    /// Events that waited for a paused coordinator.
    head_slept,
    /// Events that waited for a paused worker.
    machine_slept,
    /// Coordinators that woke when another one led.
    woke_deposed,
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
    /// Results that were not durable when their worker died.
    spool_lost,
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
