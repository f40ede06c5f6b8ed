//! Ten thousand connections that say nothing, half of something, or rubbish: whoever has a token gets through beside them, and
//! they are ended.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use ar_tests::etcd::Certificates;
use ar_tests::project::Project;
use ar_tests::service::{Head, SLOW, ended, experiments, http, submitted};
use ar_tests::{processes, run};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Connections that are opened.
const MANY: usize = 10_000;
/// Files and connections that this test has open beside them.
const OTHERS: u64 = 500;
/// Longest that one may be held: the coordinator's patience, and time to get round to all of them.
const HELD: Duration = Duration::from_secs(60);
/// Most memory that one of them may cost, bytes.
const EACH: u64 = 64 << 10;

/// As many as this machine lets a process have, which is said.
fn count() -> usize {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let wanted = MANY as u64 + OTHERS;
    // Root may have as many as it wants.
    let _ = setrlimit(Resource::RLIMIT_NOFILE, hard.max(wanted), hard.max(wanted));
    let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let count = MANY.min(usize::try_from(soft.saturating_sub(OTHERS)).unwrap());
    if count < MANY {
        println!("SKIPPED: all but {count} of {MANY} connections. A process may have {soft} files open here");
    }
    count
}

/// Connections, each of which says one of these and then nothing. Many are opened at a time: the first are ended soon.
fn strangers(address: &str, count: usize, say: &[&[u8]]) -> Vec<TcpStream> {
    const AT_A_TIME: usize = 32;
    let open = |n: usize| {
        let mut stream = TcpStream::connect(address).unwrap();
        // What is ended at once need not take it.
        let _ = stream.write_all(say[n % say.len()]);
        stream
    };
    std::thread::scope(|scope| {
        let part = |first: usize| {
            scope.spawn(move || (first..count).step_by(AT_A_TIME).map(open).collect::<Vec<_>>())
        };
        let parts: Vec<_> = (0..AT_A_TIME).map(part).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    })
}

/// How many are open.
fn open(streams: &[TcpStream]) -> usize {
    let open = |stream: &&TcpStream| {
        stream.set_nonblocking(true).unwrap();
        let seen = stream.peek(&mut [0]);
        stream.set_nonblocking(false).unwrap();
        !matches!(seen, Ok(0)) && !seen.is_err_and(|error| error.kind() != ErrorKind::WouldBlock)
    };
    streams.iter().filter(open).count()
}

/// Waits until each has been ended from the other side; how long the last took.
fn all_end(streams: Vec<TcpStream>) -> Duration {
    let began = Instant::now();
    for mut stream in streams {
        stream.set_read_timeout(Some(HELD)).unwrap();
        let mut bytes = [0; 4096];
        loop {
            match stream.read(&mut bytes) {
                Ok(0) => break,
                Ok(_) => assert!(began.elapsed() < HELD, "it goes on talking"),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    panic!("it is still open after {:?}", began.elapsed())
                }
                Err(_) => break,
            }
        }
        assert!(began.elapsed() < HELD, "some are still open after {:?}", began.elapsed());
    }
    began.elapsed()
}

#[test]
fn ten_thousand_strangers_stop_nobody_and_are_ended() {
    let home = tempfile::tempdir().unwrap();
    let count = count();
    let head = Head::start(home.path(), &[]);
    let memory = || processes::peak_memory(head.pid()).unwrap();
    let before = memory();
    let rubbish = [0xff; 4096];
    let said: [&[u8]; 5] = [
        b"",
        b"GET /metrics HTTP/1.1\r\nx: ",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff",
        // A preface and settings, as gRPC begins, and no request after it.
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        &rubbish,
    ];
    let began = Instant::now();
    let held = strangers(head.address(), count, &said);
    let at_once = open(&held);
    println!("{count} connections in {:.1?}, {at_once} of them open at once", began.elapsed());
    assert!(at_once >= count / 5, "{at_once} of {count} were open at once");
    // Who has a token works as if they were not there.
    assert!(http(head.address(), "/healthz", None).starts_with("HTTP/1.1 200"));
    assert!(head.ask(&["status"]).status.success());
    let project = Project::new(SLOW);
    let mut worker = head.worker("w1", &["--slots", "2"]);
    let study = submitted(&head, &project, &["--budget", "12", "--rounds", "1"]);
    head.until(&study, |line| line["ended"].as_u64() >= Some(1));
    let took = began.elapsed();
    head.until(&study, ended);
    assert!(experiments(&head, &study).iter().all(|e| e["outcome"] == "done"));
    let each = memory().saturating_sub(before) / count as u64;
    println!("the first result after {took:.1?}; {each} bytes for each");
    assert!(each < EACH, "{each} bytes for each");
    println!("the last of them ended {:.1?} later", all_end(held));
    assert!(head.ask(&["status"]).status.success());
    assert_eq!(worker.leave(), Some(0));
}

/// Requests that are almost right, with a token and without: each is answered or refused, and nothing panics.
#[test]
fn requests_that_are_almost_right_are_answered_or_refused() {
    let home = tempfile::tempdir().unwrap();
    let head = Head::start(home.path(), &[]);
    let token = std::fs::read_to_string(head.token("submit")).unwrap();
    let mut draws = ChaCha8Rng::seed_from_u64(1);
    let paths =
        ["/api/v1/studies", "/api/v1/studies/none", "/api/v1/workers", "/metrics", "/readyz", "/%2e%2e/x"];
    let mut answered = 0;
    for n in 0..1_500 {
        let path = paths[n % paths.len()];
        let mut request = format!(
            "GET {path}?limit={}&after=%00&x={} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {}\r\n\r\n",
            draws.random::<i64>(),
            "y".repeat(draws.random_range(0..2_000)),
            token.trim()
        )
        .into_bytes();
        for _ in 0..draws.random_range(0..4) {
            let at = draws.random_range(0..request.len());
            request[at] = draws.random();
        }
        let mut stream = TcpStream::connect(head.address()).unwrap();
        let _ = stream.write_all(&request);
        // A head that was never ended is waited for; this one is not.
        let _ = stream.shutdown(Shutdown::Write);
        stream.set_read_timeout(Some(HELD)).unwrap();
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        assert!(!read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "no end: {request:?}");
        answered += usize::from(answer.starts_with(b"HTTP/1.1 "));
    }
    assert!(answered > 500, "{answered}");
    assert!(http(head.address(), "/readyz", None).starts_with("HTTP/1.1 200"));
    assert!(!head.log().contains("panicked"), "{}", head.log());
    assert!(head.ask(&["status"]).status.success());
}

fn written(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn handshakes_that_never_end_stop_nobody_and_are_ended() {
    let home = tempfile::tempdir().unwrap();
    let signed = Certificates::make();
    let ca = written(home.path(), "ca.pem", &signed.ca);
    let certificate = written(home.path(), "server.pem", &signed.server.0);
    let key = written(home.path(), "server.key", &signed.server.1);
    let head = Head::start(home.path(), &["--tls-cert", &certificate, "--tls-key", &key])
        .for_clients(&["--ca", &ca]);
    let before = processes::peak_memory(head.pid()).unwrap();
    // Nothing, the first half of a greeting, one in the clear, and rubbish.
    let said: [&[u8]; 4] =
        [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/1.1\r\n\r\n", &[0xff; 512]];
    let count = count() / 4;
    let held = strangers(head.address(), count, &said);
    let status = head.ask(&["status"]);
    assert!(status.status.success(), "{}", run::stderr(&status));
    let each = processes::peak_memory(head.pid()).unwrap().saturating_sub(before) / count as u64;
    assert!(each < EACH, "{each} bytes for each");
    println!("{count} handshakes, {each} bytes for each; the last ended after {:.1?}", all_end(held));
    assert!(head.ask(&["status"]).status.success());
}
