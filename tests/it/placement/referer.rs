//! The Referer beside the token.

use http::{Request, header};
use http_body_util::Full;
use tower_arcgis_auth::TokenPlacement;

use super::{arrived, get, site};
use crate::support::{ROADS, TokenService, Upstream, over, send};

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
    let source = TokenService::new();
    let upstream = Upstream::secured_by(&source);
    let service = over(upstream.clone(), &source);
    let request = Request::get(ROADS)
        .header("referer", "https://app.example/")
        .body(Full::default())
        .unwrap();
    send(&service, request).await;
    let last = upstream.last_request();
    assert_eq!(last.headers["referer"], "https://app.example/");
}
