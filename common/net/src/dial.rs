//! Reaching a coordinator: its addresses, and how both sides know each other.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

/// How long a connection may take to come about. Of several coordinators one may be a machine that is gone, which says nothing.
const CONNECT: Duration = Duration::from_secs(3);
/// How often an idle connection is asked whether it is there, which also keeps it open through NAT, and how long it may take to
/// answer. Together they are about what it takes to elect another leader: where a machine is lost without a word, its workers do not
/// make it take longer.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(3));
/// Where Linux systems keep the certificates that they trust.
const SYSTEM: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// How to reach a coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dial {
    /// Its addresses, e.g. `https://head:7600`; of several any may be the leader.
    pub urls: Vec<String>,
    /// Who signed its certificate, PEM; those whom the system trusts if absent.
    pub ca: Option<PathBuf>,
    /// The certificate to show, and its key, PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Whether a token may go over the network in the clear.
    pub insecure: bool,
}

/// Why a coordinator cannot be reached like this.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The address makes no sense.
    #[error("`{0}` is no address of a coordinator; it looks like http://127.0.0.1:7600 or https://HOST:7600")]
    Address(String),
    /// The token would be seen.
    #[error(
        "`{0}` would carry the token over the network in the clear; use https:// (see --tls-cert of `serve`), or say --insecure"
    )]
    Clear(String),
    /// A file.
    #[error("cannot read {path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Nobody is trusted.
    #[error(
        "no certificates are trusted on this system; name the one of the coordinator's authority with --ca FILE"
    )]
    NoRoots,
    /// The certificates cannot be used.
    #[error("cannot use TLS for {url}: {source}")]
    Tls {
        /// For which address.
        url: String,
        /// Why.
        source: tonic::transport::Error,
    },
}

impl Dial {
    /// One on this machine, without TLS.
    pub fn local(url: impl Into<String>) -> Self {
        Self { urls: vec![url.into()], ca: None, identity: None, insecure: false }
    }

    /// An endpoint for each address, not connected yet.
    ///
    /// # Errors
    /// When an address or a certificate cannot be used.
    pub fn endpoints(&self) -> Result<Vec<Endpoint>, DialError> {
        if self.urls.is_empty() {
            return Err(DialError::Address(String::new()));
        }
        self.urls.iter().map(|url| self.endpoint(url.trim())).collect()
    }

    fn endpoint(&self, url: &str) -> Result<Endpoint, DialError> {
        let address = || DialError::Address(url.to_owned());
        let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|_| address())?;
        let host = endpoint.uri().host().ok_or_else(address)?.to_owned();
        let endpoint = endpoint
            .connect_timeout(CONNECT)
            .http2_keep_alive_interval(KEEP_ALIVE.0)
            .keep_alive_timeout(KEEP_ALIVE.1)
            .keep_alive_while_idle(true)
            .tcp_nodelay(true);
        match endpoint.uri().scheme_str() {
            Some("http") if self.insecure || is_loopback(&host) => Ok(endpoint),
            Some("http") => Err(DialError::Clear(url.to_owned())),
            Some("https") => {
                let tls = self.tls()?;
                endpoint.tls_config(tls).map_err(|source| DialError::Tls { url: url.to_owned(), source })
            }
            _ => Err(address()),
        }
    }

    fn tls(&self) -> Result<ClientTlsConfig, DialError> {
        let ca = self.ca.clone().or_else(system_roots).ok_or(DialError::NoRoots)?;
        let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(&ca)?));
        if let Some((certificate, key)) = &self.identity {
            tls = tls.identity(Identity::from_pem(read(certificate)?, read(key)?));
        }
        Ok(tls)
    }
}

/// The file with the certificates that this system trusts.
pub(crate) fn system_roots() -> Option<PathBuf> {
    SYSTEM.iter().map(PathBuf::from).find(|path| path.exists())
}

fn read(path: &Path) -> Result<Vec<u8>, DialError> {
    std::fs::read(path).map_err(|source| DialError::File { path: path.to_owned(), source })
}

/// Whether a host is this machine, by its address or its usual name.
pub fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(url: &str) -> String {
        Dial::local(url).endpoints().map(drop).unwrap_err().to_string()
    }

    #[test]
    fn a_token_never_leaves_the_machine_in_the_clear_unless_that_is_said() {
        for url in ["http://127.0.0.1:7600", "http://localhost:7600", "http://[::1]:7600"] {
            assert!(Dial::local(url).endpoints().is_ok(), "{url}");
        }
        assert!(error("http://head:7600").contains("in the clear"));
        assert!(Dial { insecure: true, ..Dial::local("http://head:7600") }.endpoints().is_ok());
    }

    #[test]
    fn what_is_no_address_is_told_as_such() {
        for url in ["", "head:7600", "ftp://head", "not an address", "http://"] {
            assert!(error(url).contains("is no address"), "{url}");
        }
        let missing = Dial { ca: Some("none.pem".into()), ..Dial::local("https://head:7600") };
        assert!(missing.endpoints().map(drop).unwrap_err().to_string().contains("none.pem"));
    }
}
