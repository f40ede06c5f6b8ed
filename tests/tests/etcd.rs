//! The journal and the election on a real etcd, and what they do when it fails them.

mod etcd {
    mod connecting;
}

use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};

use ar_common::{Attempt, Epoch, ExperimentId, Seq};
use ar_coordinator::actor;
use ar_coordinator::election::{Candidate, ElectionSettings, Leader, Leadership};
use ar_coordinator::etcd::Etcd;
use ar_coordinator::journal::{Entry, EtcdJournal, Follower, Journal, JournalError, Snapshots};
use ar_core::{Record, Timing};
use ar_tests::etcd::proxy::{Next, Proxy};
use ar_tests::etcd::{CLUSTER, Nodes};
use etcd_client::{AlarmAction, AlarmOptions, AlarmType, CompactionOptions, GetOptions};
use nix::sys::signal::Signal;

const PATIENCE: Duration = Duration::from_secs(60);

fn settings(url: &str) -> ElectionSettings {
    ElectionSettings { ttl: Duration::from_secs(2), ..ElectionSettings::new(url) }
}

async fn elect(etcd: &Etcd, url: &str) -> Leadership {
    within(Candidate::new(etcd, settings(url)).campaign()).await.expect("it is elected")
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("it is done within a minute")
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited for a minute: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// No snapshot is made in these tests but where one says so.
fn none() -> Snapshots {
    Snapshots::of(Path::new("no such folder"))
}

async fn open(etcd: &Etcd, leadership: &Leadership) -> EtcdJournal {
    within(EtcdJournal::open(etcd, leadership, &none(), None)).await.expect("it opens")
}

/// The record that the tests put at `seq`.
fn sample(seq: u64, size: usize) -> Record {
    if seq == 1 {
        return Record::StoreMade { format: Record::FORMAT, incarnation: 7 };
    }
    Record::Granted {
        experiment: ExperimentId(seq),
        attempt: Attempt(1),
        worker: format!("worker-{seq}-{}", "x".repeat(size)).as_str().into(),
        boot: seq.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        deadline_ms: 60_000,
    }
}

fn samples(first: u64, count: u64) -> Vec<Record> {
    (first..first + count).map(|seq| sample(seq, 20)).collect()
}

async fn append(journal: &mut EtcdJournal, first: u64, count: u64) -> Result<(), JournalError> {
    within(journal.append(Seq(first), samples(first, count))).await
}

async fn entries(journal: &mut EtcdJournal) -> Vec<Entry> {
    let mut entries = Vec::new();
    within(journal.each(&mut |entry| entries.push(entry))).await.expect("it is read");
    entries
}

fn expected(last: u64) -> Vec<Entry> {
    (1..=last).map(|seq| Entry { seq: Seq(seq), record: sample(seq, 20) }).collect()
}

/// What the next leader reads.
async fn read_by_the_next(nodes: &Nodes) -> Vec<Entry> {
    let etcd = nodes.connect().await;
    let leadership = elect(&etcd, "http://reader").await;
    let entries = entries(&mut open(&etcd, &leadership).await).await;
    leadership.resign().await.expect("it resigns");
    entries
}

/// How many keys hold records.
async fn keys(nodes: &Nodes) -> usize {
    let options = GetOptions::new().with_prefix().with_keys_only();
    let prefix = format!("/autoresearch/{CLUSTER}/journal/");
    nodes.client(0).await.get(prefix, Some(options)).await.expect("it answers").kvs().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_etcd_is_told_from_the_one_that_was_copied() {
    let (mut nodes, home) = (Nodes::start(1).await, tempfile::tempdir().unwrap());
    let copy = home.path().join("copy");
    let begun = async |nodes: &Nodes, url: &str| {
        let etcd = nodes.connect().await;
        let leadership = elect(&etcd, url).await;
        (open(&etcd, &leadership).await, leadership)
    };
    let (mut journal, leadership) = begun(&nodes, "http://a").await;
    assert!(!journal.is_restored(), "it is new");
    append(&mut journal, 1, 3).await.unwrap();
    leadership.resign().await.unwrap();
    let (mut journal, leadership) = begun(&nodes, "http://b").await;
    assert!(!journal.is_restored(), "nothing happened");
    nodes.save(&copy);
    append(&mut journal, 4, 3).await.unwrap();
    leadership.resign().await.unwrap();
    nodes.restore(&copy, "restored");
    let (journal, leadership) = begun(&nodes, "http://c").await;
    assert_eq!(journal.last(), Seq(3), "it is the copy");
    assert!(journal.is_restored());
    leadership.resign().await.unwrap();
    let (mut journal, leadership) = begun(&nodes, "http://d").await;
    assert!(journal.is_restored(), "who only looked has told nobody");
    append(&mut journal, 4, 3).await.unwrap();
    leadership.resign().await.unwrap();
    let (journal, leadership) = begun(&nodes, "http://e").await;
    assert!(!journal.is_restored(), "it was told with the first record");
    leadership.resign().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_there_for_the_next_leader_in_order() {
    let nodes = Nodes::start(1).await;
    let etcd = nodes.connect().await;
    let leadership = elect(&etcd, "http://a").await;
    let mut journal = open(&etcd, &leadership).await;
    let mut next = 1;
    while next <= 500 {
        let count = (next % 7 + 1).min(501 - next);
        append(&mut journal, next, count).await.unwrap();
        next += count;
    }
    assert_eq!(entries(&mut journal).await, expected(500));
    for wrong in [0, 500, 502] {
        let error = append(&mut journal, wrong, 1).await.unwrap_err();
        assert!(matches!(error, JournalError::NotNext { expected: Seq(501), .. }), "{error}");
    }
    append(&mut journal, 501, 0).await.unwrap();
    append(&mut journal, 501, 1).await.unwrap();
    leadership.resign().await.unwrap();
    assert_eq!(read_by_the_next(&nodes).await, expected(501));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_over_the_limit_of_a_value_is_split_and_there_whole() {
    let nodes = Nodes::start(1).await;
    let etcd = nodes.connect().await;
    let leadership = elect(&etcd, "http://a").await;
    let mut journal = open(&etcd, &leadership).await;
    // Many records, and one that alone is larger than a value may be.
    let mut records = vec![sample(1, 0)];
    records.extend((2..3000).map(|seq| sample(seq, 1000)));
    records.push(sample(3000, 2_500_000));
    within(journal.append(Seq(1), records.clone())).await.unwrap();
    assert!(keys(&nodes).await >= 5, "it was not split");
    append(&mut journal, 3001, 2).await.unwrap();
    records.extend(samples(3001, 2));
    let found: Vec<_> = entries(&mut journal).await.into_iter().map(|entry| entry.record).collect();
    assert!(found == records, "{} records of {}", found.len(), records.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_fallen_leader_left_of_a_batch_is_no_part_of_the_journal() {
    let nodes = Nodes::start(1).await;
    let proxy = Proxy::before(nodes.url(0)).await;
    let etcd = nodes.connect().await;
    let leadership = elect(&etcd, "http://a").await;
    let behind = Etcd::connect(nodes.by(proxy.address())).await.unwrap();
    let mut journal = open(&behind, &leadership).await;
    append(&mut journal, 1, 3).await.unwrap();
    // Its first part arrives, the answer does not, and then nothing more.
    proxy.set(Next::IsTheLast);
    let large: Vec<_> = (4..3000).map(|seq| sample(seq, 1000)).collect();
    {
        let mut append = journal.append(Seq(4), large);
        tokio::select! {
            _ = &mut append => panic!("it cannot be done"),
            () = until("an answer is lost", || proxy.lost() == 1) => {}
        }
    }
    assert!(keys(&nodes).await > 1, "nothing was left");
    let error = append(&mut journal, 4, 1).await.unwrap_err();
    assert!(matches!(error, JournalError::Stopped { .. }), "{error}");
    drop(leadership);
    assert_eq!(read_by_the_next(&nodes).await, expected(3));
    assert_eq!(keys(&nodes).await, 1, "the next leader removes what is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_append_that_was_on_its_way_when_another_was_elected_does_not_count() {
    let nodes = Nodes::start(1).await;
    let proxy = Proxy::before(nodes.url(0)).await;
    let etcd = nodes.connect().await;
    let old = elect(&etcd, "http://old").await;
    let behind = Etcd::connect(nodes.by(proxy.address())).await.unwrap();
    let mut journal = open(&behind, &old).await;
    append(&mut journal, 1, 3).await.unwrap();
    proxy.set(Next::IsHeld);
    let (result, new) = {
        let late = append(&mut journal, 4, 2);
        let takeover = async {
            until("the append is held", || proxy.held() == 1).await;
            old.resign().await.unwrap();
            // Elected, and not a word written: the head is where the old one left it.
            let new = elect(&etcd, "http://new").await;
            proxy.release();
            until("the late append is answered", || proxy.answered() > 0).await;
            new
        };
        tokio::join!(late, takeover)
    };
    let error = result.unwrap_err();
    assert!(matches!(error, JournalError::NotLeader { .. }), "{error}");
    let mut next = open(&etcd, &new).await;
    assert_eq!(entries(&mut next).await, expected(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deposed_leader_is_told_who_leads() {
    let nodes = Nodes::start(1).await;
    let etcd = nodes.connect().await;
    let old = elect(&etcd, "http://old").await;
    let mut journal = open(&etcd, &old).await;
    append(&mut journal, 1, 3).await.unwrap();
    // Not by its own lease, of whose end it would know.
    let key = format!("/autoresearch/{CLUSTER}/leader");
    nodes.client(0).await.delete(key, None).await.unwrap();
    let new = elect(&etcd, "http://new").await;
    assert!(new.epoch() > old.epoch());
    let error = append(&mut journal, 4, 1).await.unwrap_err();
    let JournalError::NotLeader { leader, .. } = &error else { panic!("{error}") };
    assert_eq!(leader.as_deref(), Some("http://new"));
    assert_eq!(entries(&mut open(&etcd, &new).await).await, expected(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_whose_answer_was_lost_are_there_once() {
    let nodes = Nodes::start(1).await;
    let proxy = Proxy::before(nodes.url(0)).await;
    let etcd = Etcd::connect(nodes.by(proxy.address())).await.unwrap();
    let leadership = elect(&etcd, "http://a").await;
    let mut journal = open(&etcd, &leadership).await;
    append(&mut journal, 1, 3).await.unwrap();
    for (index, first) in (4..10).step_by(2).enumerate() {
        proxy.set(Next::LosesItsAnswer);
        append(&mut journal, first, 2).await.unwrap();
        assert_eq!(proxy.lost(), index + 1, "the answer was not lost");
    }
    append(&mut journal, 10, 1).await.unwrap();
    assert_eq!(entries(&mut journal).await, expected(10));
    leadership.resign().await.unwrap();
    assert_eq!(read_by_the_next(&nodes).await, expected(10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_try_that_arrives_after_its_repetition_takes_nothing_back() {
    let nodes = Nodes::start(1).await;
    let proxy = Proxy::before(nodes.url(0)).await;
    let etcd = Etcd::connect(nodes.by(proxy.address())).await.unwrap();
    let leadership = elect(&etcd, "http://a").await;
    let mut journal = open(&etcd, &leadership).await;
    append(&mut journal, 1, 3).await.unwrap();
    proxy.set(Next::IsHeld);
    append(&mut journal, 4, 2).await.unwrap();
    assert_eq!(proxy.held(), 1, "the first try was not held");
    append(&mut journal, 6, 2).await.unwrap();
    proxy.release();
    until("the first try is answered", || proxy.answered() > 0).await;
    // As the next process would find it, before anything moves the head on.
    assert_eq!(entries(&mut open(&etcd, &leadership).await).await, expected(7));
    append(&mut journal, 8, 2).await.unwrap();
    assert_eq!(entries(&mut journal).await, expected(9));
    leadership.resign().await.unwrap();
    assert_eq!(read_by_the_next(&nodes).await, expected(9));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_etcd_that_stands_still_for_three_seconds_costs_three_seconds() {
    let nodes = Nodes::start(1).await;
    let etcd = nodes.connect().await;
    let leadership =
        within(Candidate::new(&etcd, ElectionSettings::new("http://a")).campaign()).await.unwrap();
    let mut journal = open(&etcd, &leadership).await;
    append(&mut journal, 1, 3).await.unwrap();
    nodes.signal(0, Signal::SIGSTOP);
    let began = Instant::now();
    let resume = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        nodes.signal(0, Signal::SIGCONT);
    };
    let (appended, ()) = tokio::join!(append(&mut journal, 4, 2), resume);
    appended.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(3), "it did not stand still");
    append(&mut journal, 6, 1).await.unwrap();
    assert_eq!(entries(&mut journal).await, expected(6));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_etcd_holds_records_up_until_there_is_room() {
    let nodes = Nodes::start_with(1, &["--quota-backend-bytes", "2500000"], None).await;
    let etcd = nodes.connect().await;
    let leadership = elect(&etcd, "http://a").await;
    let mut journal = open(&etcd, &leadership).await;
    append(&mut journal, 1, 3).await.unwrap();
    // Something else fills it.
    let mut client = nodes.client(0).await;
    let mut full = None;
    for _ in 0..100 {
        if let Err(error) = client.put("filler", vec![0; 500_000], None).await {
            full = Some(error.to_string());
            break;
        }
    }
    assert!(full.as_deref().is_some_and(|why| why.contains("space exceeded")), "{full:?}");
    {
        let mut held = std::pin::pin!(append(&mut journal, 4, 2));
        let early = tokio::time::timeout(Duration::from_secs(1), &mut held).await;
        assert!(early.is_err(), "it was taken by a full etcd");
        let answer = client.delete("filler", None).await.unwrap();
        let physical = CompactionOptions::new().with_physical();
        client.compact(answer.header().unwrap().revision(), Some(physical)).await.unwrap();
        client.defragment().await.unwrap();
        let alarms = client.alarm(AlarmAction::Get, AlarmType::Nospace, None).await.unwrap();
        let alarm = alarms.alarms().first().expect("there is an alarm");
        let mut of = AlarmOptions::new();
        of.with_member(alarm.member_id());
        client.alarm(AlarmAction::Deactivate, AlarmType::Nospace, Some(of)).await.unwrap();
        held.await.unwrap();
    }
    assert_eq!(entries(&mut journal).await, expected(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_takes_over_with_everything_and_a_higher_epoch() {
    let nodes = Nodes::start(1).await;
    let etcd = nodes.connect().await;
    let first = elect(&etcd, "http://first").await;
    let mut journal = open(&etcd, &first).await;
    append(&mut journal, 1, 50).await.unwrap();

    let mut candidate = Candidate::new(&etcd, settings("http://second"));
    let mut leader = candidate.leader();
    let mut follower = Follower::new(&etcd, &none());
    let (stop, mut stopped) = tokio::sync::watch::channel(Seq(0));
    let standby = tokio::spawn(async move {
        // Stands by in slices, so that the test sees how far the follower is.
        loop {
            let stand_by = candidate.stand_by(&mut follower);
            if let Ok(elected) = tokio::time::timeout(Duration::from_millis(300), stand_by).await {
                return (elected, follower);
            }
            stop.send_replace(follower.state().seq);
        }
    });
    within(leader.wait_for(Option::is_some)).await.unwrap();
    assert_eq!(*leader.borrow(), Some(Leader { url: "http://first".to_owned(), epoch: first.epoch() }));
    within(stopped.wait_for(|seq| *seq == Seq(50))).await.expect("it follows");
    append(&mut journal, 51, 10).await.unwrap();
    within(stopped.wait_for(|seq| *seq == Seq(60))).await.expect("it follows on");
    append(&mut journal, 61, 5).await.unwrap();

    let (old, began) = (first.epoch(), Instant::now());
    // Its keep-alive ends, as when its process is killed.
    drop(first);
    let (second, follower) = within(standby).await.unwrap();
    let second = second.unwrap();
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    assert!(second.epoch() > old);
    let mut next = EtcdJournal::open(&etcd, &second, &none(), Some(follower)).await.unwrap();
    let warm = next.replay().await.unwrap();
    assert_eq!(warm, next.replay().await.unwrap(), "warm and cold are one");
    assert_eq!(warm.seq, Seq(65));
    assert!(matches!(append(&mut journal, 66, 1).await, Err(JournalError::NotLeader { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_actor_reigns_under_the_epoch_of_the_leader_key() {
    let nodes = Nodes::start(1).await;
    let etcd = nodes.connect().await;
    let mut last = Epoch(0);
    for _ in 0..2 {
        let leadership = elect(&etcd, "http://a").await;
        let journal = open(&etcd, &leadership).await;
        let (handle, actor) = actor::start(Box::new(journal), Timing::default()).await.unwrap();
        let (state, _) = handle.watch().await.unwrap();
        assert_eq!(state.epoch, leadership.epoch());
        assert!(state.epoch > last);
        last = state.epoch;
        handle.stop().await;
        actor.await.unwrap().unwrap();
        leadership.resign().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_cut_off_gives_up_and_another_one_leads() {
    let nodes = Nodes::start(1).await;
    let proxy = Proxy::before(nodes.url(0)).await;
    let behind = Etcd::connect(nodes.by(proxy.address())).await.unwrap();
    let of_old = ElectionSettings { patience: Duration::from_secs(4), ..settings("http://old") };
    let old = within(Candidate::new(&behind, of_old).campaign()).await.unwrap();
    let mut journal = open(&behind, &old).await;
    append(&mut journal, 1, 3).await.unwrap();
    proxy.set(Next::CutOff);
    let etcd = nodes.connect().await;
    let (new, why, late) =
        tokio::join!(elect(&etcd, "http://new"), within(old.lost()), append(&mut journal, 4, 1));
    assert!(why.contains("has not answered"), "{why}");
    assert!(matches!(late, Err(JournalError::NotLeader { .. })), "{late:?}");
    assert_eq!(entries(&mut open(&etcd, &new).await).await, expected(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_go_on_when_the_leading_node_of_three_is_killed() {
    let nodes = Nodes::start(3).await;
    let etcd = nodes.connect().await;
    let leadership = elect(&etcd, "http://a").await;
    let mut journal = open(&etcd, &leadership).await;
    append(&mut journal, 1, 100).await.unwrap();
    let killed = nodes.leader().await;
    nodes.signal(killed, Signal::SIGKILL);
    for first in (101..201).step_by(10) {
        append(&mut journal, first, 10).await.unwrap();
    }
    assert!(etcd_client::Client::connect([nodes.url(killed)], None).await.unwrap().status().await.is_err());
    assert_eq!(entries(&mut journal).await, expected(200));
    assert_eq!(leadership.epoch(), journal.epoch().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_lost_or_changed_a_key_is_refused() {
    let nodes = Nodes::start(1).await;
    let etcd = nodes.connect().await;
    let leadership = elect(&etcd, "http://a").await;
    let mut journal = open(&etcd, &leadership).await;
    for first in [1, 4, 7] {
        append(&mut journal, first, 3).await.unwrap();
    }
    let mut client = nodes.client(0).await;
    let key = format!("/autoresearch/{CLUSTER}/journal/{:020}.00000", 4);
    let mut value = client.get(key.clone(), None).await.unwrap().kvs()[0].value().to_vec();
    let refused = async |seq: u64, says: &str| {
        let error = within(Follower::new(&etcd, &none()).catch_up()).await.unwrap_err();
        let JournalError::DamagedInEtcd { seq: at, what, .. } = &error else { panic!("{error}") };
        assert_eq!(*at, Seq(seq), "{error}");
        assert!(what.contains(says), "{error}");
    };
    *value.last_mut().unwrap() ^= 1;
    client.put(key.clone(), value, None).await.unwrap();
    refused(6, "checksum").await;
    client.delete(key, None).await.unwrap();
    refused(4, "it is missing, and record 7 is there").await;
    client.delete(format!("/autoresearch/{CLUSTER}/journal/{:020}.00000", 7), None).await.unwrap();
    refused(4, "the head says that 9 was written").await;
}
