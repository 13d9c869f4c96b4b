//! Two tokens of another replica's logins, one after the other, that both are dead.

use super::{Fleet, PASSWORD, ask};
use crate::support::{CLEAN, INVALID, REQUIRED, Upstream, answer, token_of};
use tower::Layer;

#[tokio::test(start_paused = true)]
async fn a_service_that_takes_no_shared_token_is_not_remembered_as_refusing() {
    let fleet = Fleet::new();
    let layer = || fleet.layer(fleet.shared(fleet.site(PASSWORD)));
    let other = layer().handle().sites().remove(0);
    other.renew().await.unwrap();
    // While the first token is refused, the other replica puts the next into the cache.
    let renewing = other.clone();
    let upstream = Upstream::slow(move |request| {
        let (token, other) = (token_of(request), renewing.clone());
        async move {
            answer(match token.as_deref() {
                None => REQUIRED,
                Some("secret-1") => {
                    other.renew().await.unwrap();
                    INVALID
                }
                Some("secret-2") => INVALID,
                Some(_) => CLEAN,
            })
        }
    });
    let replica = layer().layer(upstream.clone());
    assert_eq!(ask(&replica).await.body, INVALID);
    let shared = [None, Some("secret-1".into()), Some("secret-2".into())];
    assert_eq!(upstream.tokens(), shared);

    let got = ask(&replica).await;
    assert!(got.is_clean(), "{}", got.outcome);
    assert_eq!(fleet.attempts(), 3);
}
