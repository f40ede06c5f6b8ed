//! Flags of `serve`.

use std::path::PathBuf;
use std::time::Duration;

use ar_net::ObserveArgs;
use clap::Args;

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
    /// Nodes of etcd, for a store that several coordinators share, of which one leads; they share the folder of --out, too
    /// [default: a store in that folder]
    #[arg(long, env = "AR_ETCD", value_name = "URL", value_delimiter = ',')]
    pub etcd: Vec<String>,
    /// The name of the cluster in etcd
    #[arg(long, env = "AR_CLUSTER", value_name = "NAME", default_value = "default")]
    pub cluster: String,
    /// Who signed etcd's certificate, PEM
    #[arg(long, env = "AR_ETCD_CA", value_name = "FILE")]
    pub etcd_ca: Option<PathBuf>,
    /// The certificate to show to etcd, PEM
    #[arg(long, env = "AR_ETCD_CERT", value_name = "FILE", requires = "etcd_ca", requires = "etcd_key")]
    pub etcd_cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, env = "AR_ETCD_KEY", value_name = "FILE", requires = "etcd_cert")]
    pub etcd_key: Option<PathBuf>,
    /// Where others reach this coordinator once it leads [default: the address of --listen]
    #[arg(long, env = "AR_ADVERTISE", value_name = "URL")]
    pub advertise: Option<String>,
    /// How long after a leader's death another is elected, in whole seconds
    #[arg(long, env = "AR_LEADER_TTL", value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub leader_ttl: Duration,
    /// How long a worker may be silent before what it runs is given to another
    #[arg(long, env = "AR_LEASE_TTL", value_name = "TIME", value_parser = duration)]
    pub lease_ttl: Option<Duration>,
    /// Folder with the store and the results
    #[arg(long, env = "AR_OUT", value_name = "DIR", default_value = "autoresearch")]
    pub out: PathBuf,
    /// What is seen of it from outside.
    #[command(flatten)]
    pub observe: ObserveArgs,
}
