//! Logins on runtimes that exist and are no longer driven.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use futures_util::FutureExt;
use tokio::time::{Instant, advance, sleep, timeout};
use tower::Layer;
use tower_arcgis_auth::{
    ArcgisAuthLayer, Credential, Fingerprint, GenerateToken, IssuedToken, Site, TokenError,
    TokenRequest, TokenSource,
};

use crate::support::{
    INFO, MINUTE, Mounted, ROADS, ROOT, Reply, SECOND, TokenService, Upstream, get, layer,
    named_site, over, paused_runtime, reader, send, site,
};

#[test]
fn logins_on_undriven_runtimes_are_unanswered() {
    let service = TokenService::new().answering(Reply::Hangs);
    let site = named_site().credential(reader());
    let client = layer(site, &service).layer(Upstream::open_to_any_token());
    let mut undriven = Vec::new();
    for minute in 0..10 {
        let runtime = paused_runtime();
        runtime.block_on(async {
            advance(minute * MINUTE).await;
            // It may hear why there is no login.
            let _ = timeout(10 * SECOND, send(&client, get(ROADS))).await;
        });
        undriven.push(runtime);
    }
    assert_eq!(service.attempts(), 4);
    // What is counted when it is given up is not counted again when it ends.
    drop(undriven);
    paused_runtime().block_on(async {
        advance(30 * MINUTE).await;
        let _ = timeout(10 * SECOND, send(&client, get(ROADS))).await;
    });
    assert_eq!(service.attempts(), 5);
}

#[test]
fn a_waiter_on_a_third_runtime_gets_an_answer_though_two_are_undriven() {
    for second_ends in [true, false] {
        let source = TokenService::new().answering(Reply::Hangs);
        let service = over(Upstream::open_to_any_token(), &source);
        let mut undriven = Vec::new();
        for number in 0..2 {
            let runtime = paused_runtime();
            runtime.block_on(async {
                let sent = timeout(SECOND / 10, send(&service, get(ROADS)));
                assert!(sent.await.is_err());
            });
            if number == 0 || !second_ends {
                undriven.push(runtime);
            }
        }
        let got =
            paused_runtime().block_on(async { timeout(MINUTE, send(&service, get(ROADS))).await });
        assert!(got.is_ok(), "the second ends: {second_ends}");
    }
}

/// The first request's runtime is left undriven during the first request to `service`.
fn is_clean_in_spite_of_an_undriven_runtime(site: Site, service: &TokenService) -> bool {
    let client = layer(site.credential(reader()), service).layer(Upstream::open_to_any_token());
    let undriven = paused_runtime();
    undriven.block_on(async {
        let sent = timeout(SECOND / 10, send(&client, get(ROADS)));
        assert!(sent.await.is_err());
    });
    paused_runtime().block_on(async {
        let started = Instant::now();
        while started.elapsed() < 2 * MINUTE {
            if send(&client, get(ROADS)).await.is_clean() {
                return true;
            }
            sleep(SECOND).await;
        }
        false
    })
}

#[test]
fn a_login_on_an_undriven_runtime_is_made_again_on_another() {
    let service = TokenService::new();
    service.next([Reply::Hangs]);
    assert!(is_clean_in_spite_of_an_undriven_runtime(
        named_site(),
        &service
    ));
}

#[test]
fn a_server_asked_on_an_undriven_runtime_is_asked_again_on_another() {
    let asked = AtomicUsize::new(0);
    let service =
        TokenService::new().info_by(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
            0 => Reply::Hangs,
            _ => Reply::says(INFO),
        });
    let site = Site::new(ROOT).allow_insecure_http();
    assert!(is_clean_in_spite_of_an_undriven_runtime(site, &service));
}

#[test]
fn a_sign_out_on_an_undriven_runtime_does_not_prevent_logins_on_another() {
    let source = TokenService::new().sign_out_takes(5 * SECOND);
    let layer = ArcgisAuthLayer::try_new(site(&source)).unwrap();
    let handle = layer.handle();
    let undriven = paused_runtime();
    undriven.block_on(async { assert!(timeout(SECOND, handle.sign_out()).await.is_err()) });
    let service = layer.layer(Upstream::open_to_any_token());
    paused_runtime().block_on(async {
        sleep(MINUTE).await;
        let got = send(&service, get(ROADS)).await;
        assert!(got.is_clean(), "{}", got.outcome);
    });
}

#[test]
fn a_login_on_an_undriven_runtime_does_not_stall_another_for_ever() {
    let source = TokenService::new().takes(SECOND / 10);
    let layer = ArcgisAuthLayer::builder()
        .add_site(site(&source))
        .login_timeout(SECOND / 2)
        .build()
        .unwrap();
    let service = layer.layer(Upstream::secured_by(&source));
    let undriven = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    undriven.block_on(async {
        let sent = Box::pin(send(&service, get(ROADS))).now_or_never();
        assert!(sent.is_none());
    });
    let got =
        paused_runtime().block_on(async { timeout(MINUTE, send(&service, get(ROADS))).await });
    assert!(got.is_ok(), "the second runtime waits for ever");
}

/// Takes its time to report a login that failed.
struct Reporting {
    inner: GenerateToken,
    takes: Duration,
}

impl TokenSource for Reporting {
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

#[test]
fn a_corrected_password_is_tried_though_the_refused_login_never_ended() {
    for asks_before in [true, false] {
        let file = Mounted::holding("wrong");
        let service = TokenService::new().knows("right");
        let url = format!("{ROOT}/tokens/generateToken");
        let credential = Credential::user("reader", file.secret());
        let inner = GenerateToken::try_new(&url, credential, service.client());
        let inner = inner.unwrap().allow_insecure_http();
        let takes = 5 * SECOND;
        let site = Site::new(ROOT).token_source(Reporting { inner, takes });
        let layer = ArcgisAuthLayer::try_new(site).unwrap();
        let client = layer.layer(Upstream::open_to_any_token());
        // Left undriven in the middle of a report.
        let undriven = paused_runtime();
        undriven.block_on(async {
            let sent = timeout(SECOND, send(&client, get(ROADS)));
            assert!(sent.await.is_err());
        });
        paused_runtime().block_on(async {
            sleep(MINUTE).await;
            if asks_before {
                assert!(!send(&client, get(ROADS)).await.is_clean());
            }
            file.hold("right");
            sleep(5 * SECOND).await;
            send(&client, get(ROADS)).await;
            sleep(5 * SECOND).await;
            let got = send(&client, get(ROADS)).await;
            assert!(
                got.is_clean(),
                "asks before: {asks_before}: {}",
                got.outcome
            );
        });
    }
}
