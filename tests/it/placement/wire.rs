//! The token in a cookie or a header.

use http::header;
use tower_arcgis_auth::TokenPlacement;

use super::{ENCODED, TOKEN, arrived, get, site};

#[tokio::test]
async fn the_cookie_is_merged_into_those_of_the_request() {
    for (before, after) in [
        (vec![], "agstoken=T"),
        (vec!["a=1"], "a=1; agstoken=T"),
        (vec!["a=1; b=2"], "a=1; b=2; agstoken=T"),
        (vec!["a=1", "b=2"], "a=1; b=2; agstoken=T"),
        (vec!["a=1; agstoken=; b=2"], "a=1; b=2; agstoken=T"),
        (vec!["agstoken="], "agstoken=T"),
        (
            vec!["agstoken2=x; myagstoken=y"],
            "agstoken2=x; myagstoken=y; agstoken=T",
        ),
        (vec!["a=\"x y\";b=2 "], "a=\"x y\"; b=2; agstoken=T"),
    ] {
        let mut request = get("/rest");
        for cookie in &before {
            request
                .headers_mut()
                .append(header::COOKIE, cookie.parse().unwrap());
        }
        let request = arrived(site(TokenPlacement::Cookie), request).await;
        let cookies: Vec<_> = request.headers.get_all(header::COOKIE).iter().collect();
        assert_eq!(
            cookies,
            [&after.replace("=T", &format!("={ENCODED}"))],
            "{before:?}"
        );
        assert_eq!(request.uri.query(), None);
    }
}

#[tokio::test]
async fn the_headers_carry_the_token_as_bearer() {
    for (placement, name) in [
        (TokenPlacement::EsriHeader, "x-esri-authorization"),
        (TokenPlacement::Bearer, "authorization"),
    ] {
        let request = arrived(site(placement), get("/rest?f=json")).await;
        let value = request.headers.get(name).unwrap();
        assert_eq!(value, &format!("Bearer {TOKEN}"));
        assert!(value.is_sensitive());
        assert_eq!(request.uri.query(), Some("f=json"));
        assert_eq!(request.headers.get_all(name).iter().count(), 1);
    }
}

#[tokio::test]
async fn an_authorization_of_the_web_tier_is_no_token_unless_that_is_the_placement() {
    let mut request = get("/rest");
    request
        .headers_mut()
        .insert(header::AUTHORIZATION, "Basic dTpw".parse().unwrap());
    let request = arrived(site(TokenPlacement::Query), request).await;
    assert!(request.uri.query().unwrap().contains(ENCODED));
    assert_eq!(request.headers[header::AUTHORIZATION], "Basic dTpw");
}
