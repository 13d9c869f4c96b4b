//! People and programs that guess.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use arcgis_stand_in::{StandIn, USERNAME};
use tokio::time::sleep;
use tower::Layer;
use tower_arcgis_auth::{ArcgisAuthLayer, Credential, RenewError, Site};

use crate::support::{
    ROADS, Reply, SECOND, TokenService, Upstream, client, get, layer, named_site, send,
};

#[tokio::test(start_paused = true)]
async fn a_refused_answer_is_asked_for_again_with_the_number_of_refusals() {
    let service = TokenService::new().knows("right");
    let refused = Arc::new(Mutex::new(Vec::new()));
    let log = refused.clone();
    let site = named_site().credential_fn(move |request| {
        log.lock().unwrap().push(request.refused());
        let password = if request.refused() < 2 {
            "wrong"
        } else {
            "right"
        };
        async move { Ok(Credential::user("reader", password)) }
    });
    let got = send(&client(site, &service), get(ROADS)).await;
    assert!(got.is_clean());
    assert_eq!(*refused.lock().unwrap(), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn wrong_answers_stop_before_the_account_is_locked() {
    let service = TokenService::new().answering(Reply::Refused);
    let site = named_site().credential_fn(|request| async move {
        let guess = format!("guess {}", request.refused());
        Ok(Credential::user("reader", guess))
    });
    let client = client(site, &service);
    for _ in 0..10 {
        send(&client, get(ROADS)).await;
    }
    assert_eq!(service.attempts(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_answer_given_again_is_one_failure_and_a_right_one_is_taken_after_it() {
    let service = TokenService::new().knows("right");
    let password = Arc::new(Mutex::new("wrong"));
    let given = password.clone();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let site = named_site().credential_fn(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        let password = *given.lock().unwrap();
        async move { Ok(Credential::user("reader", password)) }
    });
    let layer = layer(site, &service);
    let client = layer.layer(Upstream::open_to_any_token());
    let got = send(&client, get(ROADS)).await;
    let skip_reason = got.outcome.skip_reason().unwrap().to_string();
    assert!(skip_reason.contains("Invalid username"), "{skip_reason}");
    assert!(!send(&client, get(ROADS)).await.is_clean());
    assert_eq!((service.attempts(), asked.load(Ordering::SeqCst)), (1, 4));
    *password.lock().unwrap() = "right";
    layer.handle().sign_out().await.unwrap();
    assert!(send(&client, get(ROADS)).await.is_clean());
    assert_eq!(service.attempts(), 2);
}

#[tokio::test]
async fn guesses_with_sign_outs_in_between_lock_no_account() {
    let server = StandIn::start().await.unwrap();
    let guesses = AtomicUsize::new(0);
    let site = Site::new(server.root()).credential_fn(move |_| {
        let guess = guesses.fetch_add(1, Ordering::SeqCst);
        async move { Ok(Credential::user(USERNAME, format!("guess {guess}"))) }
    });
    let layer = ArcgisAuthLayer::try_new(site).unwrap();
    let handle = layer.handle().sites().remove(0);
    let renewed = handle.renew().await;
    assert!(matches!(renewed, Err(RenewError::Refused(_))));
    handle.sign_out().await.unwrap();
    for _ in 0..2 {
        let error = handle.renew().await.unwrap_err().to_string();
        assert!(error.contains("nothing was sent"), "{error}");
        handle.sign_out().await.unwrap();
    }
    assert_eq!(server.login_failures(USERNAME), 4);
    assert!(!server.is_locked(USERNAME));
}

#[tokio::test(start_paused = true)]
async fn unanswered_guesses_with_sign_outs_in_between_are_four() {
    let service = TokenService::new().answering(Reply::Hangs);
    let guesses = AtomicUsize::new(0);
    let guess = move |_| {
        let guess = guesses.fetch_add(1, Ordering::SeqCst);
        async move { Ok(Credential::user("alice", format!("guess {guess}"))) }
    };
    let handle = layer(named_site().credential_fn(guess), &service).handle();
    let site = handle.sites().remove(0);
    for _ in 0..8 {
        let signs_out = async {
            sleep(2 * SECOND).await;
            handle.sign_out().await.unwrap();
        };
        let (renewed, ()) = tokio::join!(site.renew(), signs_out);
        assert!(renewed.is_err());
    }
    assert_eq!(service.attempts(), 4);
}
