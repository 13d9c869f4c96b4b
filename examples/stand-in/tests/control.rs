//! Tests see what happens, hold it, and stop it.

mod support;

use std::sync::{Arc, Mutex};

use arcgis_stand_in::{Counters, StandIn, USERNAME};
use http::{Method, Version};
use support::{get, http1, http2, login, parcels, send};
use tokio::net::{TcpListener, TcpStream};

#[tokio::test]
async fn held_logins_wait_until_the_last_gate_opens() {
    let arcgis = StandIn::start().await.unwrap();
    let first = arcgis.hold_logins();
    let second = arcgis.hold_logins();
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let arcgis = arcgis.clone();
            tokio::spawn(async move { login(&arcgis).await })
        })
        .collect();
    arcgis.wait_for_logins(3).await;
    first.release();
    assert_eq!(arcgis.counters().logins, 0);
    drop(second);
    for login in waiting {
        login.await.unwrap();
    }
    assert_eq!(arcgis.counters().logins, 3);
}

#[tokio::test]
async fn held_requests_are_judged_after_the_gate_opens() {
    let arcgis = StandIn::start().await.unwrap();
    let token = arcgis.issue_token(USERNAME, None);
    let gate = arcgis.hold_services();
    let url = parcels(&arcgis, &format!("?f=json&token={token}"));
    let waiting = tokio::spawn(async move { get(&url).await.code() });
    arcgis.wait_for_service_requests(1).await;
    arcgis.revoke_all_tokens();
    gate.release();
    assert_eq!(waiting.await.unwrap(), 498);
}

#[tokio::test]
async fn the_journal_keeps_what_arrived_in_order() {
    let arcgis = StandIn::start().await.unwrap();
    get(&arcgis.url("rest/info?f=json")).await;
    let url = parcels(&arcgis, "/0/query?f=json");
    send(&http2(), Method::POST, &url, &[("x-a", "b")], "where=1").await;
    let received = arcgis.received();
    assert_eq!(received.len(), 2);
    assert_eq!(
        (&received[0].method, received[0].version),
        (&Method::GET, Version::HTTP_11)
    );
    assert_eq!(received[0].path_and_query, "/arcgis/rest/info?f=json");
    assert_eq!(
        (&received[1].method, received[1].version),
        (&Method::POST, Version::HTTP_2)
    );
    assert_eq!(received[1].headers["x-a"], "b");
    assert_eq!(received[1].body, "where=1");
    assert_eq!(received[1].status.unwrap(), 200);
    arcgis.clear_received();
    assert!(arcgis.received().is_empty());
}

#[tokio::test]
async fn the_journal_keeps_the_last_thousand() {
    let arcgis = StandIn::start().await.unwrap();
    let client = http1();
    for n in 0..1_002 {
        send(
            &client,
            Method::GET,
            &arcgis.url(&format!("rest/info?{n}")),
            &[],
            "",
        )
        .await;
    }
    let received = arcgis.received();
    assert_eq!(received.len(), 1_000);
    assert_eq!(received[0].path_and_query, "/arcgis/rest/info?2");
    assert_eq!(arcgis.counters().requests, 1_002);
}

#[tokio::test]
async fn counters_can_be_reset_and_waited_for() {
    let arcgis = StandIn::start().await.unwrap();
    let waiting = tokio::spawn({
        let arcgis = arcgis.clone();
        async move { arcgis.wait_until(|counters| counters.challenges >= 1).await }
    });
    get(&parcels(&arcgis, "?f=json")).await;
    waiting.await.unwrap();
    arcgis.wait_for_requests(1).await;
    arcgis.reset_counters();
    assert_eq!(arcgis.counters(), Counters::default());
}

#[tokio::test]
async fn a_person_with_curl_can_revoke_and_count() {
    let arcgis = StandIn::start().await.unwrap();
    login(&arcgis).await;
    let url = arcgis.url("/stand-in/revoke");
    assert_eq!(
        send(&http1(), Method::POST, &url, &[], "").await.json()["revoked"],
        1
    );
    let counters = get(&arcgis.url("/stand-in/counters")).await.json();
    assert_eq!(
        (counters["requests"].as_u64(), counters["logins"].as_u64()),
        (Some(1), Some(1))
    );
    assert_eq!(counters["liveTokens"], 0);
}

#[tokio::test]
async fn an_observer_sees_every_answered_request() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let arcgis = StandIn::builder()
        .observe({
            let seen = Arc::clone(&seen);
            move |received| {
                seen.lock()
                    .unwrap()
                    .push((received.path_and_query.clone(), received.status))
            }
        })
        .start()
        .await
        .unwrap();
    get(&arcgis.url("rest/info")).await;
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 1);
    assert_eq!(
        (seen[0].0.as_str(), seen[0].1.unwrap().as_u16()),
        ("/arcgis/rest/info", 200)
    );
}

#[tokio::test]
async fn a_stopped_server_frees_its_port() {
    let arcgis = StandIn::start().await.unwrap();
    let addr = arcgis.addr();
    let open = TcpStream::connect(addr).await.unwrap();
    arcgis.stop().await;
    assert!(TcpStream::connect(addr).await.is_err());
    drop(open);
    let again = StandIn::builder().listen(addr).start().await.unwrap();
    assert_eq!(again.addr(), addr);
    get(&again.url("rest/info")).await;
}

#[tokio::test]
async fn dropping_the_last_handle_stops_the_server() {
    let arcgis = StandIn::start().await.unwrap();
    let clone = arcgis.clone();
    let addr = arcgis.addr();
    drop(arcgis);
    get(&clone.url("rest/info")).await;
    let mut open = TcpStream::connect(addr).await.unwrap();
    drop(clone);
    // The connection ends without having been used.
    let mut rest = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut open, &mut rest).await;
    assert!(rest.is_empty());
}

#[tokio::test]
async fn a_taken_port_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = taken.local_addr().unwrap();
    assert!(StandIn::builder().listen(addr).start().await.is_err());
}

#[test]
fn controls_work_from_another_thread() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let arcgis = runtime.block_on(StandIn::start()).unwrap();
    let token = std::thread::spawn({
        let arcgis = arcgis.clone();
        move || arcgis.issue_token(USERNAME, None)
    })
    .join()
    .unwrap();
    assert_eq!(arcgis.live_tokens(), 1);
    let code = runtime.block_on(async {
        get(&parcels(&arcgis, &format!("?f=json&token={token}")))
            .await
            .code()
    });
    assert_eq!(code, 0);
}
