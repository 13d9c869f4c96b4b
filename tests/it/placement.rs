//! Where the token stands on the wire, and that nothing else is changed by it.

use crate::support;
use crate::support::{Source, Upstream, send, token_of};
use http::{Request, header};
use http_body_util::Full;
use proptest::prelude::*;
use tower::Layer;
use tower_arcgis_auth::{
    ArcgisAuthLayer, CallerToken, IssuedToken, Site, SkipReason, TokenPlacement, token_source_fn,
};

const TOKEN: &str = "a.b_c-d~e+f/g=";
const ENCODED: &str = "a.b_c-d~e%2Bf%2Fg%3D";

fn site(placement: TokenPlacement) -> Site {
    Site::new(support::ROOT)
        .token_source(token_source_fn(|_| async { IssuedToken::try_new(TOKEN) }))
        .placement(placement)
}

/// Challenges everything that is not signed; the second sending is what is looked at.
fn picky() -> Upstream {
    Upstream::new(|request| {
        let signed = request.uri.to_string().contains(ENCODED)
            || request.headers.values().any(|value| {
                let value = String::from_utf8_lossy(value.as_bytes());
                value.contains(TOKEN) || value.contains(ENCODED)
            });
        support::answer(if signed {
            support::CLEAN
        } else {
            support::REQUIRED
        })
    })
}

/// The last request as it arrived.
async fn arrived(site: Site, request: Request<Full<bytes::Bytes>>) -> http::request::Parts {
    let fake = picky();
    let service = ArcgisAuthLayer::try_new(site).unwrap().layer(fake.clone());
    send(&service, request).await;
    fake.seen().pop().unwrap()
}

fn get(path_and_query: &str) -> Request<Full<bytes::Bytes>> {
    support::get(&format!("http://gis.test/arcgis{path_and_query}"))
}

#[tokio::test]
async fn the_query_is_appended_to_or_replaced_in_and_else_untouched() {
    for (before, after) in [
        ("/rest", "/rest?token=T"),
        ("/rest?", "/rest?token=T"),
        ("/rest?f=json", "/rest?f=json&token=T"),
        ("/rest?f=json&", "/rest?f=json&token=T"),
        (
            "/rest?where=1%3D1&where=a%20b&f=pjson",
            "/rest?where=1%3D1&where=a%20b&f=pjson&token=T",
        ),
        (
            "/rest?where=name+%3D+'x'&&=&x",
            "/rest?where=name+%3D+'x'&&=&x&token=T",
        ),
        ("/rest?a=1?", "/rest?a=1?&token=T"),
        // An empty one is none, and makes room for ours.
        ("/rest?token=", "/rest?token=T"),
        ("/rest?token=&f=json", "/rest?token=T&f=json"),
        ("/rest?f=json&token=&x=1", "/rest?f=json&token=T&x=1"),
        ("/rest?token=&token=&f=json", "/rest?token=T&f=json"),
        ("/rest?f=json&token=&token=", "/rest?f=json&token=T"),
        // Only a whole key is a key.
        ("/rest?mytoken=a&f=json", "/rest?mytoken=a&f=json&token=T"),
        ("/rest?x=token=a", "/rest?x=token=a&token=T"),
        ("/rest?tokens=a", "/rest?tokens=a&token=T"),
    ] {
        let request = arrived(site(TokenPlacement::Query), get(before)).await;
        let wanted = format!("http://gis.test/arcgis{after}").replace("=T", &format!("={ENCODED}"));
        assert_eq!(request.uri.to_string(), wanted, "{before}");
    }
}

#[tokio::test]
async fn the_cookie_is_merged_into_the_callers() {
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
async fn a_uri_too_long_for_a_token_gets_it_in_a_header() {
    const LONGEST_URI: usize = 65_534;
    let start = "/rest?where=";
    for (room, in_query) in [(500, true), (0, false)] {
        let length = LONGEST_URI - support::ROOT.len() - start.len() - room;
        let uri = format!("{start}{}", "x".repeat(length));
        let request = arrived(site(TokenPlacement::Query), get(&uri)).await;
        assert_eq!(request.uri.query().unwrap().contains(ENCODED), in_query);
        assert_eq!(
            request.headers.contains_key("x-esri-authorization"),
            !in_query
        );
    }
}

#[tokio::test]
async fn a_callers_own_token_wins_and_the_request_passes_untouched() {
    let own = [
        (TokenPlacement::Query, "/rest?token=mine", None),
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
        let fake = Upstream::new(|_| support::answer(support::INVALID));
        let service = ArcgisAuthLayer::try_new(site(placement))
            .unwrap()
            .layer(fake.clone());

        let answer = send(&service, request).await;

        assert_eq!(answer.body, support::INVALID, "their dead token is theirs");
        assert!(matches!(
            answer.outcome.skip_reason(),
            Some(SkipReason::CallersToken)
        ));
        let seen = fake.seen();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].uri, uri);
        assert_eq!(seen[0].headers, headers);
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
async fn a_second_sending_has_one_token_and_it_is_the_new_one() {
    let source = Source::new();
    let fake = Upstream::secured(&source.valid);
    let service = support::over(fake.clone(), &source);
    send(&service, support::get(support::ROADS)).await;
    source.valid.revoke_all();
    send(&service, support::get(support::ROADS)).await;
    let last = fake.seen().pop().unwrap();
    assert_eq!(last.uri.query(), Some("f=json&token=secret-2"));
    assert_eq!(token_of(&last).as_deref(), Some("secret-2"));
}

/// Pairs of a query; some of them tokens, empty or not at all.
fn query() -> impl Strategy<Value = Vec<String>> {
    let pair = prop_oneof![
        Just("token=".to_owned()),
        Just(String::new()),
        "[a-zA-Z0-9_.~%!$'()*+,;:@/?-]{0,8}(=[a-zA-Z0-9_.~!$'()*+,;=:@/?-]{0,12})?"
            .prop_map(String::from),
        Just("f=json".to_owned()),
        Just("tokentoken=x".to_owned()),
    ];
    prop::collection::vec(pair, 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn but_for_the_token_the_query_stays_byte_for_byte(pairs in query(), has_query: bool) {
        let text = pairs.join("&");
        prop_assume!(!pairs.iter().any(|pair| pair.starts_with("token=") && pair.len() > 6));
        let uri = if has_query || !text.is_empty() { format!("/rest?{text}") } else { "/rest".to_owned() };
        prop_assume!(format!("http://gis.test/arcgis{uri}").parse::<http::Uri>().is_ok());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let request = runtime.block_on(arrived(site(TokenPlacement::Query), get(&uri)));
        let signed = request.uri.query().unwrap().to_owned();
        let ours = format!("token={ENCODED}");

        let (mine, others): (Vec<&str>, Vec<&str>) =
            signed.split('&').partition(|pair| *pair == ours);
        prop_assert_eq!(mine.len(), 1, "{}", signed);
        // Where empty pairs stand is in the table above; here it is text and order that count.
        let others: Vec<&str> = others.into_iter().filter(|pair| !pair.is_empty()).collect();
        let wanted: Vec<&str> = text
            .split('&')
            .filter(|pair| !matches!(*pair, "" | "token="))
            .collect();
        prop_assert_eq!(others, wanted, "{} became {}", text, signed);
    }
}

#[tokio::test]
async fn a_token_key_in_escapes_is_replaced_as_well() {
    let site = site(TokenPlacement::Query).caller_token(CallerToken::Replace);
    let arrived = arrived(site, get("/rest/services/A/MapServer?%74oken=mine&f=json")).await;
    let query = arrived.uri.query().unwrap();
    let keys = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == "token");
    assert_eq!(keys.count(), 1, "{query}");
}

#[tokio::test]
async fn an_empty_token_in_the_query_does_not_stay_beside_a_header() {
    let request = get("/rest/services/A/MapServer?token=&f=json");
    let arrived = arrived(site(TokenPlacement::EsriHeader), request).await;
    assert_eq!(arrived.uri.query(), Some("f=json"));
}

#[tokio::test]
async fn a_source_of_the_users_own_leaves_the_callers_referer() {
    let request = Request::get(support::ROADS)
        .header("referer", "https://app.example/")
        .body(Full::default())
        .unwrap();
    let arrived = arrived(site(TokenPlacement::Query), request).await;
    assert_eq!(arrived.headers["referer"], "https://app.example/");
}
