//! Replicas log in once.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::time::{Instant, advance, sleep};
use tower::{Layer, service_fn};
use tower_arcgis_auth::{
    ArcgisAuth, ArcgisAuthLayer, Credential, GenerateToken, Site, SkipReason, StaticToken,
    TokenClient, TokenError, TokenSource,
};

use super::{Fleet, KEY, NAME, OTHER_KEY, PASSWORD, ask, ask_all, assert_clean};
use crate::support::{
    CLEAN, INVALID, MINUTE, REQUIRED, ROOT, Reply, SECOND, TokenService, Upstream, answer,
    assert_login_refused, shared_cache::Fault, token_of,
};

#[tokio::test(start_paused = true)]
async fn ten_replicas_that_start_together_log_in_once() {
    let fleet = Fleet::new();
    let replicas = fleet.replicas(10);
    assert_clean(&ask_all(&replicas).await);
    assert_eq!(fleet.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_comes_later_takes_the_token_there_is() {
    let fleet = Fleet::new();
    assert!(ask(&fleet.replica()).await.is_clean());
    advance(600 * SECOND).await;
    assert!(ask(&fleet.replica()).await.is_clean());
    assert_eq!(fleet.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn requests_with_a_token_in_hand_never_ask_the_cache() {
    let fleet = Fleet::new();
    let replica = fleet.replica();
    assert!(ask(&replica).await.is_clean());
    let questions = fleet.cache.questions();
    for _ in 0..100 {
        assert!(ask(&replica).await.is_clean());
    }
    assert_eq!(fleet.cache.questions(), questions);
}

#[tokio::test(start_paused = true)]
async fn a_login_longer_than_the_lease_is_still_the_only_one() {
    let fleet = Fleet::taking(25 * SECOND);
    let replicas = fleet.replicas(5);
    assert_clean(&ask_all(&replicas).await);
    assert_eq!(fleet.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn different_accounts_bindings_and_keys_share_nothing() {
    let fleet = Fleet::new();
    let cache = fleet.sealed(KEY);
    let site = || fleet.site(PASSWORD).shared_token_cache(&cache);
    let replicas = [
        fleet.over(site()),
        fleet.over(site().credential(Credential::user("grace", PASSWORD))),
        fleet.over(site().referer("https://another.example/")),
        fleet.over(
            site()
                .credential(Credential::user(NAME, PASSWORD))
                .bind_to_address(),
        ),
        fleet.replica_with(PASSWORD, OTHER_KEY),
    ];
    assert_clean(&ask_all(&replicas).await);
    assert_eq!(fleet.attempts(), replicas.len());
}

#[tokio::test(start_paused = true)]
async fn a_source_of_the_users_own_is_shared_once_wrapped() {
    let fleet = Fleet::new();
    let source = TokenService::new();
    let replica = |_| {
        let wrapped = fleet.sealed(KEY).wrap(source.clone());
        let site = Site::new(ROOT).token_source(wrapped);
        fleet.layer(site).layer(Upstream::secured_by(&source))
    };
    let replicas: Vec<_> = (0..3).map(replica).collect();
    assert_clean(&ask_all(&replicas).await);
    assert_eq!(source.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn static_tokens_are_distinguished_whatever_comes_after_them() {
    for tells_credential in [true, false] {
        let fleet = Fleet::new();
        for token in ["ada-s-token", "grace-s-token"] {
            fleet.service.tokens().add(token);
            let next = TokenService::new().answering(Reply::Fault);
            if tells_credential {
                next.set_secret("the same for all");
            }
            let source = StaticToken::new(token).or_else(next);
            let site = Site::new(ROOT).token_source(fleet.sealed(KEY).wrap(source));
            let replica = fleet.over(site);
            assert!(ask(&replica).await.is_clean());
            let sent = replica.get_ref().tokens();
            assert_eq!(sent.last().unwrap().as_deref(), Some(token));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn static_tokens_with_a_next_source_are_accounts_of_their_own() {
    let fleet = Fleet::new();
    let replica = |token: &str, next: &str| {
        fleet.service.tokens().add(token);
        let source = StaticToken::new(token).or_else(StaticToken::new(next));
        let site = Site::new(ROOT).token_source(source);
        fleet.over(site.shared_token_cache(&fleet.sealed(KEY)))
    };
    for (token, next) in [("admins", "admins-next"), ("readers", "readers-next")] {
        let replica = replica(token, next);
        assert!(ask(&replica).await.is_clean());
        assert_eq!(replica.get_ref().tokens(), [None, Some(token.to_owned())]);
    }
}

/// A replica on a machine of its own, whose tokens work from there. Its client marks them: no token service knows the
/// machine of who asks.
fn at_address(fleet: &Fleet, number: u8, password: &str) -> ArcgisAuth<Upstream> {
    let inner = fleet.service.client();
    let client = TokenClient::new(service_fn(move |request: Request<Full<Bytes>>| {
        let inner = inner.clone();
        async move {
            let text = inner.send(request).await?.into_body();
            let text = String::from_utf8(text.to_vec()).unwrap();
            let bound = text.replace("\",\"expires", &format!("-at-{number}\",\"expires"));
            Ok::<_, TokenError>(answer(bound))
        }
    }));
    let site = fleet.shared(fleet.site(password).bind_to_address());
    let layer = ArcgisAuthLayer::builder().add_site(site);
    let layer = layer.token_client(client).build().unwrap();
    let its_own = format!("-at-{number}");
    layer.layer(Upstream::new(move |request| {
        answer(match token_of(request) {
            None => REQUIRED,
            Some(token) if token.ends_with(&its_own) => CLEAN,
            Some(_) => INVALID,
        })
    }))
}

#[tokio::test(start_paused = true)]
async fn tokens_bound_to_an_address_stay_on_their_machine() {
    let fleet = Fleet::new();
    let replicas: Vec<_> = (0..5)
        .map(|number| at_address(&fleet, number, PASSWORD))
        .collect();
    assert_clean(&ask_all(&replicas).await);
    assert_eq!(fleet.attempts(), 5);
}

#[tokio::test(start_paused = true)]
async fn machines_with_tokens_bound_to_their_address_share_a_refusal() {
    let fleet = Fleet::new();
    let replicas: Vec<_> = (0..5)
        .map(|number| at_address(&fleet, number, "wrong"))
        .collect();
    for got in ask_all(&replicas).await {
        assert_login_refused(got.outcome.skip_reason());
    }
    assert_eq!(fleet.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_site_that_is_a_portal_does_not_wait_for_the_portals_login_within_its_own() {
    let fleet = Fleet::new();
    let cache = fleet.sealed(KEY);
    let login = GenerateToken::try_new(
        &format!("{ROOT}/sharing/rest/generateToken"),
        Credential::user(NAME, PASSWORD),
        fleet.service.client(),
    );
    let login = cache.wrap(login.unwrap().allow_insecure_http());
    let portal = tower_arcgis_auth::Portal::try_new(ROOT, login, fleet.service.client()).unwrap();
    let replica = fleet.over(Site::new(ROOT).token_source(cache.wrap(portal)));
    let started = Instant::now();
    assert!(ask(&replica).await.is_clean());
    assert_eq!(started.elapsed(), fleet.takes);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_is_broken_off_is_followed_by_another_replicas_at_once() {
    let mut fleet = Fleet::taking(60 * MINUTE);
    let broken_off = ask(&fleet.replica()).await;
    assert!(matches!(
        broken_off.outcome.skip_reason(),
        Some(SkipReason::LoginFailed(_))
    ));
    fleet.takes = Duration::from_millis(200);
    fleet.service.set_takes(fleet.takes);
    sleep(Duration::from_millis(1)).await;
    let started = Instant::now();
    assert!(ask(&fleet.replica()).await.is_clean());
    assert_eq!(started.elapsed(), fleet.takes);
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_lets_no_replica_lead_is_waited_for_for_ten_seconds() {
    let fleet = Fleet::new();
    fleet.cache.set_fault(Some(Fault::NeverSwaps));
    let started = Instant::now();
    assert_clean(&ask_all(&fleet.replicas(3)).await);
    assert_eq!(fleet.attempts(), 3);
    let waited = started.elapsed() - fleet.takes;
    assert!(waited <= Duration::from_millis(10_300), "{waited:?}");
}
