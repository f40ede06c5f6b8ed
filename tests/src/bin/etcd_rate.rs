//! How fast the journal in etcd takes batches, on one node and on three, all on this machine.

use std::path::Path;
use std::time::Instant;

use ar_common::{Attempt, ExperimentId, Seq};
use ar_coordinator::election::{Candidate, ElectionSettings};
use ar_coordinator::journal::{EtcdJournal, Journal, Snapshots};
use ar_core::Record;
use ar_tests::etcd::Nodes;
use ar_tests::figures::Figures;
use clap::Parser;

/// Measures the journal in etcd.
#[derive(Debug, Parser)]
struct Args {
    /// Batches to append.
    #[arg(long, default_value_t = 2000)]
    batches: u64,
    /// Records in each.
    #[arg(long, default_value_t = 100)]
    records: u64,
    /// One JSON object per figure.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() {
    let args = Args::parse();
    let figures = Figures::new(args.json);
    for nodes in [1, 3] {
        measure(&args, &figures, nodes).await;
    }
}

async fn measure(args: &Args, figures: &Figures, count: usize) {
    let nodes = Nodes::start(count).await;
    let etcd = nodes.connect().await;
    let mut candidate = Candidate::new(&etcd, ElectionSettings::new("http://bench"));
    let leadership = candidate.campaign().await.expect("it is elected");
    let mut journal = EtcdJournal::open(&etcd, &leadership, &Snapshots::of(Path::new("unused")), None)
        .await
        .expect("it opens");
    let began = Instant::now();
    for batch in 0..args.batches {
        let first = 1 + batch * args.records;
        let records = (first..first + args.records).map(record).collect();
        journal.append(Seq(first), records).await.expect("it is appended");
    }
    let took = began.elapsed().as_secs_f64();
    let records = (args.batches * args.records) as f64;
    let of = format!("etcd of {count}, {} records each", args.records);
    figures.tell(&format!("durable batches, {of}"), args.batches as f64 / took, "1/s", "", &[]);
    figures.tell(&format!("durable records, {of}"), records / took, "1/s", "", &[]);
    let began = Instant::now();
    let mut read = 0.0;
    journal.each(&mut |_| read += 1.0).await.expect("it is read");
    figures.tell(&format!("records read, {of}"), read / began.elapsed().as_secs_f64(), "1/s", "", &[]);
    leadership.resign().await.expect("it resigns");
}

fn record(seq: u64) -> Record {
    Record::Granted {
        experiment: ExperimentId(seq),
        attempt: Attempt(1),
        worker: "worker-1".into(),
        boot: 1,
        deadline_ms: 60_000,
    }
}
