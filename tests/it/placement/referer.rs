//! The Referer beside the token.

use http::header;
use tower_arcgis_auth::TokenPlacement;

use super::{arrived, get, site};

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
