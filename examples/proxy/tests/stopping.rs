//! How the proxy ends.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod support;

use arcgis_stand_in::StandIn;
use support::{PARCELS, Proxy};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

async fn ask(proxy: &Proxy) -> TcpStream {
    let mut caller = TcpStream::connect(proxy.address).await.unwrap();
    let head = format!("GET {PARCELS} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    caller.write_all(head.as_bytes()).await.unwrap();
    caller
}

#[tokio::test]
async fn requests_under_way_are_finished_before_the_end() {
    let arcgis = StandIn::start().await.unwrap();
    let mut proxy = Proxy::before(&arcgis, &[]).await;
    let gate = arcgis.hold_services();
    let mut caller = ask(&proxy).await;
    arcgis.wait_for_service_requests(1).await;

    proxy.signal("TERM").await;
    proxy.wait_for_log("stopping").await;
    assert!(TcpStream::connect(proxy.address).await.is_err());
    gate.release();

    // The connection was one to keep; it is closed after the answer all the same.
    let mut answer = String::new();
    caller.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains(support::CAPABILITIES), "{answer}");
    let ended = proxy.ended().await;
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(ended.stdout, "");
}

#[tokio::test]
async fn an_idle_proxy_ends_at_once() {
    let arcgis = StandIn::start().await.unwrap();
    for signal in ["TERM", "INT"] {
        let proxy = Proxy::before(&arcgis, &[]).await;
        assert!(proxy.get(PARCELS).await.is_the_service());
        // A connection that says nothing holds nothing up.
        let _silent = TcpStream::connect(proxy.address).await.unwrap();
        proxy.signal(signal).await;
        assert_eq!(proxy.ended().await.status.code(), Some(0));
    }
}

#[tokio::test]
async fn a_second_signal_ends_requests_under_way() {
    let arcgis = StandIn::start().await.unwrap();
    let mut proxy = Proxy::before(&arcgis, &[]).await;
    let _gate = arcgis.hold_services();
    let mut caller = ask(&proxy).await;
    arcgis.wait_for_service_requests(1).await;
    proxy.signal("TERM").await;
    proxy.wait_for_log("stopping").await;
    proxy.signal("INT").await;
    let ended = proxy.ended().await;
    assert_eq!(ended.status.code(), Some(0));
    assert!(ended.log.contains("second signal"), "{}", ended.log);
    let mut rest = Vec::new();
    // Closed or reset: either way there is no answer.
    let _ = caller.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
}
