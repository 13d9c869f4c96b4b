//! What is a challenge and what only looks like one.

#![allow(clippy::unwrap_used, reason = "test code outside of test functions")]

use crate::support::received::{
    CHALLENGE, INVALID, LOGIN_PAGE, LOGIN_REDIRECT, REQUIRED, Received, received,
};
use http::{HeaderValue, Method, header};
use proptest::prelude::*;
use serde_json::{Value, json};
use tower_arcgis_auth::Verdict;

fn ok(body: impl AsRef<[u8]>) -> Received {
    received(200, body)
}

/// Once decided, a verdict stays, and it is the one the whole response has.
fn assert_steady(received: &Received) {
    let whole = received.verdict();
    assert_ne!(whole, Verdict::More);
    let mut decided = false;
    for len in 0..=received.body.len() {
        let verdict = received.after(len, false);
        assert!(
            verdict == whole || (verdict == Verdict::More && !decided),
            "{verdict:?} after {len} bytes, {whole:?} in the end"
        );
        decided |= verdict != Verdict::More;
    }
}

// === the code ===

#[test]
fn a_code_in_the_body_beats_any_status() {
    for status in [200, 201, 302, 400, 401, 403, 404, 498, 499, 500, 503] {
        assert_eq!(received(status, CHALLENGE).verdict(), REQUIRED, "{status}");
        let other = r#"{"error":{"code":404,"message":"Token Required"}}"#;
        assert_eq!(
            received(status, other).verdict(),
            Verdict::Clean,
            "{status}"
        );
    }
}

#[test]
fn what_401_and_403_mean_depends_on_the_token() {
    let unauthorized = r#"{"error":{"code":401,"message":"Authentication required."}}"#;
    assert_eq!(ok(unauthorized).verdict(), REQUIRED);
    assert_eq!(ok(unauthorized).signed().verdict(), INVALID);

    let forbidden = r#"{"error":{"code":403,"message":"You may not."}}"#;
    assert_eq!(ok(forbidden).verdict(), REQUIRED);
    assert_eq!(ok(forbidden).signed().verdict(), Verdict::Clean);
}

#[test]
fn a_web_tier_that_asks_for_itself_is_left_alone() {
    let bare = || received(401, "<html><body>401</body></html>");
    assert_eq!(bare().verdict(), REQUIRED);
    assert_eq!(bare().signed().verdict(), Verdict::Clean);
    for scheme in ["Negotiate", "NTLM", "Basic realm=\"x\"", "Bearer"] {
        let asked = bare().header(header::WWW_AUTHENTICATE, scheme);
        assert_eq!(asked.verdict(), Verdict::Clean, "{scheme}");
    }
}

#[test]
fn only_the_whole_code_counts() {
    for code in [
        "499.5",
        "-499",
        "4990",
        "49",
        "499e0",
        "\"499abc\"",
        "\" 499\"",
        "[499]",
        "null",
    ] {
        let body = format!(r#"{{"error":{{"code":{code},"message":"Token Required"}}}}"#);
        assert_eq!(ok(body).verdict(), Verdict::Clean, "{code}");
    }
    assert_eq!(ok(r#"{"error":{"code":499"#).verdict(), Verdict::Clean);
    assert_eq!(ok(r#"{"error":{"code":499,"#).verdict(), REQUIRED);
}

#[test]
fn an_administrator_error_is_known_whatever_the_order_of_its_keys() {
    let keys = [
        r#""status":"error""#,
        r#""messages":["Token not found."]"#,
        r#""code":499"#,
    ];
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let body = format!("{{{}}}", order.map(|at| keys[at]).join(","));
        assert_eq!(ok(&body).verdict(), REQUIRED, "{body}");
        // All three, or it is another product's.
        for without in 0..3 {
            let rest: Vec<_> = order.iter().filter(|at| **at != without).collect();
            let body = format!("{{{},{}}}", keys[*rest[0]], keys[*rest[1]]);
            assert_eq!(ok(&body).verdict(), Verdict::Clean, "{body}");
        }
    }
}

// === where and how ===

#[test]
fn no_response_without_a_body_is_looked_at() {
    for status in [100, 204, 205, 206, 304] {
        assert_eq!(
            received(status, CHALLENGE).after(0, false),
            Verdict::Clean,
            "{status}"
        );
    }
    let mut head = ok(CHALLENGE);
    head.method = Method::HEAD;
    assert_eq!(head.after(0, false), Verdict::Clean);
}

#[test]
fn an_endless_stream_is_never_held() {
    for kind in [
        "text/event-stream",
        "Text/Event-Stream;charset=utf-8",
        "multipart/x-mixed-replace",
    ] {
        let stream = ok(CHALLENGE).header(header::CONTENT_TYPE, kind);
        assert_eq!(stream.after(0, false), Verdict::Clean, "{kind}");
    }
}

#[test]
fn an_ordinary_answer_is_let_go_at_its_first_key() {
    let rest = format!(r#""x","rows":[{}]}}"#, "1,".repeat(500));
    for key in [
        "displayFieldName",
        "currentVersion",
        "features",
        "type",
        "token",
    ] {
        let answer = ok(format!(r#"{{"{key}":{rest}"#));
        assert_eq!(answer.verdict(), Verdict::Clean);
        assert_eq!(answer.decided_after(), key.len() + 3, "{key}");
    }
    for binary in [
        &b"\x89PNG"[..],
        b"\xFF\xD8\xFF",
        b"\x12\x40",
        b"\x0A\x08",
        b"[1,2]",
        b"%PDF",
    ] {
        assert!(ok(binary).decided_after() <= 2, "{binary:?}");
    }
}

#[test]
fn a_challenge_is_known_as_soon_as_its_code_is() {
    assert_eq!(
        ok(CHALLENGE).decided_after(),
        r#"{"error":{"code":499,"#.len()
    );
}

#[test]
fn no_body_is_looked_at_for_ever() {
    let blank = ok(" ".repeat(16 * 1024));
    assert_eq!(blank.after(16 * 1024 - 1, false), Verdict::More);
    assert_eq!(blank.after(16 * 1024, false), Verdict::Clean);

    for start in [
        "{\"message\":\"",
        "<html><!--",
        "<html><p title=\"",
        "{\"messages\":[",
        "/*",
        "<",
    ] {
        let long = ok(format!("{start}{}", "x".repeat(16 * 1024)));
        assert_eq!(
            long.after(long.body.len(), false),
            Verdict::Clean,
            "{start}"
        );
    }
}

#[test]
fn real_498_and_499_are_challenges_unless_the_body_is_plainly_not_arcgis() {
    for body in [
        "",
        "Token Required",
        "{}",
        "<html><body>Token required</body></html>",
        "?",
    ] {
        assert_eq!(received(499, body).verdict(), REQUIRED, "{body}");
        assert_eq!(received(498, body).verdict(), INVALID, "{body}");
    }
    for body in [
        r#"{"code":499,"message":"client closed request"}"#,
        r#"{"code":1,"message":"context canceled","details":[]}"#,
        "Client closed request",
        "<html><title>499 Client Closed Request</title><center>nginx</center></html>",
    ] {
        assert_eq!(received(499, body).verdict(), Verdict::Clean, "{body}");
    }
    let behind = |body| received(499, body).header(header::SERVER, "nginx/1.25.3");
    assert_eq!(behind("").verdict(), Verdict::Clean);
    assert_eq!(behind("Token Required").verdict(), REQUIRED);
    assert_eq!(behind(CHALLENGE).verdict(), REQUIRED);
}

#[test]
fn a_redirect_is_known_by_its_path_alone() {
    let to = |location| {
        received(302, "")
            .header(header::LOCATION, location)
            .verdict()
    };
    for login in [
        "/arcgis/rest/login?redirect=%2Farcgis%2Frest%2Fservices",
        "https://gis.example.com/ARCGIS/rest/Login/",
        "//gis.example.com:6443/arcgis/admin/login",
        "https://www.example.com/sharing/rest/oauth2/authorize?client_id=x",
        "/portal/home/signin.html",
        "https://idp.example.com/adfs/ls/?SAMLRequest=x",
        "https://idp.example.com/start?wa=wsignin1.0",
    ] {
        assert_eq!(to(login), LOGIN_REDIRECT, "{login}");
    }
    for other in [
        "/arcgis/rest/services/login/MapServer/tile/1/0/0",
        "/arcgis/rest/services?next=/arcgis/rest/login",
        "/arcgis/rest/services#/arcgis/rest/login",
        "/arcgis/rest/login/help",
        "/forrest/login",
        "/x?y=SAMLRequest=1",
        "",
    ] {
        assert_eq!(to(other), Verdict::Clean, "{other}");
    }
    let status = |status| {
        received(status, "")
            .header(header::LOCATION, "/rest/login")
            .verdict()
    };
    for redirect in [301, 302, 303, 307, 308] {
        assert_eq!(status(redirect), LOGIN_REDIRECT);
    }
    for other in [200, 201, 300, 304, 404] {
        assert_eq!(status(other), Verdict::Clean);
    }
}

#[test]
fn a_form_is_known_by_where_it_is_sent_and_what_it_asks() {
    let page = |form: &str| {
        let page = format!(
            "<!DOCTYPE html><html><head><title>Login</title></head><body>{form}</body></html>"
        );
        page.into_bytes()
    };
    for form in [
        r#"<form action="/arcgis/rest/login" method="post"><input type="password"></form>"#,
        "<FORM METHOD=post ACTION='/arcgis/rest/login'><INPUT NAME=p TYPE=Password></FORM>",
        "<form\n action = /arcgis/rest/login\n><table><tr><input\ttype =\n'password'/>",
        r#"<form action="/arcgis&#x2F;rest&sol;login?a&amp;b"><input type="password">"#,
        r#"<script>"<form>"</script><form action="/sharing/oauth2/signin"><input type="password">"#,
    ] {
        assert_eq!(ok(page(form)).verdict(), LOGIN_PAGE, "{form}");
        assert_steady(&ok(page(form)));
    }
    for form in [
        r#"<a href="/arcgis/rest/login">Login</a> | <a href="/arcgis/tokens/">Get Token</a>"#,
        r#"<form action="/arcgis/rest/login"><input type="submit"></form><input type="password">"#,
        r#"<form action="generateToken"><input type="password"></form>"#,
        r#"<form action="/login?next=/arcgis/rest/login"><input type="password"></form>"#,
        r#"<!-- <form action="/arcgis/rest/login"><input type="password"></form> -->"#,
        r#"<script><form action="/arcgis/rest/login"><input type="password"></form></script>"#,
        r#"<form data-action="/arcgis/rest/login"><input type="password"></form>"#,
    ] {
        assert_eq!(ok(page(form)).verdict(), Verdict::Clean, "{form}");
    }
}

#[test]
fn an_error_page_is_known_by_its_title_and_code() {
    let page = |title: &str, body: &str| {
        ok(format!(
            "<html><head><title>\n{title}</title></head><body>{body}</body></html>"
        ))
        .verdict()
    };
    assert_eq!(page("Error: Token Required", ""), REQUIRED);
    assert_eq!(page("error: INVALID TOKEN ", ""), INVALID);
    assert_eq!(
        page("Error: oh", "<b>Error: </b>oh<br/>\n<b>Code: </b>499<br/>"),
        REQUIRED
    );
    assert_eq!(page("Error: oh", "<p>Code:<i> 498</i>"), INVALID);

    assert_eq!(page("Error: oh", "<b>Code: </b>500<br/>"), Verdict::Clean);
    assert_eq!(
        page("Error: oh", "<b>Error: </b>Code: 499<br/><b>Code: </b>400"),
        Verdict::Clean
    );
    assert_eq!(page("Error", "<b>Code: </b>499<br/>"), Verdict::Clean);
    assert_eq!(
        page("Token Required", "Error: Token Required"),
        Verdict::Clean
    );
    assert_eq!(
        page("Error: Token Required soon", "Token Required"),
        Verdict::Clean
    );
}

#[test]
fn a_fault_must_say_it_and_nothing_else() {
    let soap = |text: &str| {
        received(500, format!("<e:Envelope><e:Body><e:Fault><faultstring>{text}</faultstring></e:Fault></e:Body></e:Envelope>"))
            .verdict()
    };
    assert_eq!(soap(" token required. "), REQUIRED);
    assert_eq!(soap("<![CDATA[Invalid Token]]>"), INVALID);
    assert_eq!(
        soap("Authentication token required. (status code 499)"),
        REQUIRED
    );
    assert_eq!(soap("Token Required for zone 7"), Verdict::Clean);

    let elsewhere =
        "<?xml version='1.0'?><metadata><faultstring>Token Required</faultstring></metadata>";
    assert_eq!(ok(elsewhere).verdict(), Verdict::Clean);
}

// === whatever comes ===

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
        let mut answer = received(status, body);
        answer.token = token;
        if html {
            answer = answer.header(header::CONTENT_TYPE, "text/html");
        }
        assert_steady(&answer);
    }

    #[test]
    fn no_bytes_and_no_headers_are_too_strange(
        status in 100_u16..1000,
        coding in prop::sample::select(vec!["", "gzip", "deflate", "br", "zstd", "gzip, deflate", ",identity,"]),
        kind in any::<Vec<u8>>(),
        location in any::<Vec<u8>>(),
        body in prop::collection::vec(any::<u8>(), 0..300),
        token: bool,
    ) {
        let mut answer = received(status, body).header(header::CONTENT_ENCODING, coding);
        answer.token = token;
        for (name, value) in [(header::CONTENT_TYPE, kind), (header::LOCATION, location)] {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                answer.headers.insert(name, value);
            }
        }
        assert_steady(&answer);
    }

    #[test]
    fn nothing_nested_is_a_challenge(value in any_value(), key in "[a-z]{1,8}") {
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
    fn a_challenge_stays_one_however_it_is_written(
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
