use ar_common::EntryKind;

use super::*;

#[test]
fn a_blob_is_what_its_name_says_or_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let store = BlobStore::open(folder.path()).unwrap();
    let digest = store.put(b"content").unwrap();
    assert_eq!(store.read(&digest).unwrap(), b"content");
    fs::write(store.path(&digest), b"changed").unwrap();
    assert!(matches!(store.read(&digest), Err(BlobError::Damaged { .. })));
    let copy = folder.path().join("copy");
    assert!(matches!(store.copy_to(&digest, &copy), Err(BlobError::Damaged { .. })));
    assert!(!copy.exists());
    let absent = Digest::of(b"absent");
    assert!(matches!(store.read(&absent), Err(BlobError::Missing(_))));
}

#[test]
fn a_file_that_is_laid_out_shares_no_fate_with_its_blob() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let store = BlobStore::open(&folder.path().join("blobs")).unwrap();
    let digest = store.put(b"content").unwrap();
    fs::set_permissions(store.path(&digest), fs::Permissions::from_mode(0o400)).unwrap();
    store.check(&digest).unwrap();
    let to = folder.path().join("copy");
    store.lay_out(&digest, &to).unwrap();
    assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o600, 0o600, "with modes of its own");
    assert!(store.lay_out(&digest, &to).is_err(), "nothing is written over");
    fs::OpenOptions::new().write(true).open(&to).unwrap().write_all(b"CON").unwrap();
    assert_eq!(
        (fs::read(&to).unwrap(), store.read(&digest).unwrap()),
        (b"CONtent".into(), b"content".into())
    );
    assert_eq!(digest_of_file(&to).unwrap(), Digest::of(b"CONtent"));
    fs::set_permissions(store.path(&digest), fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(store.path(&digest), b"damaged").unwrap();
    assert!(matches!(store.check(&digest), Err(BlobError::Damaged { .. })));
    let absent = Digest::of(b"absent");
    assert!(matches!(store.lay_out(&absent, &folder.path().join("x")), Err(BlobError::Missing(_))));
    assert!(matches!(store.check(&absent), Err(BlobError::Missing(_))));
}

#[test]
fn what_lies_about_its_hash_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = BlobStore::open(folder.path()).unwrap();
    let announced = Digest::of(b"one thing");
    let mut receiving = store.receive(announced).unwrap();
    receiving.piece(b"another thing").unwrap();
    assert!(matches!(receiving.finish(), Err(BlobError::Lies { .. })));
    assert!(!store.contains(&announced));
    assert_eq!(fs::read_dir(folder.path().join("partial")).unwrap().count(), 0);
}

#[test]
fn a_tree_that_climbs_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = BlobStore::open(folder.path()).unwrap();
    let file = store.put(b"x").unwrap();
    let entry = |path: &str| TreeEntry { path: path.into(), digest: file, bytes: 1, kind: EntryKind::Plain };
    let good = store.put_tree(vec![entry("b"), entry("a/c")]).unwrap();
    assert_eq!(store.read_tree(&good).unwrap().entries[0].path, "a/c");
    let bad = store.put_tree(vec![entry("../x")]).unwrap();
    assert!(matches!(store.read_tree(&bad), Err(BlobError::BadTree { .. })));
}

#[test]
fn what_arrived_before_a_cut_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let store = BlobStore::open(folder.path()).unwrap();
    let content: Vec<u8> = (0..100_000_u32).map(|i| (i % 251) as u8).collect();
    let digest = Digest::of(&content);
    let mut first = store.receive(digest).unwrap();
    first.piece(&content[..40_000]).unwrap();
    assert_eq!(store.received(&digest).unwrap(), 0, "it is being received");
    // A second one beside it does not touch it.
    let mut beside = store.receive(digest).unwrap();
    assert_eq!(beside.bytes(), 0);
    beside.piece(b"something else").unwrap();
    assert!(matches!(beside.finish(), Err(BlobError::Lies { .. })));
    drop(first);
    assert_eq!(store.received(&digest).unwrap(), 40_000);
    let mut again = store.receive(digest).unwrap();
    assert_eq!(again.bytes(), 40_000);
    again.piece(&content[40_000..]).unwrap();
    assert_eq!(again.finish().unwrap(), 100_000);
    assert_eq!((store.read(&digest).unwrap(), store.received(&digest).unwrap()), (content, 0));
}

#[test]
fn a_wrong_beginning_is_thrown_away() {
    let folder = tempfile::tempdir().unwrap();
    let store = BlobStore::open(folder.path()).unwrap();
    let digest = Digest::of(b"content");
    let mut wrong = store.receive(digest).unwrap();
    wrong.piece(b"XXXX").unwrap();
    drop(wrong);
    let mut again = store.receive(digest).unwrap();
    again.piece(b"ent").unwrap();
    assert!(matches!(again.finish(), Err(BlobError::Lies { .. })));
    assert_eq!(store.received(&digest).unwrap(), 0);
    // One that comes from its beginning after all.
    let mut wrong = store.receive(digest).unwrap();
    wrong.piece(b"XXXX").unwrap();
    wrong.restart().unwrap();
    wrong.piece(b"content").unwrap();
    assert_eq!(wrong.finish().unwrap(), 7);
    assert_eq!(store.read(&digest).unwrap(), b"content");
}

#[test]
fn a_partial_file_that_became_the_blob_is_not_written_into() {
    let folder = tempfile::tempdir().unwrap();
    let store = BlobStore::open(folder.path()).unwrap();
    let digest = Digest::of(b"content");
    let mut one = store.receive(digest).unwrap();
    one.piece(b"content").unwrap();
    one.finish().unwrap();
    let mut two = store.receive(digest).unwrap();
    assert_eq!(two.bytes(), 0);
    two.piece(b"another thing").unwrap();
    drop(two);
    assert_eq!(store.read(&digest).unwrap(), b"content");
}

#[test]
fn only_what_nobody_needs_and_nobody_used_is_swept() {
    let folder = tempfile::tempdir().unwrap();
    let store = BlobStore::open(folder.path()).unwrap();
    let (needed, unused, touched) =
        (store.put(b"needed").unwrap(), store.put(b"unused").unwrap(), store.put(b"touched").unwrap());
    let partial = Digest::of(b"partial");
    store.receive(partial).unwrap().piece(b"par").unwrap();
    let (now, day) = (SystemTime::now(), std::time::Duration::from_secs(86_400));
    for path in [needed, unused, touched]
        .map(|d| store.path(&d))
        .iter()
        .chain([&folder.path().join("partial").join(partial.to_string())])
    {
        File::options().write(true).open(path).unwrap().set_modified(now - 2 * day).unwrap();
    }
    assert!(store.touch(&touched).unwrap() && !store.touch(&partial).unwrap());
    let swept = store.sweep(now - day, |digest| *digest == needed).unwrap();
    assert_eq!(swept, Swept { blobs: 1, partial: 1, bytes: 9 });
    assert_eq!([needed, unused, touched].map(|digest| store.contains(&digest)), [true, false, true]);
    assert_eq!(store.received(&partial).unwrap(), 0);
}

#[test]
fn what_was_said_to_be_there_is_not_removed_a_moment_later() {
    let folder = tempfile::tempdir().unwrap();
    let store = BlobStore::open(folder.path()).unwrap();
    let old = SystemTime::now() - std::time::Duration::from_secs(172_800);
    let before = SystemTime::now() - std::time::Duration::from_secs(86_400);
    let (mut kept, mut removed) = (0, 0);
    let spin = |times: u32| (0..times * 2_000).for_each(|_| std::hint::spin_loop());
    // Until each has been first now and then: the longer one of them waits, the likelier it is the other.
    for round in 0..400_u32 {
        let lead = round % 17;
        let digest = store.put(&round.to_le_bytes()).unwrap();
        File::open(store.path(&digest)).unwrap().set_modified(old).unwrap();
        let (sweeping, begin) = (store.clone(), Arc::new(std::sync::Barrier::new(2)));
        let began = Arc::clone(&begin);
        let sweeper = std::thread::spawn(move || {
            began.wait();
            spin(lead);
            sweeping.remove_unused(&digest, before).unwrap()
        });
        begin.wait();
        spin(16 - lead);
        // Whoever submits a study asks like this, and sends what is not there.
        let there = store.touch(&digest).unwrap();
        assert_eq!(sweeper.join().unwrap(), !there, "round {round}");
        assert_eq!(store.contains(&digest), there, "round {round}");
        *(if there { &mut kept } else { &mut removed }) += 1;
        if kept >= 5 && removed >= 5 {
            return;
        }
    }
    panic!("{kept} kept, {removed} removed");
}
