//! Who leads: the coordinator that holds the leader key, by a lease of etcd. The key's create_revision is
//! the epoch, its value the address at which workers and commands find the leader.

use std::time::Duration;

use ar_common::Epoch;
use etcd_client::{
    Client, Compare, CompareOp, Error, KeyValue, PutOptions, Txn, TxnOp, TxnOpResponse, WatchOptions,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::etcd::{self, Etcd, EtcdError};
use crate::journal::{Follower, JournalError};

/// How an election goes.
#[derive(Debug, Clone)]
pub struct ElectionSettings {
    /// Where this coordinator is found once it leads.
    pub url: String,
    /// How long after a leader's death the next one is elected. Whole seconds, at least 2: etcd
    /// counts in seconds.
    pub ttl: Duration,
    /// How long a leader that hears nothing from etcd holds on. Not less than `ttl`. It writes
    /// nothing meanwhile: the fences see to that; but its workers would do better with another.
    pub patience: Duration,
}

impl ElectionSettings {
    /// The usual: 5 seconds, and 15 of patience.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), ttl: Duration::from_secs(5), patience: Duration::from_secs(15) }
    }
}

/// The leader, as a standby sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    /// Where it is.
    pub url: String,
    /// Its epoch.
    pub epoch: Epoch,
}

/// A coordinator that wants to lead.
#[derive(Debug)]
pub struct Candidate {
    etcd: Etcd,
    settings: ElectionSettings,
    leader: watch::Sender<Option<Leader>>,
}

impl Candidate {
    /// One that does not try yet.
    pub fn new(etcd: &Etcd, settings: ElectionSettings) -> Self {
        Self { etcd: etcd.clone(), settings, leader: watch::Sender::new(None) }
    }

    /// Who leads, as far as is known, for answering `NotLeader`; kept up to date while it campaigns.
    pub fn leader(&self) -> watch::Receiver<Option<Leader>> {
        self.leader.subscribe()
    }

    /// Waits until elected, and keeps `follower` up to date meanwhile: hand it to
    /// [`EtcdJournal::open`](crate::journal::EtcdJournal::open).
    ///
    /// # Errors
    /// When etcd refuses, or the journal cannot be read.
    pub async fn stand_by(&mut self, follower: &mut Follower) -> Result<Leadership, JournalError> {
        tokio::select! {
            elected = self.campaign() => Ok(elected?),
            failed = follower.follow() => match failed {
                Err(error) => Err(error),
            },
        }
    }

    /// Waits until elected.
    ///
    /// # Errors
    /// When etcd refuses; one that does not answer is waited for.
    pub async fn campaign(&mut self) -> Result<Leadership, EtcdError> {
        loop {
            let answer = self.etcd.get(self.etcd.keys.leader(), None).await?;
            if let Some(key) = answer.kvs().first() {
                self.see(key);
                let revision = answer.header().map_or(0, etcd_client::ResponseHeader::revision);
                // Whatever ends the wait, the key is looked at next.
                let _ = timeout(self.settings.ttl, self.gone(revision + 1)).await;
                continue;
            }
            match self.try_now().await {
                Ok(Some(leadership)) => return Ok(leadership),
                Ok(None) => {}
                // The lease ran out before it was used.
                Err(error) if error.is_gone() => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn see(&self, key: &KeyValue) {
        let url = String::from_utf8_lossy(key.value()).into_owned();
        let leader = Some(Leader { url, epoch: epoch(key.create_revision()) });
        self.leader.send_if_modified(|seen| {
            let news = *seen != leader;
            *seen = leader;
            news
        });
    }

    /// Takes the key, if nobody has it.
    async fn try_now(&mut self) -> Result<Option<Leadership>, EtcdError> {
        let ttl = i64::try_from(self.settings.ttl.as_secs().max(2)).unwrap_or(i64::MAX);
        let asked = Instant::now();
        let grant = |mut client: Client| async move { client.lease_grant(ttl, None).await };
        let lease = self.etcd.ask("grant a lease", grant).await?.id();
        let key = self.etcd.keys.leader();
        let put = PutOptions::new().with_lease(lease);
        let txn = Txn::new()
            .when([Compare::version(key.clone(), CompareOp::Equal, 0)])
            .and_then([TxnOp::put(key.clone(), self.settings.url.clone(), Some(put))])
            .or_else([TxnOp::get(key, None)]);
        let take = |client: Client| {
            let txn = txn.clone();
            async move { etcd::kv(&client).txn(txn).await }
        };
        let answer = self.etcd.ask("elect a leader", take).await?;
        let mut revision = answer.header().map_or(0, etcd_client::ResponseHeader::revision);
        if !answer.succeeded() {
            let Some(TxnOpResponse::Get(there)) = answer.op_responses().into_iter().next() else {
                return Ok(None);
            };
            // An earlier try whose answer was lost left this lease's own key.
            match there.kvs().first() {
                Some(key) if key.lease() == lease => revision = key.create_revision(),
                _ => {
                    self.etcd.ask("end a lease", revoke(lease)).await?;
                    return Ok(None);
                }
            }
        }
        let epoch = epoch(revision);
        self.leader.send_replace(Some(Leader { url: self.settings.url.clone(), epoch }));
        tracing::info!(epoch = epoch.0, url = self.settings.url, "elected");
        Ok(Some(Leadership::start(self.etcd.clone(), &self.settings, lease, epoch, asked)))
    }

    /// Waits until the leader key is removed, if the watch holds; a moment where it does not.
    async fn gone(&mut self, from: i64) {
        let key = self.etcd.keys.leader();
        let watch = async |mut client: Client| {
            let options = WatchOptions::new().with_start_revision(from);
            let mut stream = client.watch(key.clone(), Some(options)).await?;
            while let Some(answer) = stream.message().await? {
                if answer.canceled() || !answer.events().is_empty() {
                    break;
                }
            }
            Ok::<_, Error>(())
        };
        if self.etcd.once(watch).await.is_err() {
            self.etcd.leave();
            sleep(Duration::from_millis(200)).await;
        }
    }
}

fn epoch(revision: i64) -> Epoch {
    Epoch(u64::try_from(revision).unwrap_or(0))
}

fn revoke(
    lease: i64,
) -> impl Fn(Client) -> std::pin::Pin<Box<dyn Future<Output = Result<(), Error>> + Send>> {
    move |mut client| Box::pin(async move { client.lease_revoke(lease).await.map(|_| ()) })
}

/// The right to lead, kept alive by a task of its own until it is dropped.
#[derive(Debug)]
pub struct Leadership {
    etcd: Etcd,
    epoch: Epoch,
    lease: i64,
    lost: Lost,
    keeper: JoinHandle<()>,
}

/// Tells when the right to lead is lost, and why.
#[derive(Debug, Clone)]
pub(crate) struct Lost(watch::Receiver<Option<String>>);

impl Lost {
    pub(crate) async fn wait(&mut self) -> String {
        match self.0.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            Err(_) => "it was given up".to_owned(),
        }
    }
}

impl Leadership {
    fn start(etcd: Etcd, settings: &ElectionSettings, lease: i64, epoch: Epoch, since: Instant) -> Self {
        let (tell, lost) = watch::channel(None);
        let keeper = Keeper { etcd: etcd.clone(), lease, ttl: settings.ttl, patience: settings.patience };
        let keeper = tokio::spawn(async move {
            let why = keeper.run(since).await;
            tracing::warn!(why, "this coordinator leads no more");
            let _ = tell.send(Some(why));
        });
        Self { etcd, epoch, lease, lost: Lost(lost), keeper }
    }

    /// The epoch of this reign.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Resolves when this coordinator leads no more, with the reason.
    pub async fn lost(&self) -> String {
        self.watch().wait().await
    }

    pub(crate) fn watch(&self) -> Lost {
        self.lost.clone()
    }

    /// Gives it up, so that another one leads at once.
    ///
    /// # Errors
    /// When etcd refuses.
    pub async fn resign(mut self) -> Result<(), EtcdError> {
        self.keeper.abort();
        match self.etcd.ask("end a lease", revoke(self.lease)).await {
            Err(error) if !error.is_gone() => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for Leadership {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// Keeps a lease alive.
struct Keeper {
    etcd: Etcd,
    lease: i64,
    ttl: Duration,
    patience: Duration,
}

impl Keeper {
    /// Returns why the lease is no more. `since` is when it was last known to have its whole ttl.
    async fn run(mut self, mut since: Instant) -> String {
        let (pause, lease) = (self.ttl / 3, self.lease);
        loop {
            let asked = Instant::now();
            let keep = |mut client: Client| async move { client.lease_keep_alive(lease).await.map(|_| ()) };
            let why = match timeout(pause, self.etcd.once(keep)).await {
                Ok(Ok(())) => {
                    since = asked;
                    sleep(pause).await;
                    continue;
                }
                // What the client makes of a lease that etcd does not know.
                Ok(Err(Error::LeaseKeepAliveError(why))) if why == "lease not found" => {
                    return "its lease ran out".to_owned();
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer in time".to_owned(),
            };
            let silent = since.elapsed();
            if silent >= self.patience {
                return format!("etcd has not answered for {silent:.0?} ({why})");
            }
            tracing::warn!(why, ?silent, "the lease of the leader was not renewed; trying on");
            self.etcd.leave();
            sleep(Duration::from_millis(100)).await;
        }
    }
}
