//! How the proxy ends.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

mod support;

use std::io;

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

/// A frame of HTTP/2 without a payload or a stream: settings that change nothing.
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
const GO_AWAY: u8 = 7;

#[tokio::test]
async fn an_http2_connection_is_told_that_it_ends() {
    let arcgis = StandIn::start().await.unwrap();
    let mut proxy = Proxy::before(&arcgis, &[]).await;
    let mut caller = TcpStream::connect(proxy.address).await.unwrap();
    caller
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    caller.write_all(&SETTINGS).await.unwrap();
    // Its own settings, and then something that shows that it has read these.
    for _ in 0..2 {
        read_frame(&mut caller).await.unwrap();
    }

    proxy.signal("TERM").await;
    proxy.wait_for_log("stopping").await;
    let mut kinds = Vec::new();
    while let Ok(kind) = read_frame(&mut caller).await {
        kinds.push(kind);
    }
    assert!(kinds.contains(&GO_AWAY), "{kinds:?}");
}

/// What kind the next frame is.
async fn read_frame(caller: &mut TcpStream) -> io::Result<u8> {
    let mut head = [0; 9];
    caller.read_exact(&mut head).await?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; length as usize];
    caller.read_exact(&mut payload).await?;
    Ok(head[3])
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
