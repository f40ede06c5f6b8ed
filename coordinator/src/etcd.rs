//! etcd, as the journal and the election use it: one connection, and requests that are tried until answered.
//!
//! One endpoint at a time: after a request that failed or took too long the connection is dropped
//! and the next endpoint is asked, so that a node that is cut off, hangs or has no quorum is left
//! behind. Every request is one that may be sent twice: what was done already is told by comparing.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ar_common::Seq;
use etcd_client::{
    Certificate, Client, Compare, CompareOp, ConnectOptions, Error, GetOptions, GetResponse, Identity,
    KvClient, TlsOptions, Txn, TxnOp,
};
use tokio::time::{Instant, sleep, timeout};
use tonic::Code;

/// How long the first try of a request may take; each further one may take twice as long, so that an
/// etcd that is merely slow is answered in the end.
const PATIENCE: Duration = Duration::from_secs(2);
const LONGEST_PATIENCE: Duration = Duration::from_secs(32);
const CONNECT: Duration = Duration::from_secs(2);
/// The pauses between tries.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long nodes may be without a leader when a connection is made: they elect one within seconds, if they can.
const LEADERLESS: Duration = Duration::from_secs(10);
/// How often a wait is told.
const TELL: Duration = Duration::from_secs(10);
/// Largest answer: a page of the journal.
const ANSWER: usize = 128 << 20;

/// Where etcd is, and which part of it is ours.
#[derive(Debug, Clone)]
pub struct EtcdSettings {
    /// URLs of its nodes, `http://host:2379` or, with TLS, `https://host:2379`.
    pub endpoints: Vec<String>,
    /// The name of this cluster: all keys stand below `/autoresearch/NAME/`.
    pub cluster: String,
    /// Certificates, where the URLs begin with `https`.
    pub tls: Option<EtcdTls>,
    /// User and password, where etcd asks for them.
    pub user: Option<(String, String)>,
}

/// Certificates in PEM.
#[derive(Clone)]
pub struct EtcdTls {
    /// Of the authority that signed etcd's.
    pub ca: Vec<u8>,
    /// Ours and its key, where etcd asks for one.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
}

impl std::fmt::Debug for EtcdTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EtcdTls").finish_non_exhaustive()
    }
}

/// Why etcd cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EtcdError {
    /// The settings make no sense.
    #[error("{what}; correct the settings of etcd")]
    Settings {
        /// What is wrong.
        what: String,
    },
    /// None of the nodes answers.
    #[error(
        "no etcd answers at {endpoints} ({last}); check that it runs, the addresses and the certificates"
    )]
    Unreachable {
        /// Who was asked.
        endpoints: String,
        /// What the last one said.
        last: String,
    },
    /// It answers, and would say the same again.
    #[error(
        "etcd refuses to {doing}: {source}; check the rights of the user and the limits that etcd was started with"
    )]
    Refused {
        /// What was asked of it.
        doing: &'static str,
        /// What it said.
        source: Box<Error>,
    },
}

/// The keys of one cluster.
///
/// ```text
/// /autoresearch/NAME/leader                who leads; its create_revision is the fence
/// /autoresearch/NAME/folder                the folder that the coordinators share
/// /autoresearch/NAME/head                  the last record, and the batch that wrote it
/// /autoresearch/NAME/journal/FIRST.PART    a batch by the position of its first record, in parts under 1 MiB
/// /autoresearch/NAME/snapshot              the file in the shared folder that a replay begins with; batches up to there go
/// /autoresearch/NAME/origin                which etcd the journal was written in
/// /autoresearch/NAME/moved                 where the store is now, if it was moved
/// ```
#[derive(Debug, Clone)]
pub(crate) struct Keys(Arc<str>);

impl Keys {
    pub(crate) fn leader(&self) -> String {
        format!("{}leader", self.0)
    }

    /// Names the folder that the coordinators share.
    pub(crate) fn folder(&self) -> String {
        format!("{}folder", self.0)
    }

    pub(crate) fn head(&self) -> String {
        format!("{}head", self.0)
    }

    /// Which snapshot a replay begins with.
    pub(crate) fn snapshot(&self) -> String {
        format!("{}snapshot", self.0)
    }

    /// Which etcd it was.
    pub(crate) fn origin(&self) -> String {
        format!("{}origin", self.0)
    }

    /// Where the store was moved.
    pub(crate) fn moved(&self) -> String {
        format!("{}moved", self.0)
    }

    pub(crate) fn part(&self, first: Seq, part: usize) -> String {
        format!("{}journal/{:020}.{part:05}", self.0, first.0)
    }

    /// Below every key of a batch that begins at `first` or later, above all others.
    pub(crate) fn from(&self, first: Seq) -> String {
        format!("{}journal/{:020}", self.0, first.0)
    }

    /// Above every key of the journal.
    pub(crate) fn end(&self) -> String {
        format!("{}journal0", self.0)
    }

    /// As a path, for errors that name one.
    pub(crate) fn place(&self) -> PathBuf {
        PathBuf::from(format!("etcd:{}journal", self.0))
    }
}

/// A connection to etcd. Clones have connections of their own.
pub struct Etcd {
    settings: Arc<EtcdSettings>,
    pub(crate) keys: Keys,
    client: Option<Client>,
    turn: usize,
}

impl std::fmt::Debug for Etcd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Etcd").field("keys", &self.keys).finish_non_exhaustive()
    }
}

impl Clone for Etcd {
    fn clone(&self) -> Self {
        Self { settings: Arc::clone(&self.settings), keys: self.keys.clone(), client: None, turn: self.turn }
    }
}

impl Etcd {
    /// Connects, and asks each node until one answers: once, or for a while where one is there and etcd is without a leader.
    ///
    /// # Errors
    /// When none does, or the settings make no sense.
    pub async fn connect(settings: EtcdSettings) -> Result<Self, EtcdError> {
        let wrong = |what: String| Err(EtcdError::Settings { what });
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if settings.cluster.is_empty() || !settings.cluster.chars().all(plain) {
            return wrong(format!(
                "`{}` is no name for a cluster: letters, digits, `.`, `_` and `-` are",
                settings.cluster
            ));
        }
        if settings.endpoints.is_empty() {
            return wrong("there is no address of etcd".to_owned());
        }
        let keys = Keys(format!("/autoresearch/{}/", settings.cluster).into());
        let mut etcd = Self { settings: Arc::new(settings), keys, client: None, turn: 0 };
        let began = Instant::now();
        loop {
            match etcd.ask_each().await? {
                None => return Ok(etcd),
                Some(Silence { elects: true, .. }) if began.elapsed() < LEADERLESS => {
                    sleep(FIRST_PAUSE * 10).await;
                }
                Some(Silence { last, .. }) => {
                    return Err(EtcdError::Unreachable {
                        endpoints: etcd.settings.endpoints.join(", "),
                        last,
                    });
                }
            }
        }
    }

    /// Asks each node once, until one answers.
    async fn ask_each(&mut self) -> Result<Option<Silence>, EtcdError> {
        let mut silence = Silence { last: String::new(), elects: false };
        for _ in 0..self.settings.endpoints.len() {
            let key = self.keys.head();
            let ask = async |client: Client| kv(&client).get(key.clone(), None).await;
            match timeout(PATIENCE + CONNECT, self.once(ask)).await {
                Ok(Ok(_)) => return Ok(None),
                Ok(Err(error)) if is_final(&error) => {
                    return Err(EtcdError::Refused { doing: "be read", source: Box::new(error) });
                }
                Ok(Err(error)) => {
                    silence.elects |= is_leaderless(&error);
                    silence.last = error.to_string();
                }
                Err(_) => silence.last = "no answer in time".to_owned(),
            }
            self.leave();
        }
        Ok(Some(silence))
    }

    /// Sends a request until it is answered, however long that takes.
    pub(crate) async fn ask<T, F>(
        &mut self,
        doing: &'static str,
        mut request: impl FnMut(Client) -> F,
    ) -> Result<T, EtcdError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let began = Instant::now();
        let (mut patience, mut pause, mut told) = (PATIENCE, FIRST_PAUSE, None::<Instant>);
        loop {
            let why = match timeout(patience, self.once(&mut request)).await {
                Ok(Ok(answer)) => {
                    if told.is_some() {
                        tracing::warn!(waited = ?began.elapsed(), "etcd answers again");
                    }
                    return Ok(answer);
                }
                Ok(Err(error)) if is_final(&error) => {
                    return Err(EtcdError::Refused { doing, source: Box::new(error) });
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => {
                    patience = LONGEST_PATIENCE.min(patience * 2);
                    "no answer in time".to_owned()
                }
            };
            if told.is_none_or(|told| told.elapsed() >= TELL) {
                tracing::warn!(
                    endpoint = self.endpoint(),
                    why,
                    waited = ?began.elapsed(),
                    "etcd cannot {doing} at the moment; trying on, nothing is lost"
                );
                told = Some(Instant::now());
            }
            self.leave();
            // Jittered, so that coordinators do not come back all at once.
            sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    /// The name of the folder that the coordinators of this cluster share; it becomes `ours` if none was named before.
    ///
    /// # Errors
    /// When etcd refuses.
    pub async fn folder(&mut self, ours: &str) -> Result<String, EtcdError> {
        let key = self.keys.folder();
        let none = Compare::version(key.clone(), CompareOp::Equal, 0);
        let put = TxnOp::put(key.clone(), ours, None);
        let transaction = Txn::new().when([none]).and_then([put]);
        // Sent twice it finds what it put itself.
        self.ask("name the shared folder", |client| {
            let transaction = transaction.clone();
            async move { kv(&client).txn(transaction).await }
        })
        .await?;
        let found = self.get(key, None).await?;
        Ok(found.kvs().first().map(|kv| String::from_utf8_lossy(kv.value()).into_owned()).unwrap_or_default())
    }

    /// Reads keys.
    pub(crate) async fn get(
        &mut self,
        key: String,
        options: Option<GetOptions>,
    ) -> Result<GetResponse, EtcdError> {
        // Boxed: a request is a large future, and whoever asks several times would hold as many of them.
        Box::pin(self.ask("be read", |client| {
            let (key, options) = (key.clone(), options.clone());
            async move { kv(&client).get(key, options).await }
        }))
        .await
    }

    /// Sends a request once.
    pub(crate) async fn once<T, F>(&mut self, mut request: impl FnMut(Client) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let client = match &self.client {
            Some(client) => client.clone(),
            None => {
                let client = Client::connect([self.endpoint()], Some(self.options())).await?;
                self.client.insert(client).clone()
            }
        };
        request(client).await
    }

    /// Drops the connection; the next request goes to the next node.
    pub(crate) fn leave(&mut self) {
        self.client = None;
        self.turn = (self.turn + 1) % self.settings.endpoints.len();
    }

    fn endpoint(&self) -> &str {
        &self.settings.endpoints[self.turn]
    }

    fn options(&self) -> ConnectOptions {
        // A node without a quorum says so at once, and another one is asked.
        let mut options = ConnectOptions::new()
            .with_connect_timeout(CONNECT)
            .with_keep_alive(Duration::from_secs(10), Duration::from_secs(5))
            .with_require_leader(true);
        if let Some((name, password)) = &self.settings.user {
            options = options.with_user(name, password);
        }
        if let Some(tls) = &self.settings.tls {
            let mut of = TlsOptions::new().ca_certificate(Certificate::from_pem(&tls.ca));
            if let Some((certificate, key)) = &tls.identity {
                of = of.identity(Identity::from_pem(certificate, key));
            }
            options = options.with_tls(of);
        }
        options
    }
}

/// The part of a client that reads and writes keys.
pub(crate) fn kv(client: &Client) -> KvClient {
    client.kv_client().max_decoding_message_size(ANSWER)
}

/// None of the nodes answered.
struct Silence {
    /// What the last one said.
    last: String,
    /// Whether one is there, and without a leader.
    elects: bool,
}

/// Whether a node is there and its cluster has no leader, which passes once there is a quorum.
fn is_leaderless(error: &Error) -> bool {
    matches!(error, Error::GRpcStatus(status)
        if status.code() == Code::Unavailable && status.message().contains("no leader"))
}

/// Whether etcd would say the same again.
fn is_final(error: &Error) -> bool {
    match error {
        Error::InvalidArgs(_) | Error::InvalidUri(_) | Error::InvalidMetadataValue(_) => true,
        Error::GRpcStatus(status) => matches!(
            status.code(),
            Code::InvalidArgument
                | Code::PermissionDenied
                | Code::Unimplemented
                | Code::NotFound
                | Code::OutOfRange
        ),
        _ => false,
    }
}

impl EtcdError {
    /// Whether what was asked for is gone: a lease that ran out, say.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self, Self::Refused { source, .. }
            if matches!(source.as_ref(), Error::GRpcStatus(status) if status.code() == Code::NotFound))
    }
}
