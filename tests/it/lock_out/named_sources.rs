//! Sources named by hand and wrapped by users: what a wrong password costs does not depend on who asks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::support::{
    Mounted, ROADS, ROOT, TokenService, Upstream, answer, get,
    logins::{SECOND, WRONG, client, paused_runtime, reader},
    send,
};
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::Full;
use tokio::time::{Instant, sleep};
use tower::Layer;
use tower_arcgis_auth::{
    ArcgisAuthLayer, Credential, Fingerprint, GenerateToken, IssuedToken, Site, TokenError,
    TokenRequest, TokenSource,
};

/// A `generateToken` that answers like `rule`, and counts.
fn generate_token<F, Fut>(count: &Arc<AtomicUsize>, rule: F) -> GenerateToken
where
    F: Fn() -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let count = count.clone();
    let client = client(move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        rule()
    });
    let url = format!("{ROOT}/tokens/generateToken");
    let source = GenerateToken::try_new(&url, reader(), client);
    source.unwrap().allow_insecure_http()
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_is_tried_once_whatever_the_number_of_sites() {
    let attempts = Arc::new(AtomicUsize::new(0));
    let source = Arc::new(generate_token(&attempts, || async { answer(WRONG) }));
    let mut builder = ArcgisAuthLayer::builder();
    for number in 0..6 {
        let site = Site::new(format!("http://gis{number}.test/arcgis"));
        builder = builder.add_site(site.token_source(source.clone()));
    }
    for site in builder.build().unwrap().handle().sites() {
        assert!(site.renew().await.is_err());
    }
    assert_eq!(attempts.load(Ordering::SeqCst), 1);
}

/// Takes its time to report a login that failed.
struct Telling {
    inner: GenerateToken,
    takes: Duration,
}

impl TokenSource for Telling {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        let result = self.inner.token(request).await;
        if result.is_err() {
            sleep(self.takes).await;
        }
        result
    }

    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        self.inner.fingerprint(fingerprint);
    }
}

/// The attempts in 14 minutes of steady requests, each followed by a sign-out or waited for.
async fn attempts_while_reported(takes: Duration, signs_out: bool) -> usize {
    let attempts = Arc::new(AtomicUsize::new(0));
    let inner = generate_token(&attempts, || async { answer(WRONG) });
    let site = Site::new(ROOT).token_source(Telling { inner, takes });
    let layer = ArcgisAuthLayer::try_new(site).unwrap();
    let service = layer.layer(Upstream::taking_any_token());
    let started = Instant::now();
    while started.elapsed() < 14 * 60 * SECOND {
        if signs_out {
            let other = service.clone();
            let sent = tokio::spawn(async move { send(&other, get(ROADS)).await });
            sleep(SECOND).await;
            layer.handle().sign_out().await.unwrap();
            assert!(!sent.await.unwrap().is_clean());
        } else {
            assert!(!send(&service, get(ROADS)).await.is_clean());
        }
        sleep(10 * SECOND).await;
    }
    attempts.load(Ordering::SeqCst)
}

#[tokio::test(start_paused = true)]
async fn a_refusal_within_a_source_that_is_then_too_slow_is_remembered() {
    assert_eq!(attempts_while_reported(40 * SECOND, false).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_within_a_source_that_is_signed_out_of_is_remembered() {
    assert_eq!(attempts_while_reported(2 * SECOND, true).await, 1);
}

/// Tries again after a fault.
struct Retrying(GenerateToken);

impl TokenSource for Retrying {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        let mut tries = 0;
        loop {
            match self.0.token(request.clone()).await {
                Err(error) if !error.is_refused() && tries < 2 => tries += 1,
                result => return result,
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_tries_again_makes_four_logins_without_an_answer() {
    let attempts = Arc::new(AtomicUsize::new(0));
    let inner = generate_token(&attempts, || async {
        sleep(5 * SECOND).await;
        let mut page = answer("");
        *page.status_mut() = StatusCode::GATEWAY_TIMEOUT;
        page
    });
    let layer = ArcgisAuthLayer::try_new(Site::new(ROOT).token_source(Retrying(inner))).unwrap();
    let service = layer.layer(Upstream::taking_any_token());
    let started = Instant::now();
    while started.elapsed() < 14 * 60 * SECOND {
        assert!(!send(&service, get(ROADS)).await.is_clean());
        sleep(SECOND).await;
    }
    assert_eq!(attempts.load(Ordering::SeqCst), 4);
}

#[test]
fn a_password_that_is_put_right_is_tried_though_the_refused_login_never_ended() {
    for asks_before in [true, false] {
        let file = Mounted::holding(&format!("put-right-{asks_before}"), "wrong");
        let client = TokenService::knowing("right").client();
        let url = format!("{ROOT}/tokens/generateToken");
        let inner = GenerateToken::try_new(&url, Credential::user("reader", file.secret()), client);
        let inner = inner.unwrap().allow_insecure_http();
        let takes = 5 * SECOND;
        let site = Site::new(ROOT).token_source(Telling { inner, takes });
        let service = ArcgisAuthLayer::try_new(site)
            .unwrap()
            .layer(Upstream::taking_any_token());
        // Dropped in the midst of telling.
        paused_runtime().block_on(async {
            let sent = tokio::time::timeout(SECOND, send(&service, get(ROADS)));
            assert!(sent.await.is_err());
        });
        let running = paused_runtime();
        running.block_on(async {
            sleep(60 * SECOND).await;
            if asks_before {
                assert!(!send(&service, get(ROADS)).await.is_clean());
            }
            file.hold("right");
            sleep(5 * SECOND).await;
            send(&service, get(ROADS)).await;
            sleep(5 * SECOND).await;
            let answered = send(&service, get(ROADS)).await;
            assert!(
                answered.is_clean(),
                "asks before: {asks_before}: {}",
                answered.outcome
            );
        });
    }
}
