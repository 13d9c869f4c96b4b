//! What the log says of token services that are hidden, redirected or missing. A binary of its own, because `tracing`
//! remembers for the whole process what was of interest first.
#![cfg(feature = "tracing")]

#[allow(dead_code, unused_imports, reason = "the other tests use the rest")]
#[path = "it/support/mod.rs"]
mod support;

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, Once},
};

use http::{HeaderValue, StatusCode, header::LOCATION};
use support::{
    REQUIRED, Reply, TokenService, Upstream, answer, get, info_naming, layer, reader, send,
};
use tower::Layer;
use tower_arcgis_auth::{ArcgisAuthLayer, Site, TokenError, token_source_fn};

/// What the log says, of all tests in this program.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// The one log of this program: `tracing` remembers for the whole process what was of interest at first.
    fn start() -> Self {
        static STARTED: Once = Once::new();
        static LOG: Mutex<Option<Log>> = Mutex::new(None);
        STARTED.call_once(|| {
            let log = Self::default();
            let sink = log.clone();
            *LOG.lock().unwrap() = Some(log);
            tracing_subscriber::fmt()
                .with_writer(move || sink.clone())
                .with_ansi(false)
                .init();
        });
        LOG.lock().unwrap().clone().unwrap()
    }

    /// The lines with all of these words.
    fn lines(&self, words: &[&str]) -> usize {
        let log = self.0.lock().unwrap();
        let log = String::from_utf8_lossy(&log);
        let has_all = |line: &&str| words.iter().all(|word| line.contains(word));
        log.lines().filter(has_all).count()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn the_log_says_once_that_a_hidden_token_service_is_asked_elsewhere() {
    let log = Log::start();
    let service = TokenService::new()
        .info(info_naming("https://hidden.internal:6443/arcgis/tokens"))
        .answering(Reply::Fault);
    let site = Site::new("https://elsewhere.test/arcgis").credential(reader());
    let handle = layer(site, &service).handle().sites().remove(0);
    for _ in 0..3 {
        assert!(handle.renew().await.is_err());
    }
    let named = ["another host", "hidden.internal:6443/arcgis/tokens"];
    let asked = "https://elsewhere.test/arcgis/tokens/generateToken";
    assert_eq!(log.lines(&[&named[..], &[asked]].concat()), 1);
}

#[tokio::test(start_paused = true)]
async fn the_log_names_where_a_login_is_redirected() {
    let log = Log::start();
    let place = "https://secure.redirected.test/arcgis/tokens/generateToken";
    let mut redirect = answer("");
    *redirect.status_mut() = StatusCode::FOUND;
    let location = HeaderValue::from_static(place);
    redirect.headers_mut().insert(LOCATION, location);
    let service = TokenService::new()
        .info(info_naming("https://redirected.test/arcgis/tokens"))
        .answering(Reply::Says(redirect));
    let site = Site::new("https://redirected.test/arcgis").credential(reader());
    let handle = layer(site, &service).handle().sites().remove(0);
    assert!(handle.renew().await.is_err());
    assert_eq!(log.lines(&["login failed", place]), 1);
}

#[tokio::test(start_paused = true)]
async fn the_log_says_what_caused_a_login_to_fail() {
    let log = Log::start();
    let source = token_source_fn(|_| async {
        let refused = io::Error::other("certificate of unsound.test refused");
        Err(TokenError::fault("no answer").with_source(refused))
    });
    let layer = ArcgisAuthLayer::try_new(Site::new("https://unsound.test").token_source(source));
    let handle = layer.unwrap().handle().sites().remove(0);
    assert!(handle.renew().await.is_err());
    let words = [
        "login failed",
        "no answer",
        "certificate of unsound.test refused",
    ];
    assert_eq!(log.lines(&words), 1);
}

#[tokio::test(start_paused = true)]
async fn a_challenge_outside_the_signed_root_is_warned_of_once() {
    let log = Log::start();
    let missing = Reply::page(StatusCode::NOT_FOUND, "<html>404</html>");
    let service = TokenService::new().answering(missing.clone());
    let service = service.info_by(move |_| missing.clone());
    let site = Site::new("https://outside.test").credential(reader());
    let client = layer(site, &service).layer(Upstream::open_to_any_token());
    for _ in 0..3 {
        let url = "https://outside.test/server/rest/services/Roads/MapServer?f=json";
        assert!(!send(&client, get(url)).await.is_clean());
    }
    let warned = ["WARN", "another root", "https://outside.test", "/server"];
    assert_eq!(log.lines(&warned), 1);
}

#[tokio::test(start_paused = true)]
async fn a_challenge_below_the_signed_root_is_not_warned_of() {
    let log = Log::start();
    let service = TokenService::new();
    let site = Site::new("https://inside.test/arcgis").credential(reader());
    let client = layer(site, &service).layer(Upstream::open_to_any_token());
    let url = "https://inside.test/arcgis/rest/services/Roads/MapServer?f=json";
    assert!(send(&client, get(url)).await.outcome.resent());
    assert_eq!(log.lines(&["another root", "https://inside.test"]), 0);
}

#[tokio::test(start_paused = true)]
async fn a_spent_budget_of_logins_is_warned_of_once_and_no_other_reason_in_its_place() {
    let log = Log::start();
    let service = TokenService::new();
    let site = |root: &str| Site::new(root).token_source(service.clone());
    let ask = async |root: &str, times: usize| {
        let layer = ArcgisAuthLayer::try_new(site(root)).unwrap();
        let client = layer.layer(Upstream::saying(REQUIRED));
        for number in 0..times {
            let url = format!("{root}/rest/services/Roads{number}/MapServer?f=json");
            assert!(!send(&client, get(&url)).await.is_clean());
        }
    };
    ask("https://spent.test/arcgis", 40).await;
    assert_eq!(log.lines(&["20 logins", "https://spent.test"]), 1);
    service.always(Reply::Fault);
    ask("https://down.test/arcgis", 3).await;
    assert_eq!(log.lines(&["20 logins", "https://down.test"]), 0);
}
