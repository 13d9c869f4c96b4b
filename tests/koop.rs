//! Against a server that is not ours: Koop, Esri's open-source GeoServices server, with its own token service.
//!
//! Ignored by a plain `cargo test`, because it needs Node.js and Koop: `cd tests/koop && npm ci`, then
//! `cargo test --test koop -- --ignored`. `KOOP_DIR` names the folder where it is not `tests/koop`.

#[path = "koop/server.rs"]
mod server;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use server::{Koop, PASSWORD, USER};
use tower::{Layer, ServiceExt};
use tower_arcgis_auth::{
    ArcgisAuth, ArcgisAuthLayer, AuthOutcome, Challenge, Credential, ReplayBody, Site, SkipReason,
    TokenPlacement,
};

const TREES: &str = "arcgis/rest/services/trees/FeatureServer/0/query";
const COUNT: &str = "where=1%3D1&returnCountOnly=true&f=json";

fn start_koop() -> Koop {
    Koop::start(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/koop"))
}

fn site(koop: &Koop, password: &str) -> Site {
    Site::new(format!("{}/arcgis", koop.url)).credential(Credential::user(USER, password))
}

fn trees(koop: &Koop, query: &str) -> String {
    format!("{}/{TREES}?{query}", koop.url)
}

type Http = Client<HttpConnector, ReplayBody<Full<Bytes>>>;

fn over(site: Site) -> ArcgisAuth<Http> {
    let client = Client::builder(TokioExecutor::new()).build_http();
    ArcgisAuthLayer::try_new(site).unwrap().layer(client)
}

async fn send(service: &ArcgisAuth<Http>, request: Request<Full<Bytes>>) -> (AuthOutcome, String) {
    let response = service.clone().oneshot(request).await.unwrap();
    let outcome = response.body().outcome().clone();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (outcome, String::from_utf8(body.to_vec()).unwrap())
}

async fn get(service: &ArcgisAuth<Http>, url: String) -> (AuthOutcome, String) {
    send(service, Request::get(url).body(Full::default()).unwrap()).await
}

#[tokio::test]
#[ignore = "needs Koop from npm"]
async fn koop_answers_gets_and_posts_of_people_without_a_token() {
    let koop = start_koop();
    let service = over(site(&koop, PASSWORD));

    let (outcome, body) = get(&service, trees(&koop, COUNT)).await;
    assert_eq!(body, r#"{"count":5}"#, "{outcome}");
    assert_eq!(outcome.challenge(), Some(Challenge::TokenRequired));
    assert!(outcome.resent());

    let form = Request::post(trees(&koop, "").trim_end_matches('?'))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Full::new(Bytes::from(COUNT)))
        .unwrap();
    let (outcome, body) = send(&service, form).await;
    assert_eq!(body, r#"{"count":5}"#, "{outcome}");
    assert!(!outcome.resent());

    let stats = koop.stats().await;
    assert_eq!(stats["generateToken"], 1, "{stats}");
    assert_eq!(stats["passwordInUrl"], 0, "{stats}");
}

#[tokio::test]
#[ignore = "needs Koop from npm"]
async fn a_thousand_requests_cost_koop_one_login_before_and_after_all_tokens_die() {
    let koop = start_koop();
    let service = over(site(&koop, PASSWORD));
    for logins in [1, 2] {
        let answers = join_all((0..1000).map(|_| get(&service, trees(&koop, COUNT)))).await;
        for (outcome, body) in answers {
            assert_eq!(body, r#"{"count":5}"#, "{outcome}");
        }
        let stats = koop.stats().await;
        assert_eq!(stats["generateToken"], logins, "{stats}");
        koop.tell("rotate").await;
    }
}

#[tokio::test]
#[ignore = "needs Koop from npm"]
async fn features_in_every_format_pass_as_koop_sends_them() {
    let koop = start_koop();
    let service = over(site(&koop, PASSWORD));
    for (format, contains) in [
        ("json", "\"features\""),
        ("pjson", "\"features\""),
        ("geojson", "FeatureCollection"),
        ("json&callback=cb", "cb("),
    ] {
        let (outcome, body) = get(&service, trees(&koop, &format!("where=1%3D1&f={format}"))).await;
        assert!(
            outcome.returned_challenge().is_none(),
            "{format}: {outcome}"
        );
        assert!(body.contains(contains), "{format}: {body}");
    }
}

#[tokio::test]
#[ignore = "needs Koop from npm"]
async fn koops_refusal_of_a_password_is_a_refusal_and_tried_once() {
    let koop = start_koop();
    let service = over(site(&koop, "wrong"));
    for _ in 0..5 {
        let (outcome, body) = get(&service, trees(&koop, COUNT)).await;
        assert!(
            matches!(outcome.skip_reason(), Some(SkipReason::LoginRefused(_))),
            "{outcome}"
        );
        assert!(body.contains("499"), "{body}");
    }
    let stats = koop.stats().await;
    assert_eq!(stats["generateToken"], 1, "{stats}");
}

/// Koop's plugin reads the token from the query only: a header does not arrive, and that costs two requests, then one.
#[tokio::test]
#[ignore = "needs Koop from npm"]
async fn a_placement_koop_does_not_read_ends_in_its_own_challenge() {
    let koop = start_koop();
    let service = over(site(&koop, PASSWORD).placement(TokenPlacement::EsriHeader));
    let (outcome, _) = get(&service, trees(&koop, COUNT)).await;
    assert!(outcome.resent());
    assert!(outcome.returned_challenge().is_some());
    let (outcome, _) = get(&service, trees(&koop, COUNT)).await;
    assert!(!outcome.resent());
    assert!(matches!(
        outcome.skip_reason(),
        Some(SkipReason::ServiceRefused)
    ));
}
