//! The token in the query.

use proptest::prelude::*;
use tower_arcgis_auth::TokenPlacement;

use super::{ENCODED, PLAIN, arrived, get, plain_site, site};
use crate::support::{ROOT, TokenService, Upstream, over, send, token_of};

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
        ("/rest?TOKEN=&f=json", "/rest?token=T&f=json"),
        ("/rest?f=json&%74oken=&x='", "/rest?f=json&token=T&x='"),
        ("/rest?Token&f=json&token=", "/rest?token=T&f=json"),
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
async fn a_uri_too_long_for_a_token_is_signed_in_a_header() {
    const LONGEST_URI: usize = 65_534;
    let start = "/rest?where=";
    for (room, in_query) in [(500, true), (0, false)] {
        let length = LONGEST_URI - ROOT.len() - start.len() - room;
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
async fn a_second_sending_has_one_token_and_it_is_the_new_one() {
    for (path, query) in [
        (
            "/rest/services/Roads/MapServer?f=json",
            "f=json&token=secret-2",
        ),
        ("/rest?%74oken=&f=json", "token=secret-2&f=json"),
    ] {
        let source = TokenService::new();
        let upstream = Upstream::secured_by(&source);
        let service = over(upstream.clone(), &source);
        send(&service, get(path)).await;
        source.revoke_all();
        send(&service, get(path)).await;
        let last = upstream.last_request();
        assert_eq!(last.uri.query(), Some(query));
        assert_eq!(token_of(&last).as_deref(), Some("secret-2"));
    }
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
    fn apart_from_the_token_the_query_stays_byte_for_byte(pairs in query(), has_query: bool) {
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
async fn a_query_that_only_the_token_makes_too_long_for_iis_keeps_it_out() {
    for (length, in_query) in [(1900, true), (2040, false), (2048, false), (2049, true)] {
        let query = format!("where={}", "x".repeat(length - "where=".len()));
        let path = format!("/rest?{query}");
        let request = arrived(plain_site(), get(&path)).await;
        let signed = if in_query {
            format!("{query}&token={PLAIN}")
        } else {
            query
        };
        assert_eq!(request.uri.query(), Some(signed.as_str()), "{length}");
        assert_eq!(
            request.headers.contains_key("x-esri-authorization"),
            !in_query,
            "{length}"
        );
    }
}
