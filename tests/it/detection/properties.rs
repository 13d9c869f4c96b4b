//! Any body, cut anywhere.

use http::{HeaderValue, header};
use proptest::prelude::*;
use serde_json::{Value, json};
use tower_arcgis_auth::Verdict;

use super::ok;
use crate::support::received::{CHALLENGE, REQUIRED, received};

/// Bodies in which much can go wrong when they are cut.
fn tricky() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        CHALLENGE,
        "{",
        "}",
        "[",
        "]",
        "\"",
        ",",
        ":",
        "\\u0065rror",
        "\\",
        "error",
        "\"error\":{",
        "code",
        "\"code\":",
        "499",
        "498",
        "401",
        "403",
        "\"message\":",
        "ssl",
        "permission",
        "\"status\":\"error\",",
        "\"messages\":[\"",
        "\"],",
        "\"subcode\":2,",
        "<html>",
        "<title>",
        "Error: ",
        "Token Required",
        "</title>",
        "<b>Code: </b>",
        "ArcGIS Portal Directory",
        "<h2>Error</h2>",
        "<form action=/rest/login>",
        "<input type=password>",
        "</form>",
        "<!--",
        "-->",
        "<![CDATA[",
        "]]>",
        "<script>",
        "</script",
        ">",
        "<",
        "&amp;",
        "<?xml?>",
        "<a:Envelope>",
        "<a:Body>",
        "<a:Fault>",
        "<faultstring>",
        "</faultstring>",
        "<kml>",
        "<textarea>",
        "</textarea>",
        "cb(",
        "/**/",
        " ",
        "\u{FEFF}",
        "nginx",
        "client closed",
        "oAuthInfo oauth_state",
        "é",
        "=",
        "'",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop::sample::select(vec![401, 403, 498, 499]).prop_map(Value::from),
        prop::sample::select(vec!["error", "499", "Token Required", "}{\"\\"])
            .prop_map(Value::from),
        Just(json!({"error": {"code": 499, "message": "Token Required"}})),
        Just(json!({"status": "error", "messages": ["Token Expired."], "code": 498})),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let key = prop::sample::select(vec!["error", "code", "status", "messages", "details", "x"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..6).prop_map(|pairs| pairs
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    #[test]
    fn a_verdict_once_given_stays(
        status in prop::sample::select(vec![200, 302, 400, 401, 498, 499, 500]),
        token: bool,
        html: bool,
        body in tricky(),
    ) {
        let mut response = received(status, body);
        response.token = token;
        if html {
            response = response.header(header::CONTENT_TYPE, "text/html");
        }
        response.assert_steady();
    }

    #[test]
    fn no_bytes_and_no_headers_make_a_verdict_change(
        status in 100_u16..1000,
        coding in prop::sample::select(vec!["", "gzip", "deflate", "br", "zstd", "gzip, deflate", ",identity,"]),
        kind in any::<Vec<u8>>(),
        location in any::<Vec<u8>>(),
        body in prop::collection::vec(any::<u8>(), 0..300),
        token: bool,
    ) {
        let mut response = received(status, body).header(header::CONTENT_ENCODING, coding);
        response.token = token;
        for (name, value) in [(header::CONTENT_TYPE, kind), (header::LOCATION, location)] {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                response.headers.insert(name, value);
            }
        }
        response.assert_steady();
    }

    #[test]
    fn an_error_that_is_nested_is_no_challenge(value in any_value(), key in "[a-z]{1,8}") {
        for wrapped in [
            json!([value]),
            json!({ "features": [value] }),
            json!({ "error": [value] }),
            json!({ "error": { "details": [value] } }),
            json!({ "details": value, "success": true }),
            json!({ "status": { key: value } }),
        ] {
            prop_assert_eq!(ok(wrapped.to_string()).verdict(), Verdict::Clean, "{}", wrapped);
        }
    }

    #[test]
    fn a_challenge_is_recognised_in_any_spelling_of_its_json(
        message in any::<String>(),
        details in any_value(),
        last: bool,
        pretty: bool,
    ) {
        // Keys are written in the order of the alphabet: `code` before or after its company.
        let (before, after) = if last { ("abc", "b") } else { ("message", "details") };
        let envelope = json!({ "error": { before: message, "code": 499, after: details } });
        let body = if pretty {
            serde_json::to_string_pretty(&envelope).unwrap()
        } else {
            envelope.to_string()
        };
        prop_assume!(body.len() < 16 * 1024);
        prop_assert_eq!(ok(body).verdict(), REQUIRED);
    }
}
