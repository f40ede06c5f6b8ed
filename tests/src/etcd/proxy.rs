//! A way to etcd that loses answers and holds requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What marks a request that writes records: the key of a batch.
const WRITE: &[u8] = b"/journal/0";

/// What becomes of the next request that writes records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It passes.
    Passes,
    /// It is forwarded, and the connection ends instead of the answer.
    LosesItsAnswer,
    /// As before, and then nothing passes any more.
    IsTheLast,
    /// It is held, with all that follows on its connection, until [`Proxy::release`].
    IsHeld,
    /// Nothing passes at all, and open connections end.
    CutOff,
}

/// What the proxy has done.
#[derive(Debug, Default)]
struct Counts {
    lost: AtomicUsize,
    held: AtomicUsize,
    answered: AtomicUsize,
}

/// It listens on loopback and forwards to one node.
#[derive(Debug)]
pub struct Proxy {
    address: String,
    next: watch::Sender<Next>,
    release: watch::Sender<bool>,
    counts: Arc<Counts>,
}

impl Proxy {
    /// Starts one before the node at `url`.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn before(url: &str) -> Self {
        let node = url.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("loopback is there");
        let address = format!("http://{}", listener.local_addr().expect("it has an address"));
        let next = watch::Sender::new(Next::Passes);
        let release = watch::Sender::new(false);
        let counts = Arc::new(Counts::default());
        let proxy = Self { address, next, release, counts };
        let way = proxy.way();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *way.next.borrow() == Next::CutOff {
                    continue;
                }
                let (node, way) = (node.clone(), way.clone());
                tokio::spawn(async move {
                    // A node that is down ends the connection, as it would without a proxy.
                    if let Ok(server) = TcpStream::connect(&node).await {
                        way.carry(client, server).await;
                    }
                });
            }
        });
        proxy
    }

    fn way(&self) -> Way {
        Way { next: self.next.clone(), release: self.release.subscribe(), counts: Arc::clone(&self.counts) }
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Says what becomes of the next request that writes records.
    pub fn set(&self, next: Next) {
        self.next.send_replace(next);
    }

    /// Lets what was held go on to the node.
    pub fn release(&self) {
        self.release.send_replace(true);
    }

    /// How many answers were lost.
    pub fn lost(&self) -> usize {
        self.counts.lost.load(Ordering::SeqCst)
    }

    /// How many requests were held.
    pub fn held(&self) -> usize {
        self.counts.held.load(Ordering::SeqCst)
    }

    /// How many answers came to held requests, after they were let go on.
    pub fn answered(&self) -> usize {
        self.counts.answered.load(Ordering::SeqCst)
    }
}

#[derive(Debug, Clone)]
struct Way {
    next: watch::Sender<Next>,
    release: watch::Receiver<bool>,
    counts: Arc<Counts>,
}

impl Way {
    async fn carry(self, client: TcpStream, server: TcpStream) {
        let mut cut = self.next.subscribe();
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        let (fate, told) = watch::channel(Next::Passes);
        let there = self.clone().there(from_client, to_server, fate);
        let back = self.back(from_server, to_client, told);
        tokio::select! {
            _ = async { tokio::join!(there, back) } => {}
            _ = cut.wait_for(|next| *next == Next::CutOff) => {}
        }
    }

    async fn there(
        mut self,
        mut client: OwnedReadHalf,
        mut server: OwnedWriteHalf,
        fate: watch::Sender<Next>,
    ) {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(count @ 1..) = client.read(&mut bytes).await {
            let bytes = &bytes[..count];
            let writes = bytes.windows(WRITE.len()).any(|window| window == WRITE);
            if writes {
                match self.next.send_replace(Next::Passes) {
                    next @ (Next::LosesItsAnswer | Next::IsTheLast) => drop(fate.send_replace(next)),
                    Next::IsHeld => {
                        self.counts.held.fetch_add(1, Ordering::SeqCst);
                        let _ = self.release.wait_for(|release| *release).await;
                        fate.send_replace(Next::IsHeld);
                        let _ = server.write_all(bytes).await;
                        // What the client said since, that it waits no more, must not arrive; nor its end.
                        std::future::pending::<()>().await;
                    }
                    Next::Passes | Next::CutOff => {}
                }
            }
            if server.write_all(bytes).await.is_err() {
                return;
            }
        }
    }

    async fn back(self, mut server: OwnedReadHalf, mut client: OwnedWriteHalf, told: watch::Receiver<Next>) {
        let mut bytes = vec![0; 64 << 10];
        let mut frames = Frames::default();
        while let Ok(count @ 1..) = server.read(&mut bytes).await {
            let fate = *told.borrow();
            let answers = frames.answer(&bytes[..count]);
            if matches!(fate, Next::LosesItsAnswer | Next::IsTheLast) && answers {
                if fate == Next::IsTheLast {
                    self.next.send_replace(Next::CutOff);
                }
                self.counts.lost.fetch_add(1, Ordering::SeqCst);
                return;
            }
            if fate == Next::IsHeld && answers {
                self.counts.answered.fetch_add(1, Ordering::SeqCst);
            }
            // The client of a held request has long gone.
            let _ = client.write_all(&bytes[..count]).await;
        }
    }
}

/// The frames of HTTP/2 as they pass, however the stream is cut.
#[derive(Debug, Default)]
struct Frames {
    header: Vec<u8>,
    payload: usize,
}

impl Frames {
    /// Whether the head of an answer begins among these bytes. Windows and acknowledgements are none.
    fn answer(&mut self, mut bytes: &[u8]) -> bool {
        const LENGTH: usize = 9;
        const HEADERS: u8 = 1;
        let mut found = false;
        while !bytes.is_empty() {
            if self.payload > 0 {
                let skipped = self.payload.min(bytes.len());
                self.payload -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            self.header.push(bytes[0]);
            bytes = &bytes[1..];
            if let &[a, b, c, kind, ..] = self.header.as_slice()
                && self.header.len() == LENGTH
            {
                self.payload = u32::from_be_bytes([0, a, b, c]) as usize;
                found |= kind == HEADERS;
                self.header.clear();
            }
        }
        found
    }
}
