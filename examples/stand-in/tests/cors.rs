//! Pages of other origins may read the answers, as far as is set.

mod support;

use arcgis_stand_in::{Cors, Portal, StandIn};
use http::Method;
use support::{Got, get, get_with, http1, parcels, send, started};

const APP: (&str, &str) = ("origin", "https://app.example");

/// What a browser is told about reading an answer.
fn permission(got: &Got) -> (&str, &str, &str) {
    (
        got.header("access-control-allow-origin"),
        got.header("access-control-allow-credentials"),
        got.header("vary"),
    )
}

const GRANTED: (&str, &str, &str) = (APP.1, "true", "Origin");
const SILENCE: (&str, &str, &str) = ("", "", "");

async fn preflight(url: &str, origin: &str) -> Got {
    let headers = [
        ("origin", origin),
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "x-esri-authorization"),
    ];
    send(&http1(), Method::OPTIONS, url, &headers, "").await
}

#[tokio::test]
async fn an_answer_names_the_origin_that_asked_challenges_and_logins_included() {
    let arcgis = started().await;
    for path in [
        "rest/services/Basemap/MapServer?f=json",
        "rest/services/Parcels/MapServer?f=json",
        "tokens/generateToken",
        "rest/info",
        "nothing/here",
    ] {
        let url = arcgis.url(path);
        assert_eq!(permission(&get_with(&url, &[APP]).await), GRANTED, "{path}");
        assert_eq!(permission(&get(&url).await), SILENCE, "{path}");
    }
}

#[tokio::test]
async fn a_preflight_is_granted_without_a_token() {
    let arcgis = started().await;
    let got = preflight(&parcels(&arcgis, "?f=json"), APP.1).await;
    assert_eq!(got.status, 200);
    assert_eq!(permission(&got), GRANTED);
    assert!(got.header("access-control-allow-methods").contains("POST"));
    assert_eq!(
        got.header("access-control-allow-headers"),
        "x-esri-authorization"
    );
    let counters = arcgis.counters();
    assert_eq!(
        (
            counters.requests,
            counters.service_requests,
            counters.challenges
        ),
        (1, 0, 0)
    );
}

#[tokio::test]
async fn only_listed_origins_are_let_in_where_some_are_listed() {
    let cors = Cors::Origins(vec![APP.1.to_owned()]);
    let arcgis = StandIn::builder().cors(cors).start().await.unwrap();
    let url = parcels(&arcgis, "?f=json");
    let other = "https://app.example.net";
    assert_eq!(permission(&get_with(&url, &[APP]).await), GRANTED);
    assert_eq!(
        permission(&get_with(&url, &[("origin", other)]).await),
        SILENCE
    );
    assert_eq!(permission(&preflight(&url, APP.1).await), GRANTED);
    let refused = preflight(&url, other).await;
    assert_eq!(permission(&refused), SILENCE);
    assert_eq!(refused.header("access-control-allow-headers"), "");
}

#[tokio::test]
async fn with_cors_off_a_preflight_is_challenged_like_any_request() {
    let arcgis = started().await;
    arcgis.set_cors(Cors::Off);
    let got = preflight(&parcels(&arcgis, "?f=json"), APP.1).await;
    assert_eq!((got.code(), permission(&got)), (499, SILENCE));
}

#[tokio::test]
async fn a_portal_lets_pages_of_other_origins_in_too() {
    let portal = Portal::builder()
        .cors(Cors::AnyOrigin)
        .start()
        .await
        .unwrap();
    let url = portal.url("sharing/rest/info");
    assert_eq!(permission(&get_with(&url, &[APP]).await), GRANTED);
    assert_eq!(permission(&preflight(&url, APP.1).await), GRANTED);
    portal.set_cors(Cors::Off);
    assert_eq!(permission(&get_with(&url, &[APP]).await), SILENCE);
}
