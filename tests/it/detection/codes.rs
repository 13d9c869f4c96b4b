//! The code in a body, and the HTTP status beside it.

use http::header;
use tower_arcgis_auth::Verdict;

use super::ok;
use crate::support::received::{CHALLENGE, INVALID, REQUIRED, received};

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
fn a_401_of_the_web_tier_is_no_challenge_to_the_token() {
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
fn an_error_of_the_administrator_api_is_recognised_in_any_order_of_its_keys() {
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

#[test]
fn the_http_status_498_or_499_is_a_challenge_unless_the_body_is_plainly_not_of_arcgis() {
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
