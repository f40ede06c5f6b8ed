//! How a coordinator comes to lead: at once over a store of its own, or by election over one that several share.

use std::path::Path;
use std::time::Duration;

use ar_net::{durable, service};
use tokio::sync::watch;

use super::ServeError;
use crate::cli::{EtcdArgs, ServeArgs};
use crate::commands::output::say;
use crate::commands::place::Place;
use crate::election::{Candidate, ElectionSettings, Leader, Leadership};
use crate::etcd::{Etcd, EtcdSettings, EtcdTls};
use crate::journal::{EtcdJournal, Follower, Journal};

/// The file that tells whether coordinators share a folder.
const SHARED: &str = "shared-by";
/// A leader that hears nothing from etcd holds on for so many times the ttl.
const PATIENCE: u32 = 3;

/// A coordinator that leads.
pub(super) struct Elected {
    pub(super) journal: Box<dyn Journal>,
    /// Absent over a store of its own.
    pub(super) leadership: Option<Leadership>,
}

/// Waits until this coordinator leads. `leader` tells meanwhile who does.
pub(super) async fn begin(
    args: &ServeArgs,
    place: &Place,
    url: String,
    leader: watch::Sender<Option<Leader>>,
) -> Result<Elected, ServeError> {
    if args.etcd.endpoints.is_empty() {
        let journal = place.journal()?;
        let journal = match args.snapshot_every {
            Some(records) => journal.with_snapshot_every(records),
            None => journal,
        };
        return Ok(Elected { journal: Box::new(journal), leadership: None });
    }
    let mut etcd = Etcd::connect(settings(&args.etcd)?).await?;
    let name = name_of(&place.folder())?;
    if etcd.folder(&name).await? != name {
        return Err(ServeError::NotShared { cluster: args.etcd.cluster.clone(), out: args.out.clone() });
    }
    let ttl = args.leader_ttl.max(Duration::from_secs(2));
    let mut candidate = Candidate::new(&etcd, ElectionSettings { url, ttl, patience: ttl * PATIENCE });
    let mut seen = candidate.leader();
    let telling = tokio::spawn(async move {
        loop {
            let now = seen.borrow_and_update().clone();
            if let Some(now) = &now {
                tracing::info!(url = now.url, epoch = now.epoch.0, "another coordinator leads");
            }
            leader.send_replace(now);
            if seen.changed().await.is_err() {
                return;
            }
        }
    });
    say("standing  by for the election");
    let snapshots = place.snapshots(&args.etcd.cluster, args.snapshot_every);
    let mut follower = Follower::new(&etcd, &snapshots);
    service::ready("stands by for the election");
    let elected = candidate.stand_by(&mut follower).await;
    telling.abort();
    let leadership = elected?;
    tracing::info!(epoch = leadership.epoch().0, "elected");
    let journal = EtcdJournal::open(&etcd, &leadership, &snapshots, Some(follower)).await?;
    Ok(Elected { journal: Box::new(journal), leadership: Some(leadership) })
}

/// Waits until it leads no more; for ever over a store of its own.
pub(super) async fn lost(leadership: Option<&Leadership>) -> String {
    match leadership {
        Some(leadership) => leadership.lost().await,
        None => std::future::pending().await,
    }
}

pub(in crate::commands) fn settings(args: &EtcdArgs) -> Result<EtcdSettings, ServeError> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|source| ServeError::File { path: path.to_owned(), source })
    };
    let identity = match (&args.cert, &args.key) {
        (Some(certificate), Some(key)) => Some((read(certificate)?, read(key)?)),
        _ => None,
    };
    let tls = match &args.ca {
        Some(ca) => Some(EtcdTls { ca: read(ca)?, identity }),
        None => None,
    };
    Ok(EtcdSettings { endpoints: args.endpoints.clone(), cluster: args.cluster.clone(), tls, user: None })
}

/// The name of a shared folder, drawn by whoever is there first.
pub(in crate::commands) fn name_of(folder: &Path) -> Result<String, ServeError> {
    let path = folder.join(SHARED);
    let failed = |source| ServeError::File { path: path.clone(), source };
    match std::fs::read_to_string(&path) {
        Ok(name) => Ok(name.trim().to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let name = format!("{:032x}", rand::random::<u128>());
            // Of two that come at once both read what one of them wrote: a name that etcd knows must not change any more.
            durable::write_new(&path, name.as_bytes()).map_err(failed)?;
            std::fs::read_to_string(&path).map(|name| name.trim().to_owned()).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}
