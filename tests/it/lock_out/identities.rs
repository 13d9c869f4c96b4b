//! Identities: what one may forget of another, and what is counted for all.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use arcgis_stand_in::{StandIn, USERNAME};
use futures_util::future::join_all;
use tokio::time::{Instant, advance};
use tower::Layer;
use tower_arcgis_auth::{ArcgisAuthLayer, Cancelled, Challenge, Credential, Identity, Site};

use crate::support::{
    MINUTE, ROOT, Reply, SECOND, TokenService, Upstream, assert_login_refused, client, get_as,
    identity_in_header, named_site, reader, send, site,
};

const HOUR: Duration = Duration::from_secs(60 * 60);

#[tokio::test(start_paused = true)]
async fn a_wrong_password_of_one_identity_does_not_affect_others() {
    let source = TokenService::new().answering_to("mallory", Reply::Refused);
    let layer = ArcgisAuthLayer::try_new(site(&source).identity_fn(identity_in_header)).unwrap();
    let service = layer.layer(Upstream::secured_by(&source));

    for _ in 0..20 {
        let got = send(&service, get_as("mallory")).await;
        assert_eq!(
            got.outcome.returned_challenge(),
            Some(Challenge::TokenRequired)
        );
        assert_login_refused(got.outcome.skip_reason());
        assert!(send(&service, get_as("alice")).await.is_clean());
    }

    assert_eq!(source.attempts_of("mallory"), 1);
    assert_eq!(source.attempts_of("alice"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_outlives_the_memory_of_its_identity() {
    for (most, longest_idle) in [(1, HOUR), (10, Duration::from_nanos(1))] {
        let source = TokenService::new().answering_to("mallory", Reply::Refused);
        let site = site(&source)
            .identity_fn(identity_in_header)
            .remember_identities(most, longest_idle);
        let layer = ArcgisAuthLayer::try_new(site).unwrap();
        let service = layer.layer(Upstream::secured_by(&source));
        send(&service, get_as("mallory")).await;
        for number in 0..1000 {
            send(&service, get_as(format!("identity{number}"))).await;
            if number % 100 == 0 {
                layer.handle().sites()[0].sessions();
            }
        }
        let got = send(&service, get_as("mallory")).await;
        assert_login_refused(got.outcome.skip_reason());
        assert_eq!(source.attempts_of("mallory"), 1);

        advance(15 * MINUTE).await;
        send(&service, get_as("mallory")).await;
        assert_eq!(source.attempts_of("mallory"), 2, "and not for ever");
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_that_the_token_service_counts_outlive_their_session() {
    let server = StandIn::start().await.unwrap();
    let guesses = Arc::new(AtomicUsize::new(0));
    let counted = Arc::new(Mutex::new(Vec::new()));
    let log = counted.clone();
    let site = Site::new(server.root())
        .identity_fn(identity_in_header)
        .remember_identities(1, HOUR)
        .credential_fn(move |request| {
            let is_alice = request.identity().unwrap().as_str() == "alice";
            if is_alice {
                log.lock().unwrap().push(request.refused());
            }
            let guess = guesses.fetch_add(1, Ordering::SeqCst);
            async move {
                match is_alice && guess < 3 {
                    true => Ok(Credential::user(USERNAME, format!("guess {guess}"))),
                    false => Err(Cancelled),
                }
            }
        });
    let layer = ArcgisAuthLayer::try_new(site).unwrap();
    let handle = layer.handle().sites().remove(0);
    let (alice, bob) = (Identity::from("alice"), Identity::from("bob"));

    assert!(handle.renew_identity(&alice).await.is_err());
    // Nothing to remember for the layer, but for the token service.
    handle.sign_out_identity(&alice).await.unwrap();
    assert!(handle.renew_identity(&bob).await.is_err());
    handle.sessions();
    assert!(handle.renew_identity(&alice).await.is_err());

    assert_eq!(*counted.lock().unwrap(), [0, 1, 2, 3, 0]);
    assert_eq!(server.login_failures(USERNAME), 3);
}

#[tokio::test(start_paused = true)]
async fn unanswered_logins_outlive_the_memory_of_their_identity() {
    let source = TokenService::new()
        .asking_for_leave()
        .answering_to("alice", Reply::Hangs);
    let site = site(&source)
        .identity_fn(identity_in_header)
        .remember_identities(1, HOUR);
    let layer = ArcgisAuthLayer::try_new(site).unwrap();
    let handle = layer.handle().sites().remove(0);
    let (alice, bob) = (Identity::from("alice"), Identity::from("bob"));
    for _ in 0..8 {
        assert!(handle.renew_identity(&alice).await.is_err());
        // Longer than the pause after a fault.
        advance(10 * SECOND).await;
        handle.renew_identity(&bob).await.unwrap();
        handle.sessions();
    }
    assert_eq!(source.attempts_of("alice"), 4);
}

#[tokio::test(start_paused = true)]
async fn unanswered_logins_of_one_account_are_four_whatever_the_identities() {
    let service = TokenService::new().answering(Reply::Hangs);
    let site = Site::new(ROOT)
        .allow_insecure_http()
        .identity_fn(identity_in_header)
        .credential(reader());
    let client = client(site, &service);
    let started = Instant::now();
    for number in 0.. {
        if started.elapsed() > 10 * MINUTE {
            break;
        }
        send(&client, get_as(format!("identity{number}"))).await;
        advance(SECOND).await;
    }
    assert_eq!(service.attempts(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_password_that_worked_is_in_no_more_than_four_unanswered_logins_either() {
    let service = TokenService::new();
    let site = named_site()
        .identity_fn(identity_in_header)
        .credential(reader());
    let client = client(site, &service);
    assert!(send(&client, get_as("first")).await.is_clean());
    service.always(Reply::Hangs);
    for crowd in 0..4 {
        let answers = (0..3).map(|number| send(&client, get_as(format!("{crowd}-{number}"))));
        join_all(answers).await;
    }
    assert_eq!(service.attempts() - 1, 4);
}
