//! The client that hands over spans. The exporter waits for it on a thread of its own; its work is done on the program's runtime.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{HOST, HeaderValue};
use hyper_util::rt::TokioIo;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::TraceError;
use crate::dial;

/// How long a collector may take for one batch.
const PATIENCE: Duration = Duration::from_secs(10);
/// Which variable names a file with the certificates to trust, in place of the system's.
/// <https://opentelemetry.io/docs/specs/otel/protocol/exporter/#configuration-options>
const TRUST: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"];
/// Bytes of its answer that are read.
const ANSWER: usize = 64 << 10;

/// Hands over batches.
#[derive(Debug)]
pub(super) struct Client {
    runtime: Handle,
    tls: Arc<ClientConfig>,
    /// Whether the last batch did not arrive; said once.
    failing: AtomicBool,
}

impl Client {
    pub(super) fn new() -> Result<Self, TraceError> {
        let failed = |error: &dyn std::fmt::Display| TraceError::Tls(error.to_string());
        let mut roots = RootCertStore::empty();
        let named = TRUST.iter().filter_map(std::env::var_os).find(|path| !path.is_empty());
        if let Some(path) = named.clone().map(PathBuf::from).or_else(dial::system_roots) {
            let wrong = |what: &dyn std::fmt::Display| failed(&format!("{}: {what}", path.display()));
            let read = CertificateDer::pem_file_iter(&path).map_err(|error| wrong(&error))?;
            let (added, _) = roots.add_parsable_certificates(read.flatten());
            if named.is_some() && added == 0 {
                return Err(wrong(&"there is no certificate in it"));
            }
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(|error| failed(&error))?;
        let tls = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
        Ok(Self { runtime: Handle::current(), tls, failing: AtomicBool::new(false) })
    }

    /// Says that batches are lost, or that they arrive again.
    fn told(&self, why: Option<String>) {
        let failing = why.is_some();
        match (why, self.failing.swap(failing, Ordering::Relaxed)) {
            (Some(why), false) => tracing::warn!(why, "traces are not handed over"),
            (None, true) => tracing::info!("traces are handed over again"),
            _ => {}
        }
    }
}

#[tonic::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let tls = Arc::clone(&self.tls);
        let sent = self.runtime.spawn(async { tokio::time::timeout(PATIENCE, send(request, tls)).await });
        let answer = match sent.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(late)) => Err(late.into()),
            Err(ended) => Err(ended.into()),
        };
        self.told(match &answer {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("the collector answers {}", answer.status())),
            Err(error) => Some(error.to_string()),
        });
        answer
    }
}

async fn send(mut request: Request<Bytes>, tls: Arc<ClientConfig>) -> Result<Response<Bytes>, HttpError> {
    let uri = request.uri().clone();
    let host = uri.host().ok_or("the address has no host")?.trim_matches(['[', ']']).to_owned();
    let is_tls = uri.scheme_str() == Some("https");
    let stream =
        TcpStream::connect((host.as_str(), uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 }))).await?;
    let authority = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
    request.headers_mut().insert(HOST, HeaderValue::from_str(authority)?);
    *request.uri_mut() = uri.path_and_query().map_or("/", |path| path.as_str()).parse()?;
    if is_tls {
        let name = ServerName::try_from(host)?;
        exchange(request, TlsConnector::from(tls).connect(name, stream).await?).await
    } else {
        exchange(request, stream).await
    }
}

async fn exchange(
    request: Request<Bytes>,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<Response<Bytes>, HttpError> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let (parts, body) = sender.send_request(request.map(Full::new)).await?.into_parts();
    let body = Limited::new(body, ANSWER).collect().await?.to_bytes();
    connection.abort();
    Ok(Response::from_parts(parts, body))
}
