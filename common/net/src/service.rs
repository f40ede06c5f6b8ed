//! What the service manager of the system (systemd) is told where it asked: that a program is ready, how it stands, that it lives,
//! that it ends. Elsewhere nothing happens. The protocol is sd_notify(3).

use std::time::Duration;

use sd_notify::NotifyState;

/// How often it is told how a program stands, at most.
const OFTEN: Duration = Duration::from_secs(10);

/// The program does its work now, or waits for its turn as it should.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(&plain(status))]);
}

/// How it stands, one line for `systemctl status`; and that it lives.
pub fn stands(status: &str) {
    tell(&[NotifyState::Watchdog, NotifyState::Status(&plain(status))]);
}

/// It ends, which may take this long.
pub fn stopping(status: &str, within: Duration) {
    let micros = u32::try_from(within.as_micros()).unwrap_or(u32::MAX);
    let status = plain(status);
    tell(&[NotifyState::Stopping, NotifyState::ExtendTimeoutUsec(micros), NotifyState::Status(&status)]);
}

/// How often [`stands`] is to be called: twice in the time after which a silent program is taken for dead, if there is such a time.
pub fn every() -> Duration {
    sd_notify::watchdog_enabled().map_or(OFTEN, |limit| (limit / 2).clamp(Duration::from_millis(10), OFTEN))
}

/// A line of its own is another assignment.
fn plain(status: &str) -> String {
    status.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "cannot tell the service manager");
    }
}
