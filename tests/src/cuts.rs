//! A way to a coordinator that cuts connections, or swallows what they carry.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the proxy does and has done.
#[derive(Debug, Default)]
struct Way {
    /// After how many bytes a connection is cut; 0 for never.
    limit: AtomicU64,
    /// How many more are cut.
    left: AtomicUsize,
    cuts: AtomicUsize,
    carried: AtomicU64,
    connections: AtomicUsize,
    /// What comes is taken and goes nowhere.
    swallows: AtomicBool,
}

/// It listens on loopback and forwards to one address.
#[derive(Debug)]
pub struct Cuts {
    address: SocketAddr,
    way: Arc<Way>,
}

impl Cuts {
    /// Starts one before `to`.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn before(to: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback is there");
        let address = listener.local_addr().expect("it has an address");
        let way = Arc::new(Way::default());
        let (to, carrying) = (to.to_owned(), Arc::clone(&way));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&to).await else { continue };
                carrying.connections.fetch_add(1, Ordering::SeqCst);
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                let cut = watch::Sender::new(false);
                for (from, to) in [(from_client, to_server), (from_server, to_client)] {
                    tokio::spawn(carry(from, to, Arc::clone(&carrying), cut.clone()));
                }
            }
        });
        Self { address, way }
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Cuts the next `times` connections after so many bytes in one direction.
    pub fn cut_after(&self, bytes: u64, times: usize) {
        self.way.limit.store(bytes, Ordering::SeqCst);
        self.way.left.store(times, Ordering::SeqCst);
    }

    /// From now on nothing passes, and nobody is told; until it is called with `false`, for connections that come then.
    pub fn swallow(&self, swallows: bool) {
        self.way.swallows.store(swallows, Ordering::SeqCst);
    }

    /// How many connections were cut.
    pub fn cuts(&self) -> usize {
        self.way.cuts.load(Ordering::SeqCst)
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.way.connections.load(Ordering::SeqCst)
    }

    /// Bytes that passed, both ways together.
    pub fn carried(&self) -> u64 {
        self.way.carried.load(Ordering::SeqCst)
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, way: Arc<Way>, cut: watch::Sender<bool>) {
    let mut told = cut.subscribe();
    let mut buffer = vec![0; 16 * 1024];
    let mut passed = 0;
    let mut swallowed = false;
    loop {
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            _ = told.changed() => return,
        };
        // What was swallowed once is missing for good.
        swallowed |= way.swallows.load(Ordering::SeqCst);
        if swallowed && !matches!(read, Ok(1..)) {
            // That one side has given up is not told to the other.
            return std::future::pending().await;
        }
        let Ok(read @ 1..) = read else { return };
        if swallowed {
            continue;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
        passed += read as u64;
        way.carried.fetch_add(read as u64, Ordering::SeqCst);
        let limit = way.limit.load(Ordering::SeqCst);
        let one_less = |left: usize| left.checked_sub(1);
        if limit > 0
            && passed > limit
            && way.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok()
        {
            way.cuts.fetch_add(1, Ordering::SeqCst);
            let _ = cut.send(true);
            return;
        }
    }
}
