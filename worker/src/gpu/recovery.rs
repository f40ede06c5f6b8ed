//! Whether a GPU is whole after a run that was killed or failed there.
//!
//! The memory of a process that is gone is free within moments. Where it is not, a process outlives its kill in the driver,
//! or the driver is broken: what ran there next would find less memory than it should, and its score would be no score.

use std::time::Duration;

use tokio::time::Instant;

use super::reading::{Device, Unread};

/// How long the memory of a process that was killed may take to be free.
const FREE_WITHIN: Duration = Duration::from_secs(10);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(100);
/// Bytes by which others may have come to use more since the run began.
const TOLERANCE: u64 = 64 << 20;
/// How often a quarantined GPU is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Why a GPU is not used any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Broken {
    #[error(transparent)]
    Unread(#[from] Unread),
    #[error(
        "GPU {uuid} still has {used} bytes of memory in use {} s after its run ended; it had {before} when that began",
        FREE_WITHIN.as_secs()
    )]
    MemoryHeld { uuid: String, used: u64, before: u64 },
}

/// Bytes in use; `None` where the driver does not tell.
async fn used(device: &Device) -> Result<Option<u64>, Unread> {
    Ok(device.ask().await?.memory)
}

fn is_back(used: Option<u64>, before: Option<u64>) -> bool {
    match (used, before) {
        (Some(used), Some(before)) => used <= before.saturating_add(TOLERANCE),
        // There is nothing to compare.
        _ => true,
    }
}

/// Until when what a run held has to be free, if it has just ended.
pub(super) fn deadline() -> Instant {
    Instant::now() + FREE_WITHIN
}

/// Waits until a GPU has as much memory free as `before`, bytes in use when the run began; no longer than `until`.
pub(super) async fn wait(device: &Device, before: Option<u64>, until: Instant) -> Result<(), Broken> {
    loop {
        let used = used(device).await?;
        if is_back(used, before) {
            return Ok(());
        }
        if Instant::now() >= until {
            let (used, before) = (used.unwrap_or(0), before.unwrap_or(0));
            return Err(Broken::MemoryHeld { uuid: device.gpu.uuid.clone(), used, before });
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Waits, however long, until a quarantined GPU answers and its memory is back.
pub(super) async fn recovered(device: &Device, before: Option<u64>) {
    loop {
        tokio::time::sleep(LOOK_AGAIN).await;
        match used(device).await {
            Ok(used) if is_back(used, before) => return,
            // A driver that hangs would take a thread more each time.
            Err(Unread::NoAnswer(_)) => return std::future::pending().await,
            _ => {}
        }
    }
}
