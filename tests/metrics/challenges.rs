//! Challenges, what callers see of them, and requests that are sent again.

use std::{
    future::{Ready, ready},
    io,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, Service, ServiceExt};
use tower_arcgis_auth::{ArcgisAuthLayer, ReplayBody, TokenPlacement};

use crate::{
    recorder::Recorded,
    support::{REQUIRED, ROADS, TokenService, Upstream, answer, get, over, send, site},
};

const CHALLENGES: &str = "arcgis_auth_challenges_total";
const RETURNED: &str = "arcgis_auth_challenges_returned_total";
const RESENDS: &str = "arcgis_auth_resends_total";

#[tokio::test(start_paused = true)]
async fn a_first_challenge_is_counted_by_its_kind_and_its_resend_as_answered() {
    let recorded = Recorded::new();
    let _here = recorded.here();
    let source = TokenService::new();
    let service = over(Upstream::secured_by(&source), &source);

    assert!(send(&service, get(ROADS)).await.is_clean());

    assert_eq!(recorded.count(CHALLENGES, "kind=token_required"), 1);
    assert_eq!(recorded.count(RESENDS, "outcome=answered"), 1);
    assert_eq!(recorded.counts(RETURNED), []);
}

#[tokio::test(start_paused = true)]
async fn a_revoked_token_is_counted_as_invalid() {
    let recorded = Recorded::new();
    let _here = recorded.here();
    let source = TokenService::new();
    let service = over(Upstream::secured_by(&source), &source);
    send(&service, get(ROADS)).await;
    source.revoke_all();

    assert!(send(&service, get(ROADS)).await.is_clean());

    let kinds = [("token_invalid".into(), 1), ("token_required".into(), 1)];
    assert_eq!(recorded.counts(CHALLENGES), kinds);
    assert_eq!(recorded.counts(RESENDS), [("answered".into(), 2)]);
    let started = recorded.counts("arcgis_auth_logins_started_total");
    assert_eq!(started, [("missing".into(), 1), ("rejected".into(), 1)]);
}

#[tokio::test(start_paused = true)]
async fn a_clean_request_with_a_fresh_token_records_nothing() {
    for placement in [
        TokenPlacement::Query,
        TokenPlacement::Cookie,
        TokenPlacement::EsriHeader,
        TokenPlacement::Bearer,
    ] {
        let recorded = Recorded::new();
        let _here = recorded.here();
        let source = TokenService::new();
        let layer = ArcgisAuthLayer::try_new(site(&source).placement(placement)).unwrap();
        let service = layer.layer(Upstream::secured_by(&source));
        send(&service, get(ROADS)).await;
        let before = recorded.asked();
        assert!(before > 0);

        for _ in 0..100 {
            let got = send(&service, get(ROADS)).await;
            assert!(got.is_clean() && !got.outcome.resent());
        }

        assert_eq!(recorded.asked(), before, "{placement:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_of_no_site_records_nothing() {
    let recorded = Recorded::new();
    let _here = recorded.here();
    let service = over(Upstream::saying(REQUIRED), &TokenService::new());
    let before = recorded.asked();
    send(
        &service,
        get("http://elsewhere.test/arcgis/rest/services?f=json"),
    )
    .await;
    assert_eq!(recorded.asked(), before);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_refuses_the_account_is_seen_by_its_callers() {
    let recorded = Recorded::new();
    let _here = recorded.here();
    let service = over(Upstream::saying(REQUIRED), &TokenService::new());

    send(&service, get(ROADS)).await;
    assert_eq!(recorded.counts(RESENDS), [("challenged".into(), 1)]);
    assert_eq!(recorded.counts(RETURNED), [("after_resend".into(), 1)]);

    send(&service, get(ROADS)).await;
    let withheld = recorded.counts("arcgis_auth_logins_withheld_total");
    assert_eq!(withheld, [("service_refused".into(), 1)]);
    assert_eq!(recorded.count(RETURNED, "reason=service_refused"), 1);
    assert_eq!(recorded.count(CHALLENGES, "kind=token_required"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_cannot_be_sent_again_is_the_reason() {
    let recorded = Recorded::new();
    let _here = recorded.here();
    let source = TokenService::new();
    let layer = ArcgisAuthLayer::builder()
        .add_site(site(&source))
        .replay_limit(4)
        .build()
        .unwrap();
    let service = layer.layer(Upstream::secured_by(&source));
    send(&service, get(ROADS)).await;
    source.revoke_all();

    let long = Request::post(ROADS).body(Full::from("f=json"));
    assert!(!send(&service, long.unwrap()).await.is_clean());

    assert_eq!(
        recorded.counts(RETURNED),
        [("body_not_replayable".into(), 1)]
    );
}

/// Challenges what has no token, and breaks off under the rest.
#[derive(Clone)]
struct Breaks;

impl Service<Request<ReplayBody<Full<Bytes>>>> for Breaks {
    type Response = Response<Full<Bytes>>;
    type Error = io::Error;
    type Future = Ready<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ReplayBody<Full<Bytes>>>) -> Self::Future {
        let is_signed = request.uri().to_string().contains("token=");
        ready(if is_signed {
            Err(io::ErrorKind::ConnectionReset.into())
        } else {
            Ok(answer(REQUIRED))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_resend_under_which_the_inner_service_fails_is_counted_as_failed() {
    let recorded = Recorded::new();
    let _here = recorded.here();
    let service = over(Breaks, &TokenService::new());
    assert!(service.clone().oneshot(get(ROADS)).await.is_err());
    assert_eq!(recorded.counts(RESENDS), [("failed".into(), 1)]);

    // The next is signed at once: it is no re-send.
    assert!(service.oneshot(get(ROADS)).await.is_err());
    assert_eq!(recorded.counts(RESENDS), [("failed".into(), 1)]);
}
