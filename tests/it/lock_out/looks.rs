//! How often a source is asked what its credential is recognised by: it may read a file for that.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::time::advance;
use tower::Layer;
use tower_arcgis_auth::{
    ArcgisAuthLayer, Fingerprint, IssuedToken, Site, TokenError, TokenRequest, TokenSource,
};

use crate::support::{ROADS, ROOT, SECOND, Upstream, assert_login_refused, get, send};

/// Refuses, and counts how often its credential is looked at.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicUsize>);

impl Counting {
    fn looks(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl TokenSource for Counting {
    async fn token(&self, _: TokenRequest) -> Result<IssuedToken, TokenError> {
        Err(TokenError::refused("wrong password"))
    }

    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        self.0.fetch_add(1, Ordering::SeqCst);
        fingerprint.secret("wrong");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_credential_is_looked_at_once_a_second_and_not_for_a_status() {
    let source = Counting::default();
    let site = Site::new(ROOT).token_source(source.clone());
    let layer = ArcgisAuthLayer::try_new(site).unwrap();
    let site = layer.handle().sites().remove(0);
    let client = layer.layer(Upstream::open_to_any_token());
    let ask = || async {
        let got = send(&client, get(ROADS)).await;
        assert_login_refused(got.outcome.skip_reason());
    };
    ask().await;
    for _ in 0..3 {
        let before = source.looks();
        for _ in 0..20 {
            ask().await;
        }
        assert_eq!(source.looks() - before, 1);
        advance(SECOND).await;
    }
    let before = source.looks();
    for _ in 0..20 {
        assert!(site.sessions()[0].skip_reason().is_some());
    }
    assert_eq!(source.looks(), before);
}
