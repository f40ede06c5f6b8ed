//! Flags of `serve` and `migrate`.

use std::path::PathBuf;
use std::time::Duration;

use ar_net::ObserveArgs;
use clap::{Args, ValueEnum};

use super::values::duration;

/// Flags of `serve`.
#[derive(Debug, Args)]
#[command(after_help = "\
Each flag may also be a variable (AR_LISTEN, AR_TLS_CERT and so on), or in a file (--config).
Examples:
  ar-coordinator serve
  ar-coordinator serve --listen 0.0.0.0:7600 --tls-cert head.pem --tls-key head.key")]
pub struct ServeArgs {
    /// Where gRPC, the API, metrics and probes are
    #[arg(long, env = "AR_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:7600")]
    pub listen: std::net::SocketAddr,
    /// Where probes and metrics are beside that, without a token
    #[arg(long, env = "AR_ADMIN_LISTEN", value_name = "ADDRESS")]
    pub admin_listen: Option<std::net::SocketAddr>,
    /// The certificate with those between it and the root, PEM; read again when it changes
    #[arg(long, env = "AR_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, env = "AR_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Who signs the certificates that clients must show, PEM
    #[arg(long, env = "AR_TLS_CLIENT_CA", value_name = "FILE", requires = "tls_cert")]
    pub tls_client_ca: Option<PathBuf>,
    /// Serve other machines without TLS: tokens go over the network in the clear
    #[arg(long, env = "AR_INSECURE")]
    pub insecure: bool,
    /// Where the files of studies and results are kept: s3://BUCKET/PREFIX, gs://BUCKET, az://CONTAINER or file:///DIR; credentials
    /// are in the usual variables, AWS_..., GOOGLE_... or AZURE_... [default: the folder of --out]
    #[arg(long, env = "AR_BLOBS", value_name = "URL")]
    pub blobs: Option<String>,
    /// For how long files are kept that no study refers to any more
    #[arg(long, env = "AR_KEEP_UNREFERENCED", value_name = "TIME", default_value = "1day", value_parser = duration)]
    pub keep_unreferenced: Duration,
    /// The cluster's store.
    #[command(flatten)]
    pub etcd: EtcdArgs,
    /// Where others reach this coordinator once it leads [default: the address of --listen, or this machine's name where that means
    /// all of its addresses]
    #[arg(long, env = "AR_ADVERTISE", value_name = "URL")]
    pub advertise: Option<String>,
    /// How long after a leader's death another is elected, in whole seconds
    #[arg(long, env = "AR_LEADER_TTL", value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub leader_ttl: Duration,
    /// How long a worker may be silent before what it runs is given to another
    #[arg(long, env = "AR_LEASE_TTL", value_name = "TIME", value_parser = duration)]
    pub lease_ttl: Option<Duration>,
    /// How long after its end the experiments of a study leave the journal for an archive, from which they come back when the study
    /// goes on
    #[arg(long, env = "AR_ARCHIVE_AFTER", value_name = "TIME", default_value = "1h", value_parser = duration)]
    pub archive_after: Duration,
    /// Records of the journal after which it is shortened to a snapshot, at least [default: 50000]
    #[arg(long, env = "AR_SNAPSHOT_EVERY", value_name = "RECORDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub snapshot_every: Option<u64>,
    /// Folder with the store and the results
    #[arg(long, env = "AR_OUT", value_name = "DIR", default_value = "autoresearch")]
    pub out: PathBuf,
    /// What is seen of it from outside.
    #[command(flatten)]
    pub observe: ObserveArgs,
}

/// Where etcd is, and which part of it is the cluster's.
#[derive(Debug, Args)]
pub struct EtcdArgs {
    /// Nodes of etcd, for a store that several coordinators share, of which one leads; they share the folder of --out, too
    /// [default: a store in that folder]
    #[arg(long = "etcd", env = "AR_ETCD", value_name = "URL", value_delimiter = ',')]
    pub endpoints: Vec<String>,
    /// The name of the cluster in etcd
    #[arg(long, env = "AR_CLUSTER", value_name = "NAME", default_value = "default")]
    pub cluster: String,
    /// Who signed etcd's certificate, PEM
    #[arg(id = "etcd_ca", long = "etcd-ca", env = "AR_ETCD_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// The certificate to show to etcd, PEM
    #[arg(
        id = "etcd_cert",
        long = "etcd-cert",
        env = "AR_ETCD_CERT",
        value_name = "FILE",
        requires = "etcd_ca",
        requires = "etcd_key"
    )]
    pub cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(
        id = "etcd_key",
        long = "etcd-key",
        env = "AR_ETCD_KEY",
        value_name = "FILE",
        requires = "etcd_cert"
    )]
    pub key: Option<PathBuf>,
}

/// Flags of `migrate`.
#[derive(Debug, Args)]
#[command(after_help = "\
All coordinators of the store must have ended. What is moved stays where it was, with a mark that says where it is now.
Example:
  ar-coordinator migrate --to etcd --etcd http://127.0.0.1:2379
  ar-coordinator migrate --to folder --etcd http://127.0.0.1:2379")]
pub struct MigrateArgs {
    /// Where the store is to be: it is in the other of the two now
    #[arg(long, value_enum, value_name = "PLACE")]
    pub to: StorePlace,
    /// The etcd.
    #[command(flatten)]
    pub etcd: EtcdArgs,
    /// The folder: of the store, or that the coordinators share
    #[arg(long, env = "AR_OUT", value_name = "DIR", default_value = "autoresearch")]
    pub out: PathBuf,
}

/// Where a store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StorePlace {
    /// In etcd, for several coordinators
    Etcd,
    /// In the folder of --out, for one
    Folder,
}
