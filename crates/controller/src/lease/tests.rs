use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::*;

const NAME: &str = "tekton-pipelines-controller";
use crate::testing::{Script, scripted};

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/system/leases";
const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/system/leases/tekton-pipelines-controller";

fn lease() -> (Lease, Script) {
    lease_with(Election::default())
}

fn lease_with(waits: Election) -> (Lease, Script) {
    let (client, server) = scripted();
    let lease = Lease::new(client, "system", NAME.to_owned(), "me".to_owned(), waits);
    (lease, server)
}

fn object(holder: &str, version: &str) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": NAME, "namespace": "system", "resourceVersion": version},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "leaseTransitions": 3}
    })
}

fn list(items: &[Value]) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "LeaseList",
        "metadata": {"resourceVersion": "1"},
        "items": items
    })
}

fn read(value: Value) -> Option<Object> {
    serde_json::from_value(value).unwrap()
}

#[tokio::test]
async fn created_where_there_is_none() {
    let (mut lease, mut server) = lease();
    let ((), sent) = tokio::join!(lease.acquire(), async {
        server.expect(Method::GET, LEASES).await.with(&list(&[]));
        let _watch = server.expect(Method::GET, LEASES).await;
        server.expect(Method::POST, LEASES).await.with(&object("me", "2"))
    });
    assert_eq!(sent["metadata"]["name"], NAME);
    assert_eq!(sent["spec"]["holderIdentity"], "me");
    assert_eq!(sent["spec"]["leaseDurationSeconds"], 15);
    assert_eq!(sent["spec"]["leaseTransitions"], 0);
    assert_eq!(sent["spec"]["acquireTime"], sent["spec"]["renewTime"]);
}

#[tokio::test(start_paused = true)]
async fn taken_after_a_conflict_of_which_no_news_comes() {
    let (mut lease, mut server) = lease();
    let ((), ()) = tokio::join!(lease.acquire(), async {
        server
            .expect(Method::GET, LEASES)
            .await
            .with(&list(&[object("", "1")]));
        let _silent_watch = server.expect(Method::GET, LEASES).await;
        server.expect(Method::PUT, LEASE).await.refuse(409, "Conflict");
        server.expect(Method::GET, LEASE).await.with(&object("", "2"));
        let sent = server.expect(Method::PUT, LEASE).await;
        let sent = sent.with(&object("me", "3"));
        assert_eq!(sent["metadata"]["resourceVersion"], "2");
    });
}

#[tokio::test]
async fn taken_when_it_is_given_back() {
    let (mut lease, mut server) = lease();
    let ((), sent) = tokio::join!(lease.acquire(), async {
        server
            .expect(Method::GET, LEASES)
            .await
            .with(&list(&[object("other", "2")]));
        let watch = server.expect(Method::GET, LEASES).await;
        watch.with_events(&[("MODIFIED", object("", "3"))]);
        let _next_watch = server.expect(Method::GET, LEASES).await;
        server.expect(Method::PUT, LEASE).await.with(&object("me", "4"))
    });
    assert_eq!(sent["metadata"]["resourceVersion"], "3");
    assert_eq!(sent["spec"]["leaseTransitions"], 4);
}

#[test]
fn free_by_our_own_clock_alone() {
    let (mut lease, _server) = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(async { lease() });
    let start = Instant::now();
    let after = |seconds| start + Duration::from_secs(seconds);
    assert_eq!(lease.free_in(start), None, "nothing was seen");
    lease.observe(read(object("other", "1")), start);
    assert_eq!(lease.free_in(after(1)), Some(Duration::from_secs(14)));
    // A label is no renewal.
    lease.observe(read(object("other", "2")), after(2));
    assert_eq!(lease.free_in(after(2)), Some(Duration::from_secs(13)));
    let mut renewed = object("other", "3");
    // However wrong the other's clock goes.
    renewed["spec"]["renewTime"] = json!("1971-01-01T00:00:00.000000Z");
    lease.observe(read(renewed), after(10));
    assert_eq!(lease.free_in(after(10)), Some(Duration::from_secs(15)));
    assert_eq!(lease.free_in(after(60)), Some(Duration::ZERO));
    let mut odd = object("other", "4");
    odd["spec"]["leaseDurationSeconds"] = json!(-1);
    lease.observe(read(odd), after(60));
    assert_eq!(lease.free_in(after(60)), Some(Duration::from_secs(15)));
    lease.observe(read(object("me", "5")), after(61));
    assert_eq!(
        lease.free_in(after(61)),
        Some(Duration::ZERO),
        "left by this Pod's last process"
    );
    lease.observe(None, after(62));
    assert_eq!(lease.free_in(after(62)), Some(Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn lost_to_another() {
    let (mut lease, mut server) = lease();
    lease.observe(read(object("me", "1")), Instant::now());
    let (lost, ()) = tokio::join!(lease.keep(), async {
        let asked = server.expect(Method::PUT, LEASE).await;
        assert_eq!(
            asked.body["spec"]["leaseTransitions"], 3,
            "a renewal is no transition"
        );
        asked.with(&object("me", "2"));
        server.expect(Method::PUT, LEASE).await.refuse(409, "Conflict");
        // Somebody put a label on it: no loss.
        server.expect(Method::GET, LEASE).await.with(&object("me", "3"));
        let asked = server.expect(Method::PUT, LEASE).await;
        assert_eq!(asked.body["metadata"]["resourceVersion"], "3");
        asked.with(&object("me", "4"));
        server.expect(Method::PUT, LEASE).await.refuse(409, "Conflict");
        server
            .expect(Method::GET, LEASE)
            .await
            .with(&object("other", "5"));
    });
    assert_eq!(lost, Lost::Taken("other".to_owned()));
}

fn waits(deadline: u64, retry: u64) -> Election {
    Election {
        lease_duration: Duration::from_secs(15),
        renew_deadline: Duration::from_secs(deadline),
        retry_period: Duration::from_secs(retry),
    }
}

#[tokio::test(start_paused = true)]
async fn lost_at_the_deadline_whatever_is_under_way() {
    for (deadline, retry, refused) in [
        (10, 2, 0),
        (10, 2, 3),
        (10, 2, 9),
        (10, 9, 0),
        (10, 9, 1),
        (14, 13, 1),
        (14, 8, 9),
        (6, 5, 9),
    ] {
        let (mut lease, mut server) = lease_with(waits(deadline, retry));
        lease.observe(read(object("me", "1")), Instant::now());
        let begun = Instant::now();
        let lost = tokio::select! {
            lost = lease.keep() => lost,
            () = async {
                for _ in 0..refused {
                    let (_, _, asked) = server.next().await;
                    asked.refuse(500, "InternalError");
                }
                let mut unanswered = Vec::new();
                loop {
                    unanswered.push(server.next().await);
                }
            } => unreachable!(),
        };
        let deadline = Duration::from_secs(deadline);
        assert_eq!(lost, Lost::Stale(deadline));
        let late = begun.elapsed().saturating_sub(deadline);
        assert!(
            late < Duration::from_secs(1),
            "{late:?} after the deadline: {deadline:?}, {retry}, {refused}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_deadline_counts_from_before_the_answer() {
    let (mut lease, mut server) = lease_with(waits(10, 8));
    let begun = Instant::now();
    let ((), _watch) = tokio::join!(lease.acquire(), async {
        server.expect(Method::GET, LEASES).await.with(&list(&[]));
        let watch = server.expect(Method::GET, LEASES).await;
        let asked = server.expect(Method::POST, LEASES).await;
        tokio::time::sleep(Duration::from_secs(4)).await;
        asked.with(&object("me", "2"));
        watch
    });
    assert!(begun.elapsed() >= Duration::from_secs(4));
    let lost = tokio::select! {
        lost = lease.keep() => lost,
        never = server.next() => panic!("{} {}, at {:?}", never.0, never.1, begun.elapsed()),
    };
    assert_eq!(lost, Lost::Stale(Duration::from_secs(10)));
    assert!(begun.elapsed() < Duration::from_secs(11), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn released_if_it_is_ours() {
    let (mut lease, mut server) = lease();
    let ((), sent) = tokio::join!(lease.release(), async {
        server.expect(Method::GET, LEASE).await.with(&object("me", "7"));
        server.expect(Method::PUT, LEASE).await.with(&object("", "8"))
    });
    assert_eq!(sent["spec"].get("holderIdentity"), None);
    assert_eq!(sent["metadata"]["resourceVersion"], "7");
    let ((), ()) = tokio::join!(lease.release(), async {
        server
            .expect(Method::GET, LEASE)
            .await
            .with(&object("other", "9"));
        server.expect_nothing().await;
    });
}
