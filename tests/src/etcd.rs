//! Real etcd nodes on loopback, and a way to them that loses and holds what passes.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ar_coordinator::etcd::{Etcd, EtcdSettings, EtcdTls};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

pub mod proxy;

/// The cluster name of the tests.
pub const CLUSTER: &str = "test";
const PATIENCE: Duration = Duration::from_secs(60);

/// Nodes that are killed when dropped, with what they stored.
#[derive(Debug)]
pub struct Nodes {
    children: Vec<Child>,
    urls: Vec<String>,
    tls: Option<EtcdTls>,
    _folder: TempDir,
}

impl Nodes {
    /// Starts `count` nodes.
    ///
    /// # Panics
    /// When they do not start, or etcd is not installed.
    pub async fn start(count: usize) -> Self {
        Self::start_with(count, &[], None).await
    }

    /// Starts `count` nodes with further arguments. Where there are certificates, clients must have one.
    ///
    /// # Panics
    /// When they do not start, or etcd is not installed.
    pub async fn start_with(count: usize, arguments: &[&str], tls: Option<Certificates>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let ports: Vec<_> = (0..2 * count).map(|_| free_port()).collect();
        let urls: Vec<_> = ports[..count].iter().map(|port| format!("{scheme}://127.0.0.1:{port}")).collect();
        let peers: Vec<_> = ports[count..].iter().map(|port| format!("http://127.0.0.1:{port}")).collect();
        let all: Vec<_> = peers.iter().enumerate().map(|(index, url)| format!("n{index}={url}")).collect();
        let mut children = Vec::new();
        for index in 0..count {
            let mut command = Command::new("etcd");
            command.args(["--name", &format!("n{index}"), "--initial-cluster", &all.join(",")]);
            command.arg("--data-dir").arg(folder.path().join(format!("n{index}")));
            command.args(["--listen-client-urls", &urls[index], "--advertise-client-urls", &urls[index]]);
            command.args([
                "--listen-peer-urls",
                &peers[index],
                "--initial-advertise-peer-urls",
                &peers[index],
            ]);
            if let Some(tls) = &tls {
                let write = |name: &str, text: &str| -> PathBuf {
                    let path = folder.path().join(name);
                    std::fs::write(&path, text).expect("it is written");
                    path
                };
                command.arg("--client-cert-auth");
                command.arg("--trusted-ca-file").arg(write("ca.pem", &tls.ca));
                command.arg("--cert-file").arg(write("server.pem", &tls.server.0));
                command.arg("--key-file").arg(write("server.key", &tls.server.1));
            }
            command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
            children.push(command.spawn().unwrap_or_else(|error| {
                panic!("etcd cannot be started ({error}); install it (Debian and Ubuntu: apt install etcd-server)")
            }));
        }
        let tls = tls.map(|tls| EtcdTls {
            ca: tls.ca.into_bytes(),
            identity: Some((tls.client.0.into_bytes(), tls.client.1.into_bytes())),
        });
        let nodes = Self { children, urls, tls, _folder: folder };
        nodes.connect().await;
        nodes
    }

    /// Settings that name all nodes.
    pub fn settings(&self) -> EtcdSettings {
        EtcdSettings {
            endpoints: self.urls.clone(),
            cluster: CLUSTER.to_owned(),
            tls: self.tls.clone(),
            user: None,
        }
    }

    /// Settings with one address in place of the nodes'.
    pub fn by(&self, address: &str) -> EtcdSettings {
        EtcdSettings { endpoints: vec![address.to_owned()], ..self.settings() }
    }

    /// A connection.
    ///
    /// # Panics
    /// When there is none within a minute.
    pub async fn connect(&self) -> Etcd {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match Etcd::connect(self.settings()).await {
                Ok(etcd) => return etcd,
                Err(error) => assert!(Instant::now() < deadline, "etcd does not start: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A client of its own for the test, of one node. Without TLS.
    ///
    /// # Panics
    /// When there is none.
    pub async fn client(&self, node: usize) -> etcd_client::Client {
        etcd_client::Client::connect([&self.urls[node]], None).await.expect("it connects")
    }

    /// The address of a node.
    pub fn url(&self, node: usize) -> &str {
        &self.urls[node]
    }

    /// The node that leads the others.
    ///
    /// # Panics
    /// When there is none.
    pub async fn leader(&self) -> usize {
        for node in 0..self.urls.len() {
            let status = self.client(node).await.status().await.expect("it answers");
            if status.header().is_some_and(|header| header.member_id() == status.leader()) {
                return node;
            }
        }
        panic!("no node leads");
    }

    /// Sends a node a signal.
    ///
    /// # Panics
    /// When it is not there any more.
    pub fn signal(&self, node: usize, signal: Signal) {
        let pid = i32::try_from(self.children[node].id()).expect("a process number");
        kill(Pid::from_raw(pid), signal).expect("it is there");
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for child in &mut self.children {
            // It may have been killed by the test.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback is there");
    listener.local_addr().expect("it has an address").port()
}

/// An authority, and what it signed: each a certificate and its key, in PEM.
#[derive(Debug)]
pub struct Certificates {
    /// The authority's certificate.
    pub ca: String,
    /// etcd's.
    pub server: (String, String),
    /// The coordinator's.
    pub client: (String, String),
}

impl Certificates {
    /// Makes new ones.
    ///
    /// # Panics
    /// When that cannot be done.
    pub fn make() -> Self {
        use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
        let key = KeyPair::generate().expect("a key");
        let mut authority = CertificateParams::new(Vec::new()).expect("parameters");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = authority.self_signed(&key).expect("a certificate").pem();
        let issuer = Issuer::new(authority, key);
        let sign = || {
            let key = KeyPair::generate().expect("a key");
            let mut of = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
            of.extended_key_usages =
                vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
            (of.signed_by(&key, &issuer).expect("a certificate").pem(), key.serialize_pem())
        };
        Self { ca, server: sign(), client: sign() }
    }
}
