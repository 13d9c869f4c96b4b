//! A token that the request brings along.

use http::{HeaderValue, header};
use tower::Layer;
use tower_arcgis_auth::{ArcgisAuthLayer, CallerToken, SkipReason, TokenPlacement};

use super::{ENCODED, PLAIN, TOKEN, arrived, get, plain_site, site};
use crate::support::{CLEAN, INVALID, REQUIRED, ROADS, Upstream, answer, send, token_of};

#[tokio::test]
async fn a_token_of_the_request_in_any_spelling_wins_and_the_request_passes_untouched() {
    let own = [
        (TokenPlacement::Query, "/rest?token=mine", None),
        (TokenPlacement::Query, "/rest?Token=mine", None),
        (TokenPlacement::Query, "/rest?TOKEN=mine&f=json", None),
        (TokenPlacement::Query, "/rest?f=json&%74oken=mine", None),
        (TokenPlacement::Query, "/rest?f=json&tok%2565n=mine", None),
        (TokenPlacement::Query, "/rest?token=&token=mine", None),
        (TokenPlacement::Cookie, "/rest?f=json&token=mine&x=1", None),
        (
            TokenPlacement::Query,
            "/rest",
            Some(("x-esri-authorization", "Bearer mine")),
        ),
        (
            TokenPlacement::Bearer,
            "/rest",
            Some(("authorization", "Bearer mine")),
        ),
    ];
    for (placement, path, header) in own {
        let mut request = get(path);
        if let Some((name, value)) = header {
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let (uri, headers) = (request.uri().clone(), request.headers().clone());
        let upstream = Upstream::new(|_| answer(INVALID));
        let service = ArcgisAuthLayer::try_new(site(placement))
            .unwrap()
            .layer(upstream.clone());

        let answer = send(&service, request).await;

        assert_eq!(answer.body, INVALID, "their dead token is theirs");
        let reason = answer.outcome.skip_reason();
        assert!(matches!(reason, Some(SkipReason::CallersToken)), "{uri}");
        let seen = upstream.requests();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].uri, uri);
        assert_eq!(seen[0].headers, headers);
    }
}

#[tokio::test]
async fn a_replaced_token_leaves_no_second_one_anywhere() {
    for placement in [
        TokenPlacement::Query,
        TokenPlacement::Cookie,
        TokenPlacement::EsriHeader,
        TokenPlacement::Bearer,
    ] {
        let mut request = get("/rest?token=mine&f=json&token=again&x=%20");
        let headers = request.headers_mut();
        headers.insert("x-esri-authorization", "Bearer mine".parse().unwrap());
        headers.insert("cookie", "a=1; agstoken=mine; b=2".parse().unwrap());
        headers.insert("authorization", "Bearer mine".parse().unwrap());
        let site = site(placement).caller_token(CallerToken::Replace);

        let request = arrived(site, request).await;

        let mut everything = request.uri.to_string();
        for (name, value) in &request.headers {
            if name != "authorization" || placement == TokenPlacement::Bearer {
                everything.push_str(value.to_str().unwrap());
            }
        }
        assert!(!everything.contains("mine"), "{placement:?}: {everything}");
        let ours = everything.matches(ENCODED).count() + everything.matches(TOKEN).count();
        assert_eq!(ours, 1, "{placement:?}: {everything}");
        assert!(everything.contains("f=json") && everything.contains("x=%20"));
        assert!(
            request.headers["cookie"]
                .to_str()
                .unwrap()
                .starts_with("a=1; b=2")
        );
    }
}

#[tokio::test]
async fn an_empty_token_in_the_query_does_not_stay_beside_a_header() {
    let request = get("/rest/services/A/MapServer?token=&f=json");
    let arrived = arrived(site(TokenPlacement::EsriHeader), request).await;
    assert_eq!(arrived.uri.query(), Some("f=json"));
}

#[tokio::test]
async fn a_browsers_token_cookie_is_no_choice_and_goes_where_it_is_not_taken() {
    let upstream = Upstream::new(|request| {
        answer(match token_of(request).as_deref() {
            Some(PLAIN) => CLEAN,
            Some(_) => INVALID,
            None => REQUIRED,
        })
    });
    let layer = ArcgisAuthLayer::try_new(plain_site()).unwrap();
    let mut request = crate::support::get(ROADS);
    let cookies = HeaderValue::from_static("a=1; agstoken=stale; b=2");
    request.headers_mut().insert(header::COOKIE, cookies);
    let got = send(&layer.layer(upstream.clone()), request.clone()).await;
    assert!(got.is_clean());
    let seen = upstream.requests();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].uri, *request.uri());
    assert_eq!(seen[0].headers, *request.headers());
    assert_eq!(seen[1].headers[header::COOKIE], "a=1; b=2");
    assert_eq!(token_of(&seen[1]).as_deref(), Some(PLAIN));
}

#[tokio::test]
async fn a_replaced_token_leaves_none_in_any_spelling() {
    for (path, rest) in [
        (
            "/rest?Token=mine&f=json&%74oken=mine&x=%20&TOKEN=",
            "f=json&x=%20",
        ),
        ("/rest/services/A/MapServer?%74oken=mine&f=json", "f=json"),
    ] {
        for placement in [TokenPlacement::Query, TokenPlacement::EsriHeader] {
            let site = plain_site()
                .placement(placement)
                .caller_token(CallerToken::Replace);
            let request = arrived(site, get(path)).await;
            let query = match placement {
                TokenPlacement::Query => format!("{rest}&token={PLAIN}"),
                _ => rest.to_owned(),
            };
            assert_eq!(request.uri.query(), Some(query.as_str()), "{path}");
        }
    }
}
