//! Real etcd nodes on loopback, and a way to them that loses and holds what passes.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ar_coordinator::etcd::{Etcd, EtcdSettings, EtcdTls};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::network::Host;

pub mod proxy;

/// The cluster name of the tests.
pub const CLUSTER: &str = "test";
const PATIENCE: Duration = Duration::from_secs(60);

/// Nodes that are killed when dropped, with what they stored.
#[derive(Debug)]
pub struct Nodes {
    children: Vec<Child>,
    urls: Vec<String>,
    plan: Plan,
    tls: Option<EtcdTls>,
    folder: TempDir,
}

/// How each node is started.
#[derive(Debug)]
struct Plan {
    peers: Vec<String>,
    hosts: Vec<Host>,
    arguments: Vec<String>,
}

impl Nodes {
    /// Starts `count` nodes.
    ///
    /// # Panics
    /// When they do not start, or etcd is not installed.
    pub async fn start(count: usize) -> Self {
        Self::start_with(count, &[], None).await
    }

    /// Starts a node on each of these machines.
    ///
    /// # Panics
    /// When they do not start, or etcd is not installed.
    pub async fn start_on(hosts: Vec<Host>) -> Self {
        let at = |port: u16| hosts.iter().map(|host| format!("http://{}:{port}", host.address())).collect();
        Self::run(at(2379), Plan { peers: at(2380), arguments: Vec::new(), hosts }, None).await
    }

    /// Starts `count` nodes with further arguments. Where there are certificates, clients must have one.
    ///
    /// # Panics
    /// When they do not start, or etcd is not installed.
    pub async fn start_with(count: usize, arguments: &[&str], tls: Option<Certificates>) -> Self {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let ports: Vec<_> = (0..2 * count).map(|_| free_port()).collect();
        let urls = ports[..count].iter().map(|port| format!("{scheme}://127.0.0.1:{port}")).collect();
        let peers = ports[count..].iter().map(|port| format!("http://127.0.0.1:{port}")).collect();
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Self::run(urls, Plan { peers, hosts: Vec::new(), arguments }, tls).await
    }

    async fn run(urls: Vec<String>, mut plan: Plan, tls: Option<Certificates>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        if let Some(tls) = &tls {
            let mut write = |flag: &str, name: &str, text: &str| {
                let path = folder.path().join(name);
                std::fs::write(&path, text).expect("it is written");
                plan.arguments.extend([flag.to_owned(), path.to_str().expect("a plain path").to_owned()]);
            };
            write("--trusted-ca-file", "ca.pem", &tls.ca);
            write("--cert-file", "server.pem", &tls.server.0);
            write("--key-file", "server.key", &tls.server.1);
            plan.arguments.push("--client-cert-auth".to_owned());
        }
        let children = (0..urls.len()).map(|node| plan.start(node, &urls, folder.path())).collect();
        let tls = tls.map(|tls| EtcdTls {
            ca: tls.ca.into_bytes(),
            identity: Some((tls.client.0.into_bytes(), tls.client.1.into_bytes())),
        });
        let nodes = Self { children, urls, plan, tls, folder };
        nodes.connect().await;
        nodes
    }

    /// Kills a node at once.
    pub fn kill_9(&mut self, node: usize) {
        // It is there: whoever relies on it asserts that it was felt.
        let _ = self.children[node].kill();
        let _ = self.children[node].wait();
    }

    /// Starts a node again that was killed, with what it had stored.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&mut self, node: usize) {
        self.children[node] = self.plan.start(node, &self.urls, self.folder.path());
    }

    /// Copies what etcd holds to a file.
    ///
    /// # Panics
    /// When it cannot be copied, or etcdctl is not installed.
    pub fn save(&self, to: &Path) {
        etcdctl(Command::new("etcdctl").args(["--endpoints", &self.urls[0], "snapshot", "save"]).arg(to));
    }

    /// Puts a copy in the place of what the only node holds, and starts it again, as another cluster or as the same.
    ///
    /// # Panics
    /// When there are more nodes, the copy cannot be restored, or etcdctl is not installed.
    pub fn restore(&mut self, copy: &Path, token: &str) {
        assert_eq!(self.urls.len(), 1, "one node is restored");
        self.kill_9(0);
        let data = self.folder.path().join("n0");
        std::fs::remove_dir_all(&data).expect("it held something");
        let peer = &self.plan.peers[0];
        let mut restore = Command::new("etcdctl");
        restore.args(["snapshot", "restore"]).arg(copy).args(["--name", "n0", "--data-dir"]).arg(&data);
        restore.args(["--initial-cluster", &format!("n0={peer}"), "--initial-advertise-peer-urls", peer]);
        etcdctl(restore.args(["--initial-cluster-token", token]));
        self.restart(0);
    }

    /// Whether a node answers.
    pub async fn answers(&self, node: usize) -> bool {
        let asked = async { etcd_client::Client::connect([&self.urls[node]], None).await?.status().await };
        matches!(tokio::time::timeout(Duration::from_secs(1), asked).await, Ok(Ok(_)))
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

    /// The node that leads the others, once there is one.
    ///
    /// # Panics
    /// When there is none within a minute.
    pub async fn leader(&self) -> usize {
        let deadline = Instant::now() + PATIENCE;
        loop {
            for node in 0..self.urls.len() {
                let asked =
                    async { etcd_client::Client::connect([&self.urls[node]], None).await?.status().await };
                if let Ok(Ok(status)) = tokio::time::timeout(Duration::from_secs(1), asked).await
                    && status.header().is_some_and(|header| header.member_id() == status.leader())
                {
                    return node;
                }
            }
            assert!(Instant::now() < deadline, "no node leads");
        }
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

impl Plan {
    fn start(&self, node: usize, urls: &[String], folder: &Path) -> Child {
        let all: Vec<_> =
            self.peers.iter().enumerate().map(|(index, url)| format!("n{index}={url}")).collect();
        let mut command = Command::new("etcd");
        command.args(["--name", &format!("n{node}"), "--initial-cluster", &all.join(",")]);
        command.arg("--data-dir").arg(folder.join(format!("n{node}")));
        command.args(["--listen-client-urls", &urls[node], "--advertise-client-urls", &urls[node]]);
        let peer = &self.peers[node];
        command.args(["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]);
        command.args(&self.arguments);
        if let Some(host) = self.hosts.get(node) {
            command = host.on(&command);
        }
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap_or_else(|error| {
            panic!(
                "etcd cannot be started ({error}); install it (Debian and Ubuntu: apt install etcd-server)"
            )
        })
    }
}

fn etcdctl(command: &mut Command) {
    let done = command.env("ETCDCTL_API", "3").output().unwrap_or_else(|error| {
        panic!("etcdctl cannot be started ({error}); install it (Debian and Ubuntu: apt install etcd-client)")
    });
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
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
