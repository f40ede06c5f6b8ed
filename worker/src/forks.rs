//! The fork server of a table's study, started anew when it has died.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::server::{ForkServer, ServerError};

/// Where attempts of one study get their fork server.
#[derive(Debug)]
pub(crate) struct Forks {
    python: PathBuf,
    folder: PathBuf,
    server: Mutex<Arc<ForkServer>>,
}

impl Forks {
    /// With a server that has just started.
    pub(crate) fn new(python: PathBuf, folder: PathBuf, server: ForkServer) -> Self {
        Self { python, folder, server: Mutex::new(Arc::new(server)) }
    }

    /// The fork server, a fresh one if the last has died.
    pub(crate) async fn server(&self) -> Result<Arc<ForkServer>, ServerError> {
        let mut server = self.server.lock().await;
        if !server.is_alive() {
            tracing::warn!("the fork server has died; starting another");
            *server = Arc::new(ForkServer::start(&self.python, &self.folder).await?);
        }
        Ok(Arc::clone(&server))
    }
}
