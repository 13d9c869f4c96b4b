//! How many logins of one account may be under way at once.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use tokio::time::{Instant, sleep};
use tower::Layer;
use tower_arcgis_auth::{ArcgisAuthLayer, Identity, RenewError};

use crate::support::{
    Got, Reply, SECOND, TokenService, Upstream, get_as, identity_in_header, layer, named_site,
    reader, send,
};

fn identities_of_one_account(service: &TokenService) -> ArcgisAuthLayer {
    let site = named_site()
        .identity_fn(identity_in_header)
        .credential(reader());
    layer(site, service)
}

#[tokio::test(start_paused = true)]
async fn a_password_that_worked_is_sent_three_times_at_once_and_a_changed_one_fails_no_more_often()
{
    let service = TokenService::new().takes(SECOND);
    let layer = identities_of_one_account(&service);
    let client = layer.layer(Upstream::open_to_any_token());
    let started = Instant::now();
    let answers = (0..31).map(|number| send(&client, get_as(format!("identity{number}"))));
    assert!(join_all(answers).await.iter().all(Got::is_clean));
    // One alone, then thirty by threes.
    assert_eq!(started.elapsed().as_secs(), 11);

    service.always(Reply::Refused);
    let handle = layer.handle().sites().remove(0);
    let identities: Vec<_> = (0..31)
        .map(|number| Identity::from(format!("identity{number}")))
        .collect();
    let renewed = identities
        .iter()
        .map(|identity| handle.renew_identity(identity));
    let is_refused = |renewed: &Result<_, _>| matches!(renewed, Err(RenewError::Refused(_)));
    assert!(join_all(renewed).await.iter().all(is_refused));
    assert!(service.attempts() - 31 <= 3);
}

#[tokio::test(start_paused = true)]
async fn a_late_success_does_not_outweigh_a_newer_refusal() {
    let seen = AtomicUsize::new(0);
    let service = TokenService::new().logins(move |_| match seen.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::Token,
        // Looked at before the password was changed at the server, and slow to say so.
        1 => Reply::Token.after(3 * SECOND),
        _ => Reply::Refused,
    });
    let client = identities_of_one_account(&service).layer(Upstream::open_to_any_token());
    assert!(send(&client, get_as("first")).await.is_clean());
    for crowd in 0..3 {
        let answers = (0..4).map(|number| send(&client, get_as(format!("{crowd}-{number}"))));
        join_all(answers).await;
    }
    let failures = service.attempts() - 2;
    assert!((1..=3).contains(&failures), "{failures}");
}

#[tokio::test(start_paused = true)]
async fn identities_that_wait_too_long_for_others_have_made_no_login() {
    let service = TokenService::new().takes(3 * SECOND);
    let client = identities_of_one_account(&service).layer(Upstream::open_to_any_token());
    let crowd = || async {
        let answers = (0..40).map(|number| send(&client, get_as(format!("identity{number}"))));
        let answers = join_all(answers).await;
        answers.iter().filter(|got| got.is_clean()).count()
    };
    let clean = crowd().await;
    assert!((10..40).contains(&clean), "{clean}");
    sleep(2 * SECOND).await;
    assert_eq!(crowd().await, 40);
    assert_eq!(service.attempts(), 40);
}
