//! What the service manager hears of a coordinator (`ar_net::service`).

use std::time::Duration;

use ar_core::{Live, State};
use ar_net::service;

use crate::actor::{Ended, Handle};

/// How long a coordinator may take to end: its last batch, its results, its connections.
const END: Duration = Duration::from_secs(60);

/// Tells how a coordinator stands that leads, until it ends. One that answers nothing any more is silent here, too.
pub(super) async fn of_leader(handle: &Handle) -> Result<(), Ended> {
    let mut ready = false;
    let mut each = tokio::time::interval(service::every());
    loop {
        each.tick().await;
        let text = handle.ask(text).await?;
        if !ready {
            service::ready(&text);
            ready = true;
        }
        service::stands(&text);
    }
}

/// Tells that a coordinator waits for its turn, until it need not any more.
pub(super) async fn of_standby(text: &str) -> std::convert::Infallible {
    let mut each = tokio::time::interval(service::every());
    loop {
        each.tick().await;
        service::stands(text);
    }
}

/// Tells that it ends.
pub(super) fn ending() {
    service::stopping("ends", END);
}

fn text(state: &State, live: &Live) -> String {
    let open = state.studies.values().filter(|study| !study.is_finished()).count();
    let queued: usize = live.queues.values().map(std::collections::VecDeque::len).sum();
    format!(
        "leads, epoch {}; workers {}, open studies {open}, leases {}, queue {queued}",
        state.epoch.0,
        live.workers.len(),
        live.leases.len(),
    )
}
