//! The Referer beside the token.

use http::{Request, header};
use http_body_util::Full;
use tower_arcgis_auth::TokenPlacement;

use super::{arrived, get, site};
use crate::support::ROADS;

#[tokio::test]
async fn the_sites_referer_is_on_every_signed_request() {
    let mut request = get("/rest");
    request.headers_mut().insert(
        header::REFERER,
        "https://browser.example/app?x=1".parse().unwrap(),
    );
    let own_source = arrived(site(TokenPlacement::Query), request.clone()).await;
    assert_eq!(
        own_source.headers[header::REFERER],
        "https://browser.example/app?x=1",
        "a source of the user's own binds its tokens to nothing of ours"
    );
    let named = site(TokenPlacement::Query).referer("https://maps.city.gov/");
    let named = arrived(named, request.clone()).await;
    assert_eq!(named.headers[header::REFERER], "https://maps.city.gov/");
    let unbound = arrived(site(TokenPlacement::Query).bind_to_address(), request).await;
    assert_eq!(
        unbound.headers[header::REFERER],
        "https://browser.example/app?x=1"
    );
}

#[tokio::test]
async fn a_source_of_the_users_own_leaves_the_referer_of_the_request() {
    let request = Request::get(ROADS)
        .header("referer", "https://app.example/")
        .body(Full::default())
        .unwrap();
    let arrived = arrived(site(TokenPlacement::Query), request).await;
    assert_eq!(arrived.headers["referer"], "https://app.example/");
}
