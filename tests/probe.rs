//! The example `probe`, run as its program runs it, against every kind of server the stand-in knows.

#[path = "../examples/probe/steps/mod.rs"]
mod steps;

use std::path::Path;

use arcgis_stand_in::{ChallengeShape, PASSWORD, Personality, Portal, Received, StandIn, USERNAME};
use bytes::Bytes;
use http::{
    HeaderName, Response, StatusCode,
    header::{LOCATION, WWW_AUTHENTICATE},
};
use serde_json::{Value, json};

const PARCELS: &str = "rest/services/Parcels/MapServer?f=json";

/// What came of a run.
struct Ran {
    code: u8,
    out: String,
    progress: String,
}

impl Ran {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }

    /// Neither the secrets given nor any token a server saw is anywhere in the output.
    fn assert_silent(&self, secrets: &[&str], servers: &[Vec<Received>]) {
        let all = format!("{}{}", self.out, self.progress);
        for secret in secrets {
            assert!(!all.contains(secret), "{all}");
        }
        for received in servers.iter().flatten() {
            let (_, query) = received.path_and_query.split_once('?').unwrap_or_default();
            for (name, token) in form_urlencoded::parse(query.as_bytes()) {
                assert!(name != "token" || !all.contains(&*token), "{all}");
            }
        }
    }
}

async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    let arguments = arguments.iter().map(|argument| (*argument).to_owned());
    let variable = |name: &str| {
        let found = environment.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let (mut out, mut progress) = (Vec::new(), Vec::new());
    let code = steps::run(arguments, &variable, &mut out, &mut progress).await;
    Ran {
        code: code.unwrap(),
        out: String::from_utf8(out).unwrap(),
        progress: String::from_utf8(progress).unwrap(),
    }
}

/// As the stand-in's user, in JSON.
async fn as_user(url: &str, password: &str, more: &[&str]) -> Ran {
    let arguments = [&[url, "--username", USERNAME, "--json"], more].concat();
    run(&arguments, &[("ARCGIS_PASSWORD", password)]).await
}

async fn personality(personality: Personality) -> StandIn {
    let server = StandIn::builder().personality(personality).start().await;
    server.unwrap()
}

async fn federated() -> (Portal, StandIn) {
    let portal = Portal::start().await.unwrap();
    let server = StandIn::builder().federated_with(&portal).start().await;
    (portal, server.unwrap())
}

#[tokio::test]
async fn without_a_url_it_probes_a_stand_in_and_says_all_there_is_to_say() {
    let ran = run(&[], &[]).await;
    assert_eq!(ran.code, 0, "{}{}", ran.progress, ran.out);
    for said in [
        "ArcGIS Server 10.9.1, on its own",
        "asks for a token (HTTP 200: 499 Token Required)",
        "/arcgis/tokens/generateToken",
        "works, as the user gis",
        "open (HTTP 200)",
        "usable          yes",
        "Secret::env(\"ARCGIS_PASSWORD\")",
        "arcgis-proxy --upstream http://127.0.0.1:",
    ] {
        assert!(ran.out.contains(said), "{said}: {}", ran.out);
    }
    assert!(ran.progress.contains("one login"), "{}", ran.progress);
    ran.assert_silent(&[PASSWORD], &[]);
}

#[tokio::test]
async fn every_server_of_its_own_is_recognised_and_logged_in_to_once() {
    for (kind, named, source, url) in [
        (
            Personality::Standalone,
            "server",
            "generate_token",
            "tokens/generateToken",
        ),
        (
            Personality::AdminOnly,
            "server",
            "generate_token",
            "admin/generateToken",
        ),
        (Personality::Legacy, "silent", "legacy_token", "tokens"),
    ] {
        let server = personality(kind).await;
        let alone = run(&[&server.url(PARCELS), "--json"], &[]).await;
        let printed = alone.json();
        assert_eq!(alone.code, 1, "no login: {printed:#}");
        assert_eq!(printed["server"]["kind"], named, "{printed:#}");
        assert_eq!(printed["source"]["kind"], source, "{printed:#}");
        assert_eq!(printed["source"]["url"], server.url(url), "{printed:#}");
        assert_eq!(
            printed["without_login"]["kind"], "token_required",
            "{printed:#}"
        );
        assert_eq!(printed["login"], Value::Null, "{printed:#}");
        assert_eq!(server.counters().logins, 0);
        server.reset_counters();

        // As people copy it from a browser, without `f=json`.
        let url = server.url("rest/services/Parcels/MapServer");
        let ran = as_user(&url, PASSWORD, &[]).await;
        let printed = ran.json();
        assert_eq!(ran.code, 0, "{printed:#}");
        assert_eq!(printed["root"], server.root());
        assert_eq!(printed["login"]["works"], true, "{printed:#}");
        assert_eq!(printed["with_login"]["kind"], "open", "{printed:#}");
        assert_eq!(server.counters().logins, 1);
        ran.assert_silent(&[PASSWORD], &[server.received()]);
    }
}

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
        assert_eq!(server.counters_of(USERNAME).login_attempts, 1);
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
async fn a_portal_that_is_not_listed_is_named_and_gets_nothing_until_it_is() {
    let (portal, server) = federated().await;
    let ran = as_user(&server.url(PARCELS), PASSWORD, &[]).await;
    let printed = ran.json();
    assert_eq!(ran.code, 1, "{printed:#}");
    assert_eq!(printed["server"]["kind"], "federated_server");
    assert_eq!(printed["owning_portal"], portal.root());
    assert_eq!(printed["source"], Value::Null);
    assert_eq!(printed["unlisted_origin"], portal.origin());
    assert_eq!(printed["login"]["tried"], false, "{printed:#}");
    let error = printed["source_error"].as_str().unwrap();
    assert!(error.contains("list it with --trust ORIGIN"), "{error}");
    let setting = format!(".trust_token_service(\"{}\")", portal.origin());
    assert!(
        printed["code"].as_str().unwrap().contains(&setting),
        "{printed:#}"
    );
    assert_eq!(portal.counters().login_attempts, 0);

    for more in [["--trust", &portal.origin()], ["--portal", &portal.root()]] {
        portal.reset_counters();
        let ran = as_user(&server.url(PARCELS), PASSWORD, &more).await;
        let printed = ran.json();
        assert_eq!(ran.code, 0, "{printed:#}");
        assert_eq!(printed["source"]["kind"], "federated_server");
        assert_eq!(portal.counters().logins, 1);
        ran.assert_silent(&[PASSWORD], &[server.received(), portal.received()]);
    }
}

/// The settings of the library, as it writes them.
const SETTINGS: [&str; 6] = [
    "`trust_token_service`",
    "`token_url`",
    "`portal`",
    "`allow_insecure_http`",
    "`send_portal_token`",
    "`login_timeout`",
];

fn assert_names_options(ran: &Ran, options: &[&str]) {
    let all = format!("{}{}", ran.out, ran.progress);
    for setting in SETTINGS {
        assert!(!all.contains(setting), "{setting} in {all}");
    }
    for option in options {
        assert!(all.contains(option), "{option} not in {all}");
    }
}

#[tokio::test]
async fn errors_name_the_probes_own_options() {
    let (portal, server) = federated().await;
    let user = [("ARCGIS_PASSWORD", PASSWORD)];
    let as_user = ["--username", USERNAME];
    let parcels = server.url(PARCELS);
    let ran = run(&[&[parcels.as_str()], &as_user[..]].concat(), &user).await;
    assert_names_options(&ran, &["list it with --trust ORIGIN"]);

    let stranger = StandIn::start().await.unwrap();
    stranger.set_owning_system_url(Some(portal.root()));
    let (parcels, origin) = (stranger.url(PARCELS), portal.origin());
    let trusting = [&[parcels.as_str(), "--trust", &origin], &as_user[..]].concat();
    let ran = run(&trusting, &user).await;
    assert_eq!(ran.code, 1);
    assert_names_options(&ran, &["--send-portal-token lets"]);
    let ran = run(&[&trusting[..], &["--send-portal-token"]].concat(), &user).await;
    assert_names_options(
        &ran,
        &[
            ".send_portal_token()",
            "arcgis-proxy",
            " --send-portal-token",
        ],
    );
    assert!(stranger.counters().signed_requests > 0, "{}", ran.out);

    let server = StandIn::start().await.unwrap();
    server.set_token_services_url(Some("http://[".to_owned()));
    let parcels = server.url(PARCELS);
    let asking = [&[parcels.as_str()], &as_user[..]].concat();
    let ran = run(&asking, &user).await;
    assert_names_options(&ran, &["--token-url URL"]);
    let url = server.url("tokens");
    let ran = run(&[&asking[..], &["--token-url", &url]].concat(), &user).await;
    assert_eq!(ran.code, 0, "{}", ran.out);
    assert_names_options(
        &ran,
        &[
            &format!(".token_url(\"{url}\")"),
            &format!("--token-url {url}"),
        ],
    );

    for (option, value) in [
        ("--token-url", "tokens/generateToken"),
        ("--trust", "portal.example.com"),
        ("--portal", "portal.example.com"),
        ("--referer", "a\u{7f}b"),
    ] {
        let ran = run(&[&asking[..], &[option, value]].concat(), &user).await;
        assert_eq!(ran.code, 2, "{}{}", ran.out, ran.progress);
        assert_names_options(&ran, &[&format!("{option} `")]);
    }
}

#[test]
fn every_setting_that_the_library_names_has_an_option() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    // What only the library's own users meet, and a parameter of sign-ins.
    let unreachable = ["identity_fn", "state"];
    steps::option_names::assert_complete(&source, &steps::option_names::NAMES, &unreachable);
}

#[tokio::test]
async fn a_portal_is_asked_as_one_and_applications_log_in_there() {
    let portal = Portal::start().await.unwrap();
    let ran = as_user(&portal.root(), PASSWORD, &[]).await;
    let printed = ran.json();
    assert_eq!(ran.code, 0, "{printed:#}");
    assert_eq!(printed["server"]["kind"], "portal");
    assert_eq!(portal.counters().logins, 1);

    portal.set_app("mapApp", "the app's secret");
    let app = [
        ("ARCGIS_CLIENT_ID", "mapApp"),
        ("ARCGIS_CLIENT_SECRET", "the app's secret"),
    ];
    let ran = run(
        &[&portal.url("sharing/rest/content/items/abc"), "--json"],
        &app,
    )
    .await;
    let printed = ran.json();
    assert_eq!(ran.code, 0, "{printed:#}");
    assert_eq!(printed["environment"][0], "ARCGIS_CLIENT_SECRET");
    ran.assert_silent(&["the app's secret"], &[portal.received()]);
}

#[tokio::test]
async fn a_key_that_is_not_taken_is_said_to_be_that() {
    let portal = Portal::start().await.unwrap();
    portal.set_api_key("AAPK-good-0123456789", &[]);
    let item = portal.url("sharing/rest/content/items/abc?f=json");
    for (key, code) in [("AAPK-good-0123456789", 0), ("AAPK-dead-0123456789", 1)] {
        let ran = run(&[&item, "--json"], &[("ARCGIS_API_KEY", key)]).await;
        let printed = ran.json();
        assert_eq!(ran.code, code, "{printed:#}");
        assert_eq!(printed["source"]["kind"], "static_token");
        assert_eq!(printed["login"]["works"], code == 0, "{printed:#}");
        ran.assert_silent(&[key], &[]);
    }
    assert_eq!(portal.counters().login_attempts, 0);
}

#[tokio::test]
async fn a_key_is_not_proven_where_nothing_asks_for_one() {
    let server = StandIn::start().await.unwrap();
    let key = [("ARCGIS_API_KEY", "AAPK-made-up-0123456789")];
    let printed = run(&[&server.root(), "--json"], &key).await.json();
    assert_eq!(printed["login"]["works"], Value::Null, "{printed:#}");
    let ran = run(&[&server.root()], &key).await;
    assert!(ran.out.contains("not proven"), "{}", ran.out);
    assert!(ran.out.contains("URL of a secured service"), "{}", ran.out);
    assert!(ran.progress.contains("takes no login"), "{}", ran.progress);
}

#[tokio::test]
async fn a_key_that_is_taken_works_whatever_else_is_wrong_with_the_url() {
    let portal = Portal::start().await.unwrap();
    portal.set_api_key("AAPK-good-0123456789", &[]);
    let server = StandIn::builder().federated_with(&portal).start().await;
    let server = server.unwrap();
    let url = server.url("rest/services/Parcels/MapServer/nonsense?f=json");
    let key = [("ARCGIS_API_KEY", "AAPK-good-0123456789")];
    let printed = run(&[&url, "--json"], &key).await.json();
    assert_eq!(printed["with_login"]["kind"], "error", "{printed:#}");
    assert_eq!(printed["login"]["works"], true, "{printed:#}");
}

#[tokio::test]
async fn a_key_bound_to_a_referer_is_taken_with_it() {
    let portal = Portal::start().await.unwrap();
    portal.set_api_key("AAPK-good-0123456789", &["https://maps.example.com"]);
    let item = portal.url("sharing/rest/content/items/abc?f=json");
    let key = [("ARCGIS_API_KEY", "AAPK-good-0123456789")];
    let ran = run(&[&item], &key).await;
    assert_eq!(ran.code, 1, "{}", ran.out);
    assert!(ran.out.contains("--referer"), "{}", ran.out);
    let referer = "https://maps.example.com/";
    let ran = run(&[&item, "--referer", referer], &key).await;
    assert_eq!(ran.code, 0, "{}", ran.out);
    for setting in [
        ".referer(\"https://maps.example.com/\")",
        "--referer https://maps.example.com/",
    ] {
        assert!(ran.out.contains(setting), "{}", ran.out);
    }
}

#[tokio::test]
async fn a_portal_named_without_its_web_adaptor_is_said_to_be_that() {
    let (portal, server) = federated().await;
    let origin = portal.origin();
    let arguments = ["--portal", origin.as_str(), "--allow-insecure-http"];
    let ran = as_user(&server.url(PARCELS), PASSWORD, &arguments).await;
    assert_eq!(ran.code, 1, "{}", ran.out);
    assert!(ran.out.contains("Check `--portal`"), "{}", ran.out);
}

#[tokio::test]
async fn at_a_public_url_a_login_is_tried_all_the_same() {
    let server = StandIn::start().await.unwrap();
    let basemap = server.url("rest/services/Basemap/MapServer");
    let alone = run(&[&basemap, "--json"], &[]).await;
    assert_eq!(alone.code, 0, "{}", alone.out);
    assert_eq!(alone.json()["without_login"]["kind"], "open");
    assert_eq!(server.counters().login_attempts, 0);
    let ran = as_user(&basemap, PASSWORD, &[]).await;
    assert_eq!(ran.code, 0, "{}", ran.out);
    assert_eq!(ran.json()["login"]["works"], true);
    let ran = as_user(&server.root(), "wrong-password", &[]).await;
    assert_eq!(ran.code, 1, "{}", ran.out);
    assert_eq!(server.counters().login_attempts, 2);
}

#[tokio::test]
async fn every_shape_of_a_challenge_is_seen_and_answered() {
    let server = StandIn::start().await.unwrap();
    for (shape, kind) in [
        (ChallengeShape::LoginPage, "login_page"),
        (ChallengeShape::LoginRedirect, "login_redirect"),
        (ChallengeShape::HttpStatus, "token_required"),
        (ChallengeShape::JsonGzip, "token_required"),
    ] {
        server.set_challenge("Parcels/MapServer", shape);
        let ran = as_user(&server.url(PARCELS), PASSWORD, &[]).await;
        let printed = ran.json();
        assert_eq!(printed["without_login"]["kind"], kind, "{printed:#}");
        assert_eq!(ran.code, 0, "{printed:#}");
    }
}

#[tokio::test]
async fn a_service_the_account_may_not_use_is_distinguished_from_a_login_that_fails() {
    let server = StandIn::start().await.unwrap();
    server.refuse_user_on(USERNAME, "Parcels/MapServer");
    let ran = as_user(&server.url(PARCELS), PASSWORD, &[]).await;
    let printed = ran.json();
    assert_eq!(ran.code, 1, "{printed:#}");
    assert_eq!(printed["login"]["works"], true, "{printed:#}");
    assert_eq!(
        printed["with_login"]["kind"], "token_required",
        "{printed:#}"
    );
    let advice = printed["advice"][0].as_str().unwrap();
    assert!(advice.contains("may not use this service"), "{advice}");
    assert_eq!(server.counters().login_attempts, 1);
}

#[tokio::test]
async fn a_web_servers_own_login_is_distinguished_from_arcgis_and_no_password_goes_to_what_is_no_arcgis()
 {
    let server = StandIn::start().await.unwrap();
    server.publish("Intranet/MapServer");
    let mut windows = Response::new("401 - Unauthorized".into());
    *windows.status_mut() = StatusCode::UNAUTHORIZED;
    windows
        .headers_mut()
        .insert(WWW_AUTHENTICATE, "Negotiate".parse().unwrap());
    server.set_answer("Intranet/MapServer", Some(windows));
    let ran = run(
        &[
            &server.url("rest/services/Intranet/MapServer?f=json"),
            "--json",
        ],
        &[],
    )
    .await;
    assert_eq!(ran.code, 1);
    assert_eq!(ran.json()["without_login"]["kind"], "web_server_login");

    server.set_info_present(false);
    let elsewhere = format!("{}/blog", server.origin());
    let ran = as_user(&elsewhere, PASSWORD, &[]).await;
    let printed = ran.json();
    assert_eq!(ran.code, 1, "{printed:#}");
    assert_eq!(printed["server"]["kind"], "unknown", "{printed:#}");
    assert_eq!(printed["login"]["tried"], false, "{printed:#}");
    assert_eq!(printed["code"], Value::Null);
    assert_eq!(server.counters().login_attempts, 0);
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

#[tokio::test]
async fn plain_http_and_servers_that_are_down_are_said_to_be_that() {
    let server = StandIn::start().await.unwrap();
    let url = server.url(PARCELS);
    server.set_token_services_url(Some("http://tokens.example.com/tokens/".to_owned()));
    let ran = as_user(&url, PASSWORD, &["--trust", "http://tokens.example.com"]).await;
    let printed = ran.json();
    assert_eq!(ran.code, 1, "{printed:#}");
    assert!(
        printed["advice"][0]
            .as_str()
            .unwrap()
            .contains("--allow-insecure-http"),
        "{printed:#}"
    );
    server.stop().await;
    let ran = as_user(&url, PASSWORD, &[]).await;
    let printed = ran.json();
    assert_eq!(ran.code, 1, "{printed:#}");
    assert_eq!(
        printed["without_login"]["kind"], "unreachable",
        "{printed:#}"
    );
    assert_eq!(printed["login"]["tried"], false, "{printed:#}");
}
