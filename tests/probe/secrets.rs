//! No secret is printed, and no password is tried twice.

use arcgis_stand_in::{PASSWORD, Personality, StandIn, USERNAME};
use bytes::Bytes;
use http::{
    HeaderName, Response, StatusCode,
    header::{LOCATION, WWW_AUTHENTICATE},
};
use serde_json::json;

use super::{PARCELS, as_user, federated, personality, run};

#[tokio::test]
async fn a_wrong_password_is_tried_once_and_nowhere_to_be_read() {
    const WRONG: &str = "wr0ng & % + password";
    for kind in [
        Personality::Standalone,
        Personality::AdminOnly,
        Personality::Legacy,
    ] {
        let server = personality(kind).await;
        let ran = as_user(&server.url(PARCELS), WRONG, &[]).await;
        let printed = ran.json();
        assert_eq!(ran.code, 1, "{printed:#}");
        assert_eq!(printed["login"]["tried"], true, "{printed:#}");
        assert_eq!(printed["login"]["refused"], true, "{printed:#}");
        assert_eq!(server.user_counters(USERNAME).login_attempts, 1);
        assert_eq!(server.login_failures(USERNAME), 1);
        ran.assert_silent(&[WRONG], &[]);
    }
    let (portal, server) = federated().await;
    let ran = as_user(&server.url(PARCELS), WRONG, &["--trust", &portal.origin()]).await;
    assert_eq!(ran.code, 1);
    assert_eq!(ran.json()["login"]["refused"], true);
    assert_eq!(portal.counters().login_attempts, 1);
    ran.assert_silent(&[WRONG], &[]);
}

#[tokio::test]
async fn a_token_in_the_url_is_neither_sent_nor_shown() {
    let server = StandIn::start().await.unwrap();
    let url = server.url("rest/services/Parcels/MapServer?f=json&token=S3CR3T-S3CR3T#x");
    let ran = as_user(&url, PASSWORD, &[]).await;
    assert_eq!(ran.code, 0, "{}", ran.out);
    ran.assert_silent(&["S3CR3T", PASSWORD], &[server.received()]);
    let sent = format!("{:?}", server.received());
    assert!(!sent.contains("S3CR3T"));
}

/// An error in the server's own words.
fn error(words: &str) -> Response<Bytes> {
    let body = json!({ "error": { "code": 500, "message": words } });
    Response::new(Bytes::from(body.to_string()))
}

fn with_header(status: StatusCode, name: HeaderName, value: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response.headers_mut().insert(name, value.parse().unwrap());
    response
}

#[tokio::test]
async fn a_server_that_repeats_a_secret_has_no_part_of_it_printed() {
    let server = StandIn::start().await.unwrap();
    server.publish("Parcels/MapServer");
    let far = "x".repeat(170);
    for (secret, part, answer) in [
        // As long as words may be, in the middle of the secret.
        (
            "correct-horse-battery-staple",
            "correct-horse",
            error(&format!("{far}correct-horse-battery-staple")),
        ),
        (
            "correct-horse-battery-staple",
            "horse",
            error("over two lines: correct-horse-\nbattery-staple"),
        ),
        ("p&ss/word", "%2fword", error("p%26ss%2fword")),
        ("p&ss/w rd", "%2fw+rd", error("p%26ss%2fw+rd")),
        ("p-ss_word", "ss%5Fword", error("p%2Dss%5Fword")),
        ("p&ss<word", "ss&lt;word", error("p&amp;ss&lt;word")),
        ("p\"ss\\word", "ss\\\\", error(r#"sent: {\"p\"ss\\word\"}"#)),
        // What stands before a URL's query, and the first word of a header.
        (
            "hunter2?and=more",
            "hunter2",
            with_header(StatusCode::FOUND, LOCATION, "/hunter2?and=more"),
        ),
        (
            "correct-horse battery",
            "correct-horse",
            with_header(
                StatusCode::UNAUTHORIZED,
                WWW_AUTHENTICATE,
                "correct-horse battery",
            ),
        ),
    ] {
        server.set_user(USERNAME, secret);
        server.set_answer("Parcels/MapServer", Some(answer));
        let ran = as_user(&server.url(PARCELS), secret, &[]).await;
        ran.assert_silent(&[part, secret], &[]);
        let printed = ran.json();
        for answer in ["without_login", "with_login"] {
            let says = printed[answer]["says"].as_str().unwrap();
            assert!(says.contains("repeat a secret"), "{secret}: {printed:#}");
        }
        assert_eq!(printed["login"]["works"], true, "{printed:#}");
    }
}

#[tokio::test]
async fn a_command_line_that_cannot_work_is_refused_without_its_secrets() {
    let password = ("ARCGIS_PASSWORD", "hunter2");
    for (arguments, environment) in [
        (&["--password", "hunter2"][..], &[][..]),
        (&["--password=hunter2"], &[]),
        (&["-phunter2"], &[]),
        (&["https://h/a", "hunter2"], &[]),
        (&["https://u:hunter2@h/a"], &[]),
        (&["gis.example.com/arcgis?token=hunter2"], &[]),
        (&["https://h/a", "--username"], &[]),
        (&["https://h/a", "--username", "--json"], &[]),
        (&["https://h/a", "--username", "ada"], &[]),
        (&["https://h/a"], &[password]),
        (&["https://h/a", "--trust", "https://u:hunter2@h"], &[]),
        (&["--username", "ada"], &[password]),
        (
            &["https://h/a", "--username", "ada"],
            &[password, ("ARCGIS_TOKEN", "hunter2")],
        ),
        (&["https://h/a"], &[("ARCGIS_API_KEY", "hunter2 hunter2")]),
        (&["https://h/a"], &[("ARCGIS_CLIENT_ID", "app")]),
    ] {
        let ran = run(arguments, environment).await;
        assert_eq!(ran.code, 2, "{arguments:?}: {}", ran.progress);
        assert!(ran.out.is_empty());
        ran.assert_silent(&["hunter2"], &[]);
    }
    let help = run(&["--help"], &[]).await;
    assert_eq!(help.code, 0);
    assert!(help.out.contains("--allow-insecure-http"));
}
