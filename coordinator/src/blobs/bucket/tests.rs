use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;

use super::*;
use crate::blobs::Blobs;

/// Blobs over a store of objects, with a folder of their own.
fn blobs(folder: &std::path::Path, store: &Arc<dyn ObjectStore>) -> Blobs {
    let bucket = Bucket::over(Arc::clone(store), Path::from("some/prefix"), Duration::ZERO);
    Blobs::over(BlobStore::open(folder).unwrap(), bucket)
}

async fn kept(blobs: &Blobs, content: &[u8]) -> Digest {
    let digest = blobs.folder().put(content).unwrap();
    blobs.keep(digest).await.unwrap();
    digest
}

async fn what_one_has_put_another_reads(store: Arc<dyn ObjectStore>) {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) =
        (blobs(&folder.path().join("one"), &store), blobs(&folder.path().join("other"), &store));
    // More than is sent in one part.
    let content: Vec<u8> = (0..12_000_000_u32).map(|i| (i % 251) as u8).collect();
    let digest = kept(&one, &content).await;
    let absent = Digest::of(b"absent");
    assert_eq!(other.missing(vec![digest, absent]).await.unwrap(), [absent]);
    assert!(!other.folder().contains(&digest));
    let reading = other.folder().clone();
    let read =
        tokio::task::spawn_blocking(move || (reading.read(&digest), reading.read(&absent))).await.unwrap();
    assert!(read.0.unwrap() == content && matches!(read.1, Err(BlobError::Missing(_))));
    // What is damaged there is not taken for it.
    let path = one.bucket.as_ref().unwrap().blob(&digest);
    store.put(&path, PutPayload::from_static(b"something else")).await.unwrap();
    other.folder().discard(&digest).unwrap();
    let reading = other.folder().clone();
    let read = tokio::task::spawn_blocking(move || reading.read(&digest)).await.unwrap();
    assert!(matches!(read, Err(BlobError::Lies { .. })), "{read:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_coordinator_has_put_another_reads() {
    what_one_has_put_another_reads(Arc::new(InMemory::new())).await;
    let folder = tempfile::tempdir().unwrap();
    what_one_has_put_another_reads(Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_nobody_needs_and_nobody_used_is_removed() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let folder = tempfile::tempdir().unwrap();
    let blobs = blobs(folder.path(), &store);
    let bucket = blobs.bucket.clone().unwrap();
    let (needed, unused, used) =
        (kept(&blobs, b"needed").await, kept(&blobs, b"unused").await, kept(&blobs, b"used").await);
    // It was in the folder before there was a bucket.
    let older = blobs.folder().put(b"older").unwrap();
    let before = SystemTime::now();
    assert!(blobs.touch(used).await.unwrap());
    let removed = bucket.sweep(blobs.folder(), before, &BTreeSet::from([needed, older])).await.unwrap();
    assert_eq!(removed, 1);
    assert_eq!(blobs.missing(vec![needed, unused, used, older]).await.unwrap(), [unused]);
    assert!(!blobs.folder().contains(&unused), "the folder has it no more, either");
}

#[tokio::test]
async fn what_is_no_store_of_objects_is_told_as_such() {
    for url in ["bucket", "ftp://host/x", "s3:///"] {
        let error = Bucket::open(url, Duration::from_secs(1)).await.unwrap_err().to_string();
        assert!(error.contains("s3://bucket/prefix") && !error.contains('\n'), "{error}");
    }
}
