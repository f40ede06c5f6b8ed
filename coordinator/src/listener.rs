//! One port for gRPC and HTTP, with TLS or without.
//!
//! What a stranger can hold is bounded: how many connections there are at once, how long a handshake may take, how long the head of
//! a request. A certificate that was renewed on the disk is used for the next connection.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};
use tokio_util::io::InspectReader;
use tonic::transport::server::TcpConnectInfo;

/// Connections at once; more wait in the system's queue.
const CONNECTIONS: usize = 16_384;
/// How long a handshake, or the head of a request, may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes that tell HTTP/2 from the older one; no request that means anything is shorter.
const PREFACE: usize = 24;
/// Time between two tries where the system has no connection to give.
const PAUSE: Duration = Duration::from_millis(100);
/// How often an idle HTTP/2 connection is asked whether it is there, and how long it may take to answer.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(20));
/// How often the files of the certificate are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// Where the certificate is.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate with those between it and the root, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// Who signs the certificates that clients must show, PEM; none need be shown if absent.
    pub client_ca: Option<PathBuf>,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is no PEM.
    #[error("cannot use {path} for TLS: {why}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The files do not go together.
    #[error("the certificate and the key cannot be used together: {0}")]
    Pair(#[from] rustls::Error),
}

/// The certificate as it is on the disk now.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    current: Mutex<Current>,
}

#[derive(Debug)]
struct Current {
    config: Arc<ServerConfig>,
    looked: SystemTime,
    changed: Option<SystemTime>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// When they cannot be used.
    pub fn open(files: TlsFiles) -> Result<Self, TlsError> {
        let current =
            Current { config: config(&files)?, looked: SystemTime::now(), changed: changed(&files) };
        Ok(Self { files, current: Mutex::new(current) })
    }

    /// What the next connection uses. Files that cannot be used leave the certificate as it was.
    fn acceptor(&self) -> TlsAcceptor {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.looked.elapsed().unwrap_or(LOOK) >= LOOK {
            current.looked = SystemTime::now();
            let now = changed(&self.files);
            if now != current.changed {
                match config(&self.files) {
                    Ok(config) => {
                        tracing::info!(certificate = %self.files.certificate.display(), "another certificate");
                        (current.config, current.changed) = (config, now);
                    }
                    Err(error) => tracing::warn!(%error, "the certificate stays as it was"),
                }
            }
        }
        TlsAcceptor::from(Arc::clone(&current.config))
    }
}

/// When one of the files was last written.
fn changed(files: &TlsFiles) -> Option<SystemTime> {
    let all = [Some(&files.certificate), Some(&files.key), files.client_ca.as_ref()];
    let times = all.into_iter().flatten().map(|path| std::fs::metadata(path)?.modified());
    times.collect::<io::Result<Vec<_>>>().ok()?.into_iter().max()
}

fn config(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| wrong(path, &error))?)
        }
    };
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| wrong(&files.key, &error))?;
    let mut config = builder.with_single_cert(certificates(&files.certificate)?, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).map_err(|error| wrong(path, &error))?;
    let all: Vec<_> = read.collect::<Result<_, _>>().map_err(|error| wrong(path, &error))?;
    if all.is_empty() {
        return Err(TlsError::File { path: path.to_owned(), why: "it holds no certificate".to_owned() });
    }
    Ok(all)
}

fn wrong(path: &Path, error: &dyn std::fmt::Display) -> TlsError {
    TlsError::File { path: path.to_owned(), why: error.to_string() }
}

/// Serves `routes` until `stop` turns true. When the routes change, open connections end, so that who is on them comes back to
/// the new ones.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    routes: watch::Receiver<Router>,
    mut stop: watch::Receiver<bool>,
) {
    let open = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&open).acquire_owned().await else { return };
        let (stream, from) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, say: others will be closed.
                    tracing::warn!(%error, "cannot take a connection");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            },
            () = ended(&mut stop) => return,
        };
        let (tls, routes, stop) = (tls.clone(), routes.clone(), stop.clone());
        tokio::spawn(async move {
            // Without it an answer of several small packets waits 40 ms for an acknowledgement.
            let _ = stream.set_nodelay(true);
            match tls {
                None => connection(stream, from, routes, stop).await,
                Some(tls) => match handshake(&tls, stream).await {
                    Ok(stream) => connection(stream, from, routes, stop).await,
                    Err(why) => tracing::warn!(%from, why, "refused"),
                },
            }
            drop(permit);
        });
    }
}

/// Waits until there are other routes; for ever if there never will be.
async fn others(routes: &mut watch::Receiver<Router>) {
    if routes.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Waits until it is over; also if whoever says so is gone.
async fn ended(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn handshake(
    tls: &Tls,
    stream: TcpStream,
) -> Result<impl AsyncRead + AsyncWrite + Unpin + use<>, String> {
    match tokio::time::timeout(PATIENCE, tls.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no handshake within {} s", PATIENCE.as_secs())),
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    from: SocketAddr,
    mut changing: watch::Receiver<Router>,
    mut stop: watch::Receiver<bool>,
) {
    let routes = changing.borrow_and_update().clone();
    let info = TcpConnectInfo { local_addr: None, remote_addr: Some(from) };
    let routes = TowerToHyperService::new(routes);
    // A layer of its own for each connection would box every route again: milliseconds that strangers could have for nothing.
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(info.clone());
        routes.call(request)
    });
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    server
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE.0)
        .keep_alive_timeout(KEEP_ALIVE.1);
    let said = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&said);
    let stream = InspectReader::new(stream, move |bytes: &[u8]| {
        count.fetch_add(bytes.len(), Ordering::Relaxed);
    });
    let serving = server.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(serving);
    tokio::select! {
        ended = serving.as_mut() => {
            if let Err(error) = ended {
                tracing::debug!(%from, error, "a connection ended");
            }
        }
        () = ended(&mut stop) => {}
        () = others(&mut changing) => {}
        () = silent(&said) => tracing::debug!(%from, "a connection that said nothing was ended"),
    }
}

/// Resolves when a connection has not said for too long what it speaks: until then no other limit holds.
async fn silent(said: &AtomicUsize) {
    tokio::time::sleep(PATIENCE).await;
    if said.load(Ordering::Relaxed) >= PREFACE {
        std::future::pending::<()>().await;
    }
}
