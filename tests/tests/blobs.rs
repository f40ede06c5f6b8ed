//! Files on their way to and from a coordinator, over connections that are cut, and what becomes of those that nobody needs.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use ar_common::Digest;
use ar_net::{BlobStore, Dial, Token, transfer};
use ar_proto::v1::coordinator_client::CoordinatorClient;
use ar_tests::cuts::Cuts;
use ar_tests::project::{GOOD, Project};
use ar_tests::run;
use ar_tests::service::{self, Head, SLOW};
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;

/// How long anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

async fn client(url: &str) -> CoordinatorClient<Channel> {
    let channel = Dial::local(url).endpoints().unwrap()[0].connect().await.unwrap();
    CoordinatorClient::new(channel).max_decoding_message_size(ar_proto::MESSAGE_LIMIT)
}

fn authorize(head: &Head) -> impl Fn(&mut MetadataMap) + use<> {
    let header = Token::load(&head.token("worker")).unwrap().header();
    move |metadata| {
        metadata.insert(ar_proto::AUTHORIZATION, header.parse().unwrap());
    }
}

/// Bytes that nothing makes smaller and no two places share.
fn content(bytes: u32) -> Vec<u8> {
    (0..bytes / 4).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

fn blob(head: &Head, digest: &Digest) -> PathBuf {
    let name = digest.to_string();
    head.out().join("store/blobs").join(&name[..2]).join(&name[2..])
}

fn until(what: &str, is: impl Fn() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::yield_now();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_arrives_both_ways_over_connections_that_are_cut() {
    let folder = tempfile::tempdir().unwrap();
    let head = Head::start(folder.path(), &[]);
    let cuts = Cuts::before(head.address()).await;
    let mut client = client(&cuts.url()).await;
    let store = |name: &str| BlobStore::open(&folder.path().join(name)).unwrap();
    let (here, there) = (store("here"), store("there"));
    let size = 16 << 20;
    let digest = here.put(&content(size)).unwrap();

    cuts.cut_after(4 << 20, 3);
    transfer::send(&mut client, &here, digest, authorize(&head)).await.unwrap();
    assert_eq!((cuts.cuts(), blob(&head, &digest).exists()), (3, true));
    // What was on its way when a connection was cut is sent again, the rest is not.
    let (sent, size) = (cuts.carried(), u64::from(size));
    assert!(sent < size + size / 2, "{sent} bytes were sent of {size}");

    cuts.cut_after(4 << 20, 3);
    transfer::fetch(&mut client, &there, digest, authorize(&head)).await.unwrap();
    let fetched = cuts.carried() - sent;
    assert!(cuts.cuts() == 6 && fetched < size + size / 2, "{fetched} bytes were fetched of {size}");
    assert_eq!(there.read(&digest).unwrap(), here.read(&digest).unwrap());

    // What is there is not sent again.
    cuts.cut_after(0, 0);
    let before = cuts.carried();
    transfer::send(&mut client, &here, digest, authorize(&head)).await.unwrap();
    assert!(cuts.carried() - before < 10_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_beginning_on_either_side_is_thrown_away_and_the_file_arrives() {
    let folder = tempfile::tempdir().unwrap();
    let head = Head::start(folder.path(), &[]);
    let mut client = client(&head.urls).await;
    let store = |name: &str| BlobStore::open(&folder.path().join(name)).unwrap();
    let (here, there) = (store("here"), store("there"));
    let digest = here.put(&content(1 << 20)).unwrap();
    let wrong = |root: &Path| {
        let partial = root.join("partial").join(digest.to_string());
        std::fs::create_dir_all(partial.parent().unwrap()).unwrap();
        std::fs::write(&partial, vec![7; 500_000]).unwrap();
        partial
    };
    let partial = wrong(&head.out().join("store/blobs"));
    transfer::send(&mut client, &here, digest, authorize(&head)).await.unwrap();
    assert!(blob(&head, &digest).exists() && !partial.exists());
    let partial = wrong(&folder.path().join("there"));
    transfer::fetch(&mut client, &there, digest, authorize(&head)).await.unwrap();
    assert!(there.contains(&digest) && !partial.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_study_refers_to_is_removed_and_what_one_needs_stays() {
    let folder = tempfile::tempdir().unwrap();
    let head = Head::start(folder.path(), &["--keep-unreferenced", "2s"]);
    let mut client = client(&head.urls).await;
    let here = BlobStore::open(&folder.path().join("here")).unwrap();
    let project = Project::new(SLOW);
    let study = service::submitted(&head, &project, &["--budget", "4", "--rounds", "1"]);
    let files = BlobStore::open(&head.out().join("store/blobs")).unwrap().list().unwrap();
    assert!(files.len() >= 3, "its files and their list");

    let unneeded = here.put(&content(4096)).unwrap();
    transfer::send(&mut client, &here, unneeded, authorize(&head)).await.unwrap();
    let partial = head.out().join("store/blobs/partial").join(Digest::of(b"half").to_string());
    std::fs::create_dir_all(partial.parent().unwrap()).unwrap();
    std::fs::write(&partial, b"ha").unwrap();
    assert!(blob(&head, &unneeded).exists());
    until("it is removed", || !blob(&head, &unneeded).exists() && !partial.exists());
    for file in &files {
        assert!(blob(&head, &file.digest).exists(), "{} is needed", file.digest);
    }
    // Also by a worker that comes after that, and by the same study once more.
    let _worker = head.worker("w", &["--slots", "2"]);
    head.until(&study, service::ended);
    assert_eq!(service::submitted(&head, &project, &["--budget", "5", "--rounds", "1"]), study);
}

#[test]
fn a_run_on_one_machine_removes_what_no_study_refers_to_after_a_day() {
    let folder = tempfile::tempdir().unwrap();
    let (out, project) = (folder.path().join("out"), Project::new(GOOD));
    let run = |rounds: &str| {
        let root = project.root();
        let fixed = ["run", root.to_str().unwrap(), "--train", "sh train.sh", "--sampler", "random"];
        let mut command = run::command(&fixed);
        command.args(["--budget-variable", "TIME_BUDGET", "--budget", "2", "--rounds", rounds]);
        let output = command.arg("--out").arg(&out).output().unwrap();
        assert!(output.status.success(), "{}", run::stderr(&output));
    };
    run("1");
    let store = BlobStore::open(&out.join("store/blobs")).unwrap();
    let needed: Vec<Digest> = store.list().unwrap().into_iter().map(|blob| blob.digest).collect();
    let [old, new] = [1, 2].map(|byte| store.put(&[byte; 100]).unwrap());
    for digest in needed.iter().chain([&old]) {
        let file = File::open(store.path(digest)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(25 * 3600)).unwrap();
    }
    run("2");
    assert!(!store.contains(&old) && store.contains(&new), "a day old, and new");
    assert!(
        !needed.is_empty() && needed.iter().all(|digest| store.contains(digest)),
        "the study has its files"
    );
}

#[test]
fn what_was_damaged_in_the_cache_of_a_worker_is_fetched_again() {
    let folder = tempfile::tempdir().unwrap();
    let head = Head::start(folder.path(), &[]);
    let project = Project::new(SLOW);
    let study = service::submitted(&head, &project, &["--budget", "2", "--rounds", "1"]);
    let mut worker = head.worker("w", &["--slots", "1", "--cache-size", "1GiB"]);
    head.until(&study, service::ended);
    worker.leave();
    let cached = BlobStore::open(&folder.path().join("w/blobs")).unwrap();
    let files = cached.list().unwrap();
    assert!(files.len() >= 3, "its files and their list");
    files.iter().for_each(|file| std::fs::write(cached.path(&file.digest), b"damaged").unwrap());
    service::submitted(&head, &project, &["--budget", "4", "--rounds", "1"]);
    let _worker = head.worker("w", &["--slots", "1"]);
    head.until(&study, service::ended);
    files.iter().for_each(|file| cached.check(&file.digest).unwrap());
    let log = std::fs::read_to_string(folder.path().join("w.log")).unwrap();
    assert_eq!(log.matches("it is fetched again").count(), files.len(), "{log}");
}

#[test]
fn files_in_a_store_of_objects_outlive_the_folder_of_the_coordinator() {
    let folder = tempfile::tempdir().unwrap();
    let bucket = folder.path().join("bucket");
    std::fs::create_dir(&bucket).unwrap();
    let url = format!("file://{}/some/prefix", bucket.display());
    let mut head = Head::start(folder.path(), &["--blobs", &url]);
    let project = Project::new(SLOW);
    let study = service::submitted(&head, &project, &["--budget", "2", "--rounds", "1"]);
    let local = head.out().join("store/blobs");
    let files = BlobStore::open(&local).unwrap().list().unwrap();
    for file in &files {
        assert!(bucket.join("some/prefix/blobs").join(file.digest.to_string()).exists());
    }
    assert!(files.len() >= 3, "its files and their list");
    head.end();
    std::fs::remove_dir_all(&local).unwrap();
    head.restart();
    let _worker = head.worker("w", &["--slots", "1"]);
    head.until(&study, service::ended);
    assert!(files.iter().all(|file| blob(&head, &file.digest).exists()), "they were brought here again");
}
