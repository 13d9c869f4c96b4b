//! Why a login is made, or is not: what a source and a caller are told.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tower_arcgis_auth::{SkipReason, TokenReason};

use crate::support::{
    ROADS, Reply, TokenService, Upstream, assert_login_refused, get, map_server, over, send,
};

/// Longer than what is kept of a body.
fn upload() -> Request<Full<Bytes>> {
    Request::post(ROADS)
        .body(Full::from(vec![b'x'; 2 << 20]))
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_source_is_told_whether_its_token_was_rejected_or_not_enough() {
    let source = TokenService::new();
    let upstream = Upstream::secured_by(&source).refusing("/Secret/");
    let service = over(upstream, &source);
    assert!(send(&service, get(ROADS)).await.is_clean());
    assert!(!send(&service, get(&map_server("Secret"))).await.is_clean());
    source.revoke_all();
    assert!(send(&service, get(ROADS)).await.is_clean());
    assert_eq!(
        source.reasons(),
        [
            TokenReason::Missing,
            TokenReason::RequiredDespiteToken,
            TokenReason::Rejected
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_challenged_upload_says_that_the_login_was_refused_rather_than_that_it_is_too_long() {
    let source = TokenService::new();
    let service = over(Upstream::secured_by(&source), &source);
    assert!(send(&service, get(ROADS)).await.is_clean());
    source.revoke_all();
    source.always(Reply::Refused);
    assert_login_refused(send(&service, get(ROADS)).await.outcome.skip_reason());
    let got = send(&service, upload()).await;
    assert!(got.outcome.signed());
    assert_login_refused(got.outcome.skip_reason());
}

#[tokio::test(start_paused = true)]
async fn a_challenged_upload_says_that_the_login_failed_rather_than_that_it_is_too_long() {
    let source = TokenService::new().answering(Reply::Fault);
    let service = over(Upstream::secured_by(&source), &source);
    assert!(!send(&service, get(ROADS)).await.is_clean());
    let got = send(&service, upload()).await;
    let reason = got.outcome.skip_reason();
    assert!(
        matches!(reason, Some(SkipReason::LoginFailed(_))),
        "{reason:?}"
    );
}
