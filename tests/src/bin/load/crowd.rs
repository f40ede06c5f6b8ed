//! Workers in a process of their own: ten thousand of them and their coordinator have more connections than many machines let one
//! process have open.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ar_net::{Dial, Token};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;

use crate::worker::{Pace, Worker};
use crate::{Failure, cpu, planner};

/// Workers that hold a connection and send their heartbeats.
pub(crate) struct Crowd {
    child: Child,
    ask: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Crowd {
    pub(crate) fn start(count: usize, url: &str, token_file: &Path) -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--crowd", &count.to_string(), "--url", url])
            .arg("--token-file")
            .arg(token_file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let ask = child.stdin.take().ok_or("no standard input")?;
        let answers = BufReader::new(child.stdout.take().ok_or("no standard output")?).lines();
        Ok(Self { child, ask, answers })
    }

    /// Connections that failed or were lost by now; each was made again.
    pub(crate) async fn failed(&mut self) -> Result<usize, Failure> {
        self.ask.write_all(b"\n").await?;
        Ok(self.answers.next_line().await?.ok_or("the workers have ended")?.parse()?)
    }

    /// Processor seconds of their process.
    pub(crate) fn cpu(&self) -> Result<f64, Failure> {
        let pid = self.child.id().ok_or("the workers have ended")?;
        cpu(Path::new(&format!("/proc/{pid}/stat")))
    }

    pub(crate) async fn end(mut self) -> Result<(), Failure> {
        drop(self.ask);
        self.child.wait().await?;
        Ok(())
    }
}

/// What the process of the workers does: it answers each line with the connections that failed, until there are no more lines.
pub(crate) async fn stay(count: usize, url: String, token_file: PathBuf) -> Result<(), Failure> {
    let (dial, token) = (Dial::local(url), Token::load(&token_file)?);
    let (_stop, stopped) = watch::channel(false);
    let failed = Arc::new(AtomicUsize::new(0));
    for n in 0..count {
        tokio::spawn(come_and_stay(n, dial.clone(), token.clone(), stopped.clone(), Arc::clone(&failed)));
    }
    let answer = move || -> std::io::Result<()> {
        let mut out = std::io::stdout();
        for asked in std::io::stdin().lines() {
            asked?;
            writeln!(out, "{}", failed.load(Ordering::Relaxed))?;
            out.flush()?;
        }
        Ok(())
    };
    Ok(tokio::task::spawn_blocking(answer).await??)
}

/// A worker that comes again whenever its connection fails, as real ones do.
async fn come_and_stay(
    n: usize,
    dial: Dial,
    token: Token,
    stop: watch::Receiver<bool>,
    failed: Arc<AtomicUsize>,
) {
    let study = planner::study().id();
    loop {
        let worker = Worker::new(n, 0, Pace::Full, study.clone());
        // It ends with its process.
        let _ = worker.run(dial.clone(), token.clone(), stop.clone()).await;
        failed.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(rand::random_range(50..1_000))).await;
    }
}
