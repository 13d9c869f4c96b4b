//! What `tracing` is told: of logins, and of no secret. One test in a binary of its own, because `tracing` remembers
//! for the whole process who was interested first.
#![cfg(feature = "tracing")]

#[path = "it/support/mod.rs"]
mod support;

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use support::secrets::{PASSWORD, assert_silent, token_client};
use support::{Upstream, get};
use tower::Layer;
use tower_arcgis_auth::{ArcgisAuthLayer, Credential, Site};

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
    let layer = ArcgisAuthLayer::builder()
        .add_site(site)
        .token_client(token_client())
        .build()
        .unwrap();
    let fake = Upstream::new(|request| {
        support::answer(match support::token_of(request) {
            Some(_) if !request.uri.path().contains("Secret") => support::CLEAN,
            _ => support::REQUIRED,
        })
    });
    let service = layer.layer(fake);
    for _ in 0..50 {
        support::send(
            &service,
            get("https://gis.test/arcgis/rest/services/A/MapServer"),
        )
        .await;
    }
    support::send(
        &service,
        get("https://gis.test/arcgis/rest/services/Secret/MapServer"),
    )
    .await;

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
    use support::shared_cache::{Fault, MemoryCache};
    use tower_arcgis_auth::{SealedTokenCache, TokenCacheKeys};

    let memory = MemoryCache::default();
    let sealed = SealedTokenCache::new(
        memory.clone(),
        TokenCacheKeys::try_new("0a".repeat(32)).unwrap(),
    );
    memory.set_fault(Some(Fault::Fails));
    let root = "https://gis.test/arcgis";
    let site = Site::new(root).credential(Credential::user("reader", PASSWORD));
    let layer = ArcgisAuthLayer::builder()
        .add_site(site.shared_token_cache(&sealed))
        .token_client(token_client())
        .build()
        .unwrap();
    let fake = Upstream::new(|request| {
        support::answer(match support::token_of(request) {
            Some(_) => support::CLEAN,
            None => support::REQUIRED,
        })
    });
    let service = layer.layer(fake);
    let secured = format!("{root}/rest/services/A/MapServer");
    support::send(&service, get(&secured)).await;
    let handle = layer.handle().sites().remove(0);
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    handle.renew().await.unwrap();
    memory.set_fault(None);
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    handle.renew().await.unwrap();
}
