//! A refused credential is tried once.

use std::time::Duration;

use tokio::time::advance;
use tower_arcgis_auth::SkipReason;

use crate::support::{
    MINUTE, REQUIRED, ROADS, Reply, SECOND, TokenService, Upstream, get, over, send,
};

#[tokio::test(start_paused = true)]
async fn a_wrong_password_is_tried_once_and_not_per_request() {
    let source = TokenService::new();
    let upstream = Upstream::secured_by(&source);
    source.always(Reply::Refused);
    let service = over(upstream.clone(), &source);

    for _ in 0..100 {
        let answer = send(&service, get(ROADS)).await;
        assert_eq!(answer.body, REQUIRED);
        assert!(matches!(
            answer.outcome.skip_reason(),
            Some(SkipReason::LoginRefused(_))
        ));
    }
    assert_eq!(source.attempts(), 1);
    assert_eq!(upstream.count(), 100, "nothing is sent twice");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_remembered_for_fifteen_minutes() {
    let source = TokenService::new();
    let upstream = Upstream::secured_by(&source);
    source.next([Reply::Refused]);
    let service = over(upstream, &source);
    send(&service, get(ROADS)).await;

    advance(15 * MINUTE - SECOND).await;
    assert_eq!(send(&service, get(ROADS)).await.body, REQUIRED);
    assert_eq!(source.attempts(), 1);

    advance(Duration::from_secs(2)).await;
    assert!(send(&service, get(ROADS)).await.is_clean());
    assert_eq!(source.attempts(), 2);
}
