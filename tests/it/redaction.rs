//! No `Debug` shows a secret.

use crate::support;
use std::sync::{Arc, Mutex};

use crate::support::secrets::{PASSWORD, TOKEN, assert_silent, token_client};
use crate::support::{ROADS, Upstream, get, logins};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tower::{Layer, Service, ServiceExt};
use tower_arcgis_auth::{
    ArcgisAuthLayer, Credential, GenerateToken, IssuedToken, ReplayBody, Site, TokenPlacement,
    TokenRequest, TokenSource, token_source_fn,
};

#[tokio::test]
async fn no_debug_shows_a_secret() {
    let credential = Credential::user("reader", PASSWORD);
    let client = token_client();
    let source = GenerateToken::try_new(
        "https://gis.test/arcgis/tokens/generateToken",
        credential.clone(),
        client.clone(),
    )
    .unwrap();
    let issued = IssuedToken::try_new(TOKEN).unwrap();
    let fake = Upstream::new(|request| {
        support::answer(match support::token_of(request) {
            Some(_) => support::CLEAN,
            None => support::REQUIRED,
        })
    });
    for placement in [
        TokenPlacement::EsriHeader,
        TokenPlacement::Bearer,
        TokenPlacement::Cookie,
    ] {
        let site = Site::new("https://gis.test/arcgis")
            .credential(credential.clone())
            .placement(placement);
        let builder = ArcgisAuthLayer::builder()
            .add_site(site.clone())
            .token_client(client.clone());
        let builder_debug = format!("{builder:?}");
        let layer = builder.build().unwrap();
        let mut service = layer.layer(tower::service_fn({
            let fake = fake.clone();
            move |request: Request<ReplayBody<Full<Bytes>>>| fake.clone().oneshot(request)
        }));
        let request = get("https://gis.test/arcgis/rest/services/A/MapServer");
        let future = Service::call(&mut service, request);
        let future_debug = format!("{future:?}");
        let response = future.await.unwrap();
        assert!(response.body().outcome().resent());

        let debugs = [
            ("builder", builder_debug),
            ("future", future_debug),
            ("site", format!("{site:?}")),
            ("layer", format!("{layer:?}")),
            ("layer, pretty", format!("{layer:#?}")),
            ("response", format!("{response:?}")),
            (
                "outcome",
                format!(
                    "{:?} {}",
                    response.body().outcome(),
                    response.body().outcome()
                ),
            ),
            (
                "signed request",
                format!("{:?}", fake.seen().pop().unwrap().headers),
            ),
        ];
        for (what, text) in debugs {
            assert_silent(what, &text);
        }
    }
    assert_silent("credential", &format!("{credential:?} {credential:#?}"));
    assert_silent("source", &format!("{source:?}"));
    assert_silent("issued token", &format!("{issued:?}"));
    assert_silent("client", &format!("{client:?}"));
}

#[tokio::test]
async fn a_source_that_prints_its_requests_prints_no_secret() {
    let printed = Arc::new(Mutex::new(String::new()));
    let heard = printed.clone();
    let logins = Mutex::new(0);
    let source = token_source_fn(move |request: TokenRequest| {
        heard.lock().unwrap().push_str(&format!("{request:?}"));
        *logins.lock().unwrap() += 1;
        let text = format!("{TOKEN}{}", *logins.lock().unwrap());
        async move { IssuedToken::try_new(text) }
    });
    fn is_source(_: &impl TokenSource) {}
    is_source(&source);
    let dies = Arc::new(Mutex::new(true));
    let fake = Upstream::new(move |request| {
        support::answer(match support::token_of(request) {
            None => support::REQUIRED,
            Some(token) if token.ends_with('1') && *dies.lock().unwrap() => support::INVALID,
            Some(_) => support::CLEAN,
        })
    });
    let layer = ArcgisAuthLayer::try_new(Site::new(support::ROOT).token_source(source)).unwrap();
    let service = layer.layer(fake);
    support::send(&service, get(ROADS)).await;
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(600)).await;
    support::send(&service, get(ROADS)).await;
    let printed = printed.lock().unwrap().clone();
    assert!(printed.contains("generation: 1"), "{printed}");
    assert_silent("token request", &printed);
}

/// The error of a login at a token service that answers each form with `answer`.
async fn error_of(password: &'static str, answer: fn(&str) -> support::Answer) -> String {
    let client = logins::client(move |_, form| async move { answer(&form) });
    let site = logins::site().credential(Credential::user("reader", password));
    let layer = logins::layer(site, client);
    let error = layer.handle().sites()[0].renew().await.unwrap_err();
    error.to_string()
}

/// ArcGIS's error with this message.
fn saying(message: impl Into<String>) -> support::Answer {
    let error = serde_json::json!({"error": {"code": 400, "message": message.into()}});
    support::answer(error.to_string())
}

#[tokio::test]
async fn a_password_cut_off_in_a_servers_words_is_in_no_error() {
    let error = error_of("correct-horse-battery-staple", |_| {
        saying(format!("{}correct-horse-battery-staple", "x".repeat(180)))
    });
    let error = error.await;
    assert!(error.contains("they repeat a secret"), "{error}");
    assert!(!error.contains("correct-horse-batter"), "{error}");
}

#[tokio::test]
async fn a_password_in_jsons_escapes_is_in_no_error() {
    // `serde_json` writes the line break as an escape; a server may write any character as one.
    let error = error_of("two\nlines of p/w", |_| saying("bad: two\nlines of p/w")).await;
    assert!(error.contains("they repeat a secret"), "{error}");
    assert!(!error.contains("lines of p/w"), "{error}");
}

#[tokio::test]
async fn a_form_a_server_repeats_is_in_no_error() {
    let error = error_of("p&ss word", |form| saying(format!("bad request: {form}"))).await;
    assert!(error.contains("they repeat a secret"), "{error}");
    assert!(!error.contains("p%26ss+word"), "{error}");
}

#[tokio::test]
async fn a_password_in_a_content_type_is_in_no_error() {
    let error = error_of("correct-horse-battery-staple", |_| {
        let mut page = support::answer("<html>");
        let kind = format!(
            "text/html; of={}correct-horse-battery-staple",
            "x".repeat(30)
        );
        page.headers_mut()
            .insert("content-type", kind.parse().unwrap());
        page
    });
    let error = error.await;
    assert!(error.contains("which is no JSON"), "{error}");
    assert!(!error.contains("correct-horse"), "{error}");
}

#[test]
fn a_password_in_a_url_is_in_no_debug() {
    let site = Site::new("https://ada:hunter2@gis.test/arcgis")
        .token_url("https://gis.test/tokens?password=hunter2");
    let debug = format!("{site:?}");
    assert!(!debug.contains("hunter2"), "{debug}");
}
