//! An upstream that does not answer.

mod support;

use arcgis_stand_in::StandIn;
use http::StatusCode;
use support::{Got, PARCELS, Parrot, Proxy, unused_address};

fn is_bad_gateway(got: &Got) {
    assert_eq!(got.status, StatusCode::BAD_GATEWAY);
    assert_eq!(got.header("content-type"), "application/json");
    assert_eq!(got.header("cache-control"), "no-store");
    let error = &got.json()["error"];
    assert_eq!(error["code"], 502);
    assert_eq!(
        error["message"],
        "The ArcGIS server behind this proxy does not answer."
    );
    assert!(error["details"][0].is_string(), "{error}");
}

#[tokio::test]
async fn an_upstream_that_cannot_be_reached_is_a_bad_gateway() {
    let upstream = format!("http://{}/arcgis", unused_address().await);
    let proxy = Proxy::at(&upstream, &[]).await;
    is_bad_gateway(&proxy.get(PARCELS).await);
    let log = proxy.terminate().await.log;
    assert!(log.contains("no answer from the upstream"), "{log}");
    assert!(log.contains("Connection refused"), "{log}");
    assert!(log.contains(&upstream), "{log}");
}

#[tokio::test]
async fn an_upstream_that_hangs_up_is_a_bad_gateway() {
    let upstream = Parrot::start("").await;
    let proxy = Proxy::at(&upstream.url(), &[]).await;
    is_bad_gateway(&proxy.get("/a?token=hunter2").await);
    let log = proxy.terminate().await.log;
    assert!(log.contains("no answer from the upstream"), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}

#[tokio::test]
async fn an_upstream_that_speaks_no_http_is_a_bad_gateway() {
    let upstream = Parrot::start("SSH-2.0-OpenSSH_9.2p1\r\n").await;
    let proxy = Proxy::at(&upstream.url(), &[]).await;
    is_bad_gateway(&proxy.get(PARCELS).await);
}

#[tokio::test]
async fn an_upstream_that_comes_back_is_used_again() {
    let arcgis = StandIn::start().await.unwrap();
    let proxy = Proxy::before(&arcgis, &[]).await;
    assert!(proxy.get(PARCELS).await.is_the_service());
    arcgis.stop().await;
    is_bad_gateway(&proxy.get(PARCELS).await);
    let arcgis = StandIn::builder()
        .listen(arcgis.addr())
        .start()
        .await
        .unwrap();
    assert!(proxy.get(PARCELS).await.is_the_service());
    assert_eq!(arcgis.counters().logins, 1);
}

#[tokio::test]
async fn a_login_that_fails_lets_the_challenge_up_and_public_services_through() {
    let arcgis = StandIn::start().await.unwrap();
    arcgis.set_token_fault(Some(arcgis_stand_in::TokenFault::Status(503)));
    let proxy = Proxy::before(&arcgis, &[]).await;
    let got = proxy.get(PARCELS).await;
    assert_eq!(got.json()["error"]["code"], 499);
    assert_eq!(got.header("cache-control"), "no-store");
    let public = proxy
        .get("/arcgis/rest/services/Basemap/MapServer?f=json")
        .await;
    assert!(public.is_the_service());
}
