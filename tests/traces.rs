//! What is traced: logins, and no secret. One test in a binary of its own, because `tracing` remembers
//! for the whole process who was interested first.
#![cfg(feature = "tracing")]

#[allow(dead_code, unused_imports, reason = "the other tests use the rest")]
#[path = "it/support/mod.rs"]
mod support;

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use support::{
    Upstream, get, layer,
    secrets::{PASSWORD, assert_silent, token_service},
    send,
};
use tower::Layer;
use tower_arcgis_auth::{Credential, Site};

/// Where `tracing` writes, for reading.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn traces_tell_of_logins_with_one_span_each_and_of_no_secret() {
    use tracing_subscriber::fmt::format::FmtSpan;

    let written = Written::default();
    let sink = written.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_span_events(FmtSpan::NEW | FmtSpan::CLOSE)
        .with_writer(move || sink.clone())
        .with_ansi(false)
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let site =
        Site::new("https://gis.test/arcgis").credential(Credential::user("reader", PASSWORD));
    let upstream = Upstream::open_to_any_token().refusing("Secret");
    let service = layer(site, &token_service()).layer(upstream);
    for _ in 0..50 {
        let uri = "https://gis.test/arcgis/rest/services/A/MapServer";
        send(&service, get(uri)).await;
    }
    let secret = "https://gis.test/arcgis/rest/services/Secret/MapServer";
    send(&service, get(secret)).await;

    let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    assert_silent("trace", &text);
    assert!(text.contains("got a token"), "{text}");
    assert!(
        text.contains("challenged a freshly signed request"),
        "{text}"
    );
    let ours = text
        .lines()
        .filter(|line| line.contains("arcgis_login") && line.ends_with("new"));
    assert_eq!(ours.count(), 2, "{text}");
    assert!(
        text.lines().count() < 20,
        "one span a login, none a request: {text}"
    );

    #[cfg(feature = "shared-cache")]
    {
        written.0.lock().unwrap().clear();
        log_in_through_a_cache_that_fails_for_a_while().await;
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert_silent("trace", &text);
        for once in [
            "the shared cache fails, as told",
            "the shared cache answers again",
        ] {
            assert_eq!(text.matches(once).count(), 1, "{text}");
        }
    }
}

#[cfg(feature = "shared-cache")]
async fn log_in_through_a_cache_that_fails_for_a_while() {
    use support::{
        MINUTE,
        shared_cache::{Fault, MemoryCache},
    };
    use tokio::time::sleep;
    use tower_arcgis_auth::{SealedTokenCache, TokenCacheKeys};

    let memory = MemoryCache::default();
    let sealed = SealedTokenCache::new(
        memory.clone(),
        TokenCacheKeys::try_new("0a".repeat(32)).unwrap(),
    );
    memory.set_fault(Some(Fault::Fails));
    let root = "https://gis.test/arcgis";
    let site = Site::new(root).credential(Credential::user("reader", PASSWORD));
    let layer = layer(site.shared_token_cache(&sealed), &token_service());
    let service = layer.layer(Upstream::open_to_any_token());
    let secured = format!("{root}/rest/services/A/MapServer");
    send(&service, get(&secured)).await;
    let handle = layer.handle().sites().remove(0);
    sleep(MINUTE).await;
    handle.renew().await.unwrap();
    memory.set_fault(None);
    sleep(MINUTE).await;
    handle.renew().await.unwrap();
}
