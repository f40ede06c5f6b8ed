//! Who gets a connection to etcd, and when.

use std::time::{Duration, Instant};

use ar_coordinator::etcd::{Etcd, EtcdError};
use ar_tests::etcd::{Certificates, Nodes};

use crate::{append, elect, entries, expected, open, within};

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_while_etcd_has_no_leader_waits_for_one_and_who_names_none_does_not() {
    let mut nodes = Nodes::start(3).await;
    nodes.kill_9(0);
    nodes.kill_9(1);
    // The last one notices after its election timeout.
    let mut alone = nodes.client(2).await;
    let without = || async { alone.clone().status().await.is_ok_and(|status| status.leader() == 0) };
    within(async { while !without().await {} }).await;
    let began = Instant::now();
    let coming = tokio::spawn(Etcd::connect(nodes.settings()));
    let only = Etcd::connect(nodes.by(nodes.url(0))).await;
    assert!(matches!(only, Err(EtcdError::Unreachable { .. })), "{only:?}");
    assert!(began.elapsed() < Duration::from_secs(5), "nobody is there at all: {:?}", began.elapsed());
    assert!(!coming.is_finished(), "one is there, and may have a leader soon");
    nodes.restart(0);
    let came = within(coming).await.unwrap();
    assert!(came.is_ok(), "{came:?}");
    assert!(alone.status().await.is_ok_and(|status| status.leader() != 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_all_goes_over_tls_with_a_certificate_of_the_client() {
    let nodes = Nodes::start_with(1, &[], Some(Certificates::make())).await;
    let etcd = nodes.connect().await;
    let leadership = elect(&etcd, "http://a").await;
    let mut journal = open(&etcd, &leadership).await;
    append(&mut journal, 1, 3).await.unwrap();
    assert_eq!(entries(&mut journal).await, expected(3));
    // Without one, and with one of another authority, nobody gets in.
    let mut bare = nodes.settings();
    bare.tls.as_mut().unwrap().identity = None;
    let other = Certificates::make();
    let mut foreign = nodes.settings();
    foreign.tls.as_mut().unwrap().ca = other.ca.into_bytes();
    for settings in [bare, foreign] {
        let error = Etcd::connect(settings).await.unwrap_err();
        assert!(matches!(error, EtcdError::Unreachable { .. }), "{error}");
    }
}
