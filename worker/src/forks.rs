//! The fork server of a table's study, for as long as the study runs something: it holds the imports and the data in memory, and a
//! worker that serves for weeks sees many studies.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::server::{ForkServer, ServerError};

/// Where attempts of one study get their fork server.
#[derive(Debug)]
pub(crate) struct Forks {
    python: PathBuf,
    folder: PathBuf,
    warm: Arc<Mutex<Warm>>,
}

#[derive(Debug)]
struct Warm {
    /// Started anew when it has died, or was let go.
    server: Option<Arc<ForkServer>>,
    /// When it was last seen in use.
    used: Instant,
}

impl Forks {
    /// With a server that has just started; it is let go once no attempt has used it for so long.
    pub(crate) fn new(python: PathBuf, folder: PathBuf, server: ForkServer, longest: Duration) -> Self {
        let warm = Warm { server: Some(Arc::new(server)), used: Instant::now() };
        let warm = Arc::new(Mutex::new(warm));
        let seen = Arc::downgrade(&warm);
        let look = (longest / 4).max(Duration::from_millis(100));
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(look).await;
                // It ends with its study.
                let Some(warm) = seen.upgrade() else { return };
                warm.lock().await.rest(longest);
            }
        });
        Self { python, folder, warm }
    }

    /// The fork server, a fresh one if the last has died or was let go.
    pub(crate) async fn server(&self) -> Result<Arc<ForkServer>, ServerError> {
        let mut warm = self.warm.lock().await;
        warm.used = Instant::now();
        if let Some(server) = warm.server.as_ref().filter(|server| server.is_alive()) {
            return Ok(Arc::clone(server));
        }
        if warm.server.take().is_some() {
            tracing::warn!("the fork server has died; starting another");
        }
        let server = Arc::new(ForkServer::start(&self.python, &self.folder).await?);
        warm.server = Some(Arc::clone(&server));
        warm.used = Instant::now();
        Ok(server)
    }
}

impl Warm {
    /// Lets the server go if nobody has used it for so long.
    fn rest(&mut self, longest: Duration) {
        let Some(server) = &self.server else { return };
        if Arc::strong_count(server) > 1 {
            self.used = Instant::now();
        } else if self.used.elapsed() >= longest {
            tracing::info!("a fork server has had nothing to do for {longest:?}, and is let go");
            self.server = None;
        }
    }
}
