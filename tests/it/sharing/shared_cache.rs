//! Replicas that share a cache: one login, one history of logins, and each for itself when the cache fails.
//!
//! A replica is a layer with a cache handle of its own; the cache is in memory, and time is paused.

use crate::support;

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::support::shared_cache::{Fault, MemoryCache};
use crate::support::{
    Answered, INVALID, ROADS, ROOT, Upstream, ValidTokens, answer, assert_login_refused, get, send,
};
use arcgis_stand_in::{PASSWORD as STAND_IN_PASSWORD, Portal, StandIn, USERNAME};
use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::time::Instant;
use tower::{Layer, ServiceExt};
use tower_arcgis_auth::{
    ArcgisAuth, ArcgisAuthLayer, AuthOutcome, Cancelled, Credential, Fingerprint, GenerateToken,
    IssuedToken, RefreshToken, ReplayBody, SealedTokenCache, Site, SkipReason, StaticToken,
    TokenCacheKeys, TokenClient, TokenError, TokenRequest, TokenSource, token_source_fn,
};

const NAME: &str = "ada.lovelace";
const PASSWORD: &str = "hunter2-hunter2";
const KEY: &str = "8f0b6d1c53a24e7f9b1d0a6c4e8f2b7d5c9a3e1f6b8d0c2a4e6f8b1d3c5a7e90";
const OTHER_KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn keys(text: &str) -> TokenCacheKeys {
    TokenCacheKeys::try_new(text).unwrap()
}

/// A secured ArcGIS, its token service, and the cache that all replicas reach.
#[derive(Clone)]
struct World {
    valid: ValidTokens,
    attempts: Arc<AtomicUsize>,
    password: Arc<Mutex<String>>,
    takes: Duration,
    cache: MemoryCache,
}

impl World {
    fn new() -> Self {
        Self {
            valid: ValidTokens::default(),
            attempts: Arc::default(),
            password: Arc::new(Mutex::new(PASSWORD.to_owned())),
            takes: Duration::from_millis(200),
            cache: MemoryCache::default(),
        }
    }

    fn taking(takes: Duration) -> Self {
        Self {
            takes,
            ..Self::new()
        }
    }

    fn attempts(&self) -> usize {
        self.attempts.load(Ordering::SeqCst)
    }

    fn token_client(&self) -> TokenClient {
        let world = self.clone();
        TokenClient::new(tower::service_fn(move |request: Request<Full<Bytes>>| {
            let world = world.clone();
            async move { Ok::<_, Infallible>(world.log_in(request).await) }
        }))
    }

    async fn log_in(&self, request: Request<Full<Bytes>>) -> Response<Full<Bytes>> {
        let attempt = self.attempts.fetch_add(1, Ordering::SeqCst) + 1;
        tokio::time::sleep(self.takes).await;
        let form = request.into_body().collect().await.unwrap().to_bytes();
        let form = String::from_utf8(form.to_vec()).unwrap();
        let right = format!("password={}&", self.password.lock().unwrap());
        let is_exchange = form.contains("serverUrl=");
        if !is_exchange && !form.contains(&right) {
            return answer(
                r#"{"error":{"code":400,"message":"Unable to generate token.","details":["Invalid username or password."]}}"#,
            );
        }
        let token = format!("secret-token-{attempt}");
        self.valid.add(&token);
        answer(format!(r#"{{"token":"{token}","expires":4102444800000}}"#))
    }

    fn site(&self, password: &str) -> Site {
        Site::new(ROOT)
            .credential(Credential::user(NAME, password))
            .token_url(format!("{ROOT}/tokens/generateToken"))
            .allow_insecure_http()
    }

    fn over(&self, site: Site) -> ArcgisAuth<Upstream> {
        ArcgisAuthLayer::builder()
            .add_site(site)
            .token_client(self.token_client())
            .build()
            .unwrap()
            .layer(Upstream::secured(&self.valid))
    }

    fn sealed(&self, key: &str) -> SealedTokenCache {
        SealedTokenCache::new(self.cache.clone(), keys(key))
    }

    fn replica_with(&self, password: &str, key: &str) -> ArcgisAuth<Upstream> {
        self.over(self.site(password).shared_token_cache(&self.sealed(key)))
    }

    fn replica(&self) -> ArcgisAuth<Upstream> {
        self.replica_with(PASSWORD, KEY)
    }

    fn replicas(&self, count: usize) -> Vec<ArcgisAuth<Upstream>> {
        (0..count).map(|_| self.replica()).collect()
    }
}

async fn ask(replica: &ArcgisAuth<Upstream>) -> Answered {
    send(replica, get(ROADS)).await
}

async fn ask_all(replicas: &[ArcgisAuth<Upstream>]) -> Vec<Answered> {
    join_all(replicas.iter().map(ask)).await
}

#[track_caller]
fn assert_clean(told: &[Answered]) {
    for told in told {
        assert!(told.is_clean(), "{}", told.outcome);
    }
}

// --- one login

#[tokio::test(start_paused = true)]
async fn ten_replicas_that_start_together_log_in_once() {
    let world = World::new();
    let replicas = world.replicas(10);
    assert_clean(&ask_all(&replicas).await);
    assert_eq!(world.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_comes_later_takes_the_token_there_is() {
    let world = World::new();
    assert!(ask(&world.replica()).await.is_clean());
    tokio::time::advance(Duration::from_secs(600)).await;
    assert!(ask(&world.replica()).await.is_clean());
    assert_eq!(world.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn requests_with_a_token_in_hand_never_ask_the_cache() {
    let world = World::new();
    let replica = world.replica();
    assert!(ask(&replica).await.is_clean());
    let questions = world.cache.questions();
    for _ in 0..100 {
        assert!(ask(&replica).await.is_clean());
    }
    assert_eq!(world.cache.questions(), questions);
}

#[tokio::test(start_paused = true)]
async fn a_login_longer_than_the_lease_is_still_the_only_one() {
    let world = World::taking(Duration::from_secs(25));
    let replicas = world.replicas(5);
    assert_clean(&ask_all(&replicas).await);
    assert_eq!(world.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn different_accounts_bindings_and_keys_share_nothing() {
    let world = World::new();
    let cache = world.sealed(KEY);
    let site = || world.site(PASSWORD).shared_token_cache(&cache);
    let replicas = [
        world.over(site()),
        world.over(site().credential(Credential::user("grace", PASSWORD))),
        world.over(site().referer("https://another.example/")),
        world.over(
            site()
                .credential(Credential::user(NAME, PASSWORD))
                .bind_to_address(),
        ),
        world.replica_with(PASSWORD, OTHER_KEY),
    ];
    assert_clean(&ask_all(&replicas).await);
    assert_eq!(world.attempts(), replicas.len());
}

#[tokio::test(start_paused = true)]
async fn a_source_of_the_users_own_is_shared_once_wrapped() {
    let world = World::new();
    let logins = Arc::new(AtomicUsize::new(0));
    let replicas: Vec<_> = (0..3)
        .map(|_| {
            let (logins, valid) = (Arc::clone(&logins), world.valid.clone());
            let source = token_source_fn(move |_| {
                let token = format!("own-{}", logins.fetch_add(1, Ordering::SeqCst));
                valid.add(&token);
                async move { IssuedToken::try_new(token) }
            });
            let source = world.sealed(KEY).wrap(source);
            world.over(Site::new(ROOT).token_source(source))
        })
        .collect();
    assert_clean(&ask_all(&replicas).await);
    assert_eq!(logins.load(Ordering::SeqCst), 1);
}

/// Gives no token, and tells of no account: of a secret at most.
struct NextBest {
    tells: bool,
}

impl TokenSource for NextBest {
    async fn token(&self, _request: TokenRequest) -> Result<IssuedToken, TokenError> {
        Err(TokenError::fault("there is none"))
    }

    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        if self.tells {
            fingerprint.secret("the same for all");
        } else {
            fingerprint.cannot_tell();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn ready_tokens_are_told_apart_whatever_comes_after_them() {
    for tells in [true, false] {
        let world = World::new();
        for token in ["ada-s-token", "grace-s-token"] {
            world.valid.add(token);
            let source = StaticToken::new(token).or_else(NextBest { tells });
            let fake = Upstream::secured(&world.valid);
            let site = Site::new(ROOT).token_source(world.sealed(KEY).wrap(source));
            let service = ArcgisAuthLayer::try_new(site).unwrap().layer(fake.clone());
            assert!(send(&service, get(ROADS)).await.is_clean());
            assert_eq!(fake.tokens().last().unwrap().as_deref(), Some(token));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn ready_tokens_with_a_next_are_accounts_of_their_own() {
    let world = World::new();
    let replica = |token: &str, next: &str| {
        world.valid.add(token);
        let source = StaticToken::new(token).or_else(StaticToken::new(next));
        let site = Site::new(ROOT).token_source(source);
        world.over(site.shared_token_cache(&world.sealed(KEY)))
    };
    for (token, next) in [("admins", "admins-next"), ("readers", "readers-next")] {
        let replica = replica(token, next);
        assert!(ask(&replica).await.is_clean());
        assert_eq!(replica.get_ref().tokens(), [None, Some(token.to_owned())]);
    }
}

/// A replica on a machine of its own, whose tokens work from there.
fn at_address(world: &World, number: u8, password: &str) -> ArcgisAuth<Upstream> {
    let inner = world.clone();
    let client = TokenClient::new(tower::service_fn(move |request: Request<Full<Bytes>>| {
        let inner = inner.clone();
        async move {
            let answer = inner.log_in(request).await;
            let text = answer.into_body().collect().await.unwrap().to_bytes();
            let text = String::from_utf8(text.to_vec()).unwrap();
            let bound = text.replace("\",\"expires", &format!("-at-{number}\",\"expires"));
            Ok::<_, Infallible>(support::answer(bound))
        }
    }));
    let site = world.site(password).bind_to_address();
    let its_own = format!("-at-{number}");
    ArcgisAuthLayer::builder()
        .add_site(site.shared_token_cache(&world.sealed(KEY)))
        .token_client(client)
        .build()
        .unwrap()
        .layer(Upstream::new(move |head| match support::token_of(head) {
            None => answer(support::REQUIRED),
            Some(token) if token.ends_with(&its_own) => answer(support::CLEAN),
            Some(_) => answer(INVALID),
        }))
}

#[tokio::test(start_paused = true)]
async fn tokens_bound_to_an_address_stay_on_their_machine() {
    let world = World::new();
    let replicas: Vec<_> = (0..5)
        .map(|number| at_address(&world, number, PASSWORD))
        .collect();
    assert_clean(&ask_all(&replicas).await);
    assert_eq!(world.attempts(), 5);
}

#[tokio::test(start_paused = true)]
async fn machines_with_tokens_bound_to_their_address_share_a_refusal() {
    let world = World::new();
    let replicas: Vec<_> = (0..5)
        .map(|number| at_address(&world, number, "wrong"))
        .collect();
    for told in ask_all(&replicas).await {
        assert_login_refused(told.outcome.skip_reason());
    }
    assert_eq!(world.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_site_that_is_a_portal_does_not_wait_for_the_portals_login_within_its_own() {
    let world = World::new();
    let cache = world.sealed(KEY);
    let login = GenerateToken::try_new(
        &format!("{ROOT}/sharing/rest/generateToken"),
        Credential::user(NAME, PASSWORD),
        world.token_client(),
    );
    let login = cache.wrap(login.unwrap().allow_insecure_http());
    let portal = tower_arcgis_auth::Portal::try_new(ROOT, login, world.token_client()).unwrap();
    let replica = world.over(Site::new(ROOT).token_source(cache.wrap(portal)));
    let started = Instant::now();
    assert!(ask(&replica).await.is_clean());
    assert_eq!(started.elapsed(), world.takes);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_is_broken_off_is_followed_by_another_replicas_at_once() {
    let world = World::taking(Duration::from_secs(3600));
    let broken_off = ask(&world.replica()).await;
    assert!(matches!(
        broken_off.outcome.skip_reason(),
        Some(SkipReason::LoginFailed(_))
    ));
    let quick = World {
        takes: Duration::from_millis(200),
        ..world
    };
    tokio::time::sleep(Duration::from_millis(1)).await;
    let started = Instant::now();
    assert!(ask(&quick.replica()).await.is_clean());
    assert_eq!(started.elapsed(), quick.takes);
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_lets_no_replica_lead_is_waited_for_for_ten_seconds() {
    let world = World::new();
    world.cache.set_fault(Some(Fault::NeverSwaps));
    let started = Instant::now();
    assert_clean(&ask_all(&world.replicas(3)).await);
    assert_eq!(world.attempts(), 3);
    let waited = started.elapsed() - world.takes;
    assert!(waited <= Duration::from_millis(10_300), "{waited:?}");
}

// --- refusals

#[tokio::test(start_paused = true)]
async fn ten_replicas_with_a_wrong_password_make_one_attempt() {
    let world = World::new();
    let replicas: Vec<_> = (0..10).map(|_| world.replica_with("wrong", KEY)).collect();
    for told in ask_all(&replicas).await {
        let skip_reason = told.outcome.skip_reason();
        assert!(
            matches!(skip_reason, Some(SkipReason::LoginRefused(_))),
            "{}",
            told.outcome
        );
        assert!(
            skip_reason
                .unwrap()
                .to_string()
                .contains("refused the login")
        );
    }
    assert_eq!(world.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn two_wrong_passwords_make_two_attempts() {
    let world = World::new();
    let wrong = |number: usize| {
        if number % 2 == 0 {
            "wrong-a"
        } else {
            "wrong-b"
        }
    };
    let replicas: Vec<_> = (0..10)
        .map(|number| world.replica_with(wrong(number), KEY))
        .collect();
    ask_all(&replicas).await;
    assert_eq!(world.attempts(), 2);
    for number in 0..10 {
        ask(&world.replica_with(wrong(number), KEY)).await;
    }
    assert_eq!(world.attempts(), 2);
    // Who has the right one does not make the others try again.
    assert!(ask(&world.replica()).await.is_clean());
    world.valid.revoke_all();
    let replica = world.replica_with("wrong-a", KEY);
    for _ in 0..3 {
        assert!(!ask(&replica).await.is_clean());
    }
    assert_eq!(world.attempts(), 3);
}

#[tokio::test(start_paused = true)]
async fn one_machine_that_is_not_let_in_shuts_no_other_out() {
    let world = World::new();
    let shut_out = ArcgisAuthLayer::builder()
        .add_site(world.site(PASSWORD).shared_token_cache(&world.sealed(KEY)))
        .token_client(TokenClient::new(tower::service_fn(
            |_: Request<Full<Bytes>>| async {
                let mut response = answer("<html>403 Forbidden</html>");
                *response.status_mut() = http::StatusCode::FORBIDDEN;
                Ok::<_, Infallible>(response)
            },
        )))
        .build()
        .unwrap()
        .layer(Upstream::secured(&world.valid));
    let told = ask(&shut_out).await;
    assert!(
        matches!(
            told.outcome.skip_reason(),
            Some(SkipReason::LoginRefused(_))
        ),
        "{}",
        told.outcome
    );
    assert!(ask(&world.replica()).await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn one_person_who_cancels_cancels_for_no_other() {
    let world = World::new();
    let person = |password: Option<&'static str>| {
        let site = Site::new(ROOT)
            .token_url(format!("{ROOT}/tokens/generateToken"))
            .allow_insecure_http()
            .credential_fn(move |_| async move {
                let password = password.ok_or(Cancelled)?;
                Ok(Credential::user(NAME, password))
            });
        world.over(site.shared_token_cache(&world.sealed(KEY)))
    };
    assert!(!ask(&person(None)).await.is_clean());
    assert!(ask(&person(Some(PASSWORD))).await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_a_source_that_tells_no_credential_is_its_own() {
    let world = World::new();
    let replica = |is_refused: bool| {
        let source = token_source_fn(move |_| async move {
            if is_refused {
                return Err(TokenError::refused("no"));
            }
            IssuedToken::try_new("own")
        });
        world.valid.add("own");
        let source = world.sealed(KEY).wrap(source);
        world.over(Site::new(ROOT).token_source(source))
    };
    assert!(!ask(&replica(true)).await.is_clean());
    assert!(ask(&replica(false)).await.is_clean());
}

/// One process has exchanged the refresh token for the next; the other comes with the one before.
#[tokio::test(start_paused = true)]
async fn a_refresh_token_that_another_process_has_replaced_keeps_no_other_from_logging_in() {
    let world = World::new();
    let alive = Arc::new(Mutex::new("refresh-0".to_owned()));
    let (logins, valid) = (Arc::new(AtomicUsize::new(0)), world.valid.clone());
    let client = TokenClient::new(tower::service_fn(move |request: Request<Full<Bytes>>| {
        let (alive, logins, valid) = (Arc::clone(&alive), Arc::clone(&logins), valid.clone());
        async move {
            let form = request.into_body().collect().await.unwrap().to_bytes();
            let form = String::from_utf8(form.to_vec()).unwrap();
            let mut alive = alive.lock().unwrap();
            if !form.contains(&format!("refresh_token={alive}&")) {
                return Ok::<_, Infallible>(answer(
                    r#"{"error":{"code":498,"message":"invalid refresh_token"}}"#,
                ));
            }
            let login = logins.fetch_add(1, Ordering::SeqCst);
            valid.add(&format!("access-{login}"));
            if form.contains("exchange_refresh_token") {
                *alive = format!("refresh-{login}-next");
            }
            Ok(answer(format!(
                r#"{{"access_token":"access-{login}","expires_in":1800,"refresh_token":"{alive}","refresh_token_expires_in":1000000}}"#
            )))
        }
    }));
    let replica = || {
        let source =
            RefreshToken::try_new("https://portal.test", "app", "refresh-0", client.clone());
        let source = source
            .unwrap()
            .redirect_uri("https://app.test")
            .valid_for(Duration::from_millis(1));
        let site = Site::new(ROOT).token_source(source);
        world.over(site.shared_token_cache(&world.sealed(KEY)))
    };
    let (has_the_next, has_the_last) = (replica(), replica());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(ask(&has_the_next).await.is_clean());
    assert!(ask(&has_the_last).await.is_clean());
    world.valid.revoke_all();
    assert!(!ask(&has_the_last).await.is_clean());
    assert!(ask(&has_the_next).await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn sites_with_bindings_of_their_own_share_a_refusal_at_their_token_service() {
    let world = World::new();
    let replicas: Vec<_> = (0..10)
        .map(|number| {
            let site = world.site("wrong").shared_token_cache(&world.sealed(KEY));
            world.over(site.referer(format!("https://{number}.example/")))
        })
        .collect();
    for told in ask_all(&replicas).await {
        assert!(
            matches!(
                told.outcome.skip_reason(),
                Some(SkipReason::LoginRefused(_))
            ),
            "{}",
            told.outcome
        );
    }
    assert_eq!(world.attempts(), 1);
}

/// A source of the user's own that a fleet has one wrong password for, and that asks before it sends that.
struct Refuses(Arc<AtomicUsize>);

impl TokenSource for Refuses {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        let mut attempt = request.login_attempt(ROOT, NAME, "wrong").await?;
        attempt.sent();
        self.0.fetch_add(1, Ordering::SeqCst);
        let error = TokenError::refused("wrong password");
        attempt.refused(&error);
        Err(error)
    }

    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        fingerprint.account(NAME);
        fingerprint.secret("wrong");
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_of_the_users_own_that_asks_before_it_logs_in_is_refused_once_for_all() {
    let world = World::new();
    let wrapped = |logins: &Arc<AtomicUsize>| {
        let own = world.sealed(KEY).wrap(Refuses(logins.clone()));
        Site::new(ROOT).token_source(own)
    };
    let of_a_site = |logins: &Arc<AtomicUsize>| {
        let site = Site::new(ROOT).token_source(Refuses(logins.clone()));
        site.shared_token_cache(&world.sealed(KEY))
    };
    for is_wrapped in [true, false] {
        world.cache.forget_all();
        let logins = Arc::new(AtomicUsize::new(0));
        let replica = |_| {
            world.over(if is_wrapped {
                wrapped(&logins)
            } else {
                of_a_site(&logins)
            })
        };
        let replicas: Vec<_> = (0..5).map(replica).collect();
        for told in ask_all(&replicas).await {
            assert_login_refused(told.outcome.skip_reason());
        }
        assert_eq!(logins.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sign_out_lifts_no_refusal_of_a_users_own_source() {
    let world = World::new();
    let logins = Arc::new(AtomicUsize::new(0));
    for _ in 0..6 {
        let own = world.sealed(KEY).wrap(Refuses(logins.clone()));
        let layer = ArcgisAuthLayer::try_new(Site::new(ROOT).token_source(own)).unwrap();
        assert!(layer.handle().sites()[0].renew().await.is_err());
        layer.handle().sign_out().await.unwrap();
    }
    assert_eq!(logins.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_sign_out_lifts_no_refusal_of_a_password() {
    let world = World::new();
    for _ in 0..6 {
        let wrong = world.site("wrong").shared_token_cache(&world.sealed(KEY));
        let layer = ArcgisAuthLayer::builder().add_site(wrong);
        let layer = layer.token_client(world.token_client()).build().unwrap();
        assert!(layer.handle().sites()[0].renew().await.is_err());
        layer.handle().sign_out().await.unwrap();
    }
    assert_eq!(world.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_changed_password_is_tried_at_once() {
    let world = World::new();
    ask(&world.replica_with("wrong", KEY)).await;
    assert!(ask(&world.replica()).await.is_clean());
    assert_eq!(world.attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refused_renewal_leaves_the_others_the_token_they_have() {
    let world = World::new();
    assert!(ask(&world.replica()).await.is_clean());
    *world.password.lock().unwrap() = "changed".to_owned();
    let replica = world.replica();
    assert!(ask(&replica).await.is_clean());
    assert_eq!(world.attempts(), 1);
    // Every token dies: now the refusal is learnt, once.
    world.valid.revoke_all();
    let mut replicas = world.replicas(5);
    replicas.push(replica);
    for told in ask_all(&replicas).await {
        assert!(!told.is_clean());
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    for told in ask_all(&replicas).await {
        assert!(
            matches!(
                told.outcome.skip_reason(),
                Some(SkipReason::LoginRefused(_))
            ),
            "{}",
            told.outcome
        );
    }
    assert_eq!(world.attempts(), 2);
}

// --- death

#[tokio::test(start_paused = true)]
async fn a_dead_token_costs_one_login_and_is_never_handed_out_again() {
    let world = World::new();
    let replicas = world.replicas(10);
    assert_clean(&ask_all(&replicas).await);
    world.valid.revoke_all();
    assert_clean(&ask_all(&replicas).await);
    assert_eq!(world.attempts(), 2);
    // A replica that starts now never sends the dead one.
    let late = world.replica();
    assert!(ask(&late).await.is_clean());
    let sent = late.get_ref().tokens();
    assert_eq!(sent, [None, Some("secret-token-2".to_owned())]);
    assert_eq!(world.attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_died_is_out_of_the_cache_though_no_replica_can_log_in() {
    let world = World::new();
    let replica = world.replica();
    assert!(ask(&replica).await.is_clean());
    world.valid.revoke_all();
    *world.password.lock().unwrap() = "changed".to_owned();
    assert!(!ask(&replica).await.is_clean());
    let late = world.replica();
    assert!(!ask(&late).await.is_clean());
    assert_eq!(
        late.get_ref().tokens(),
        [None],
        "the dead token is not sent"
    );
    assert_eq!(world.attempts(), 2);
}

/// A replica before a server that says `dead` to a token that is.
fn replica_before(world: &World, dead: &'static str) -> ArcgisAuth<Upstream> {
    let valid = world.valid.clone();
    let site = world.site(PASSWORD).shared_token_cache(&world.sealed(KEY));
    ArcgisAuthLayer::builder()
        .add_site(site)
        .token_client(world.token_client())
        .build()
        .unwrap()
        .layer(Upstream::new(move |head| match support::token_of(head) {
            Some(token) if valid.contains(&token) => answer(support::CLEAN),
            None => answer(support::REQUIRED),
            Some(_) => answer(dead),
        }))
}

#[tokio::test(start_paused = true)]
async fn a_token_that_died_unnoticed_costs_one_more_sending() {
    for dead in [INVALID, support::REQUIRED] {
        let world = World::new();
        assert!(ask(&replica_before(&world, dead)).await.is_clean());
        world.valid.revoke_all();
        let late = replica_before(&world, dead);
        assert!(ask(&late).await.is_clean());
        assert_eq!(
            late.get_ref().tokens().len(),
            3,
            "without, with the dead one, with one of a login"
        );
        for _ in 0..5 {
            assert!(ask(&late).await.is_clean());
        }
        // It holds nothing against the service: the next that dies is renewed within the request.
        world.valid.revoke_all();
        assert!(ask(&late).await.is_clean());
        assert_eq!(world.attempts(), 3);
        assert!(ask(&replica_before(&world, dead)).await.is_clean());
        assert_eq!(world.attempts(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn another_replicas_token_that_is_as_dead_costs_one_more_sending() {
    let world = World::new();
    let ahead = ArcgisAuthLayer::builder()
        .add_site(world.site(PASSWORD).shared_token_cache(&world.sealed(KEY)))
        .token_client(world.token_client())
        .build()
        .unwrap();
    let behind = world.replica();
    assert!(
        ask(&ahead.layer(Upstream::secured(&world.valid)))
            .await
            .is_clean()
    );
    assert!(ask(&behind).await.is_clean());
    ahead.handle().site(ROOT).unwrap().renew().await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    world.valid.revoke_all();
    assert!(ask(&behind).await.is_clean());
    assert_eq!(world.attempts(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_takes_no_token_sees_three_sendings_and_is_then_left_alone() {
    let world = World::new();
    assert!(ask(&world.replica()).await.is_clean());
    let site = world.site(PASSWORD).shared_token_cache(&world.sealed(KEY));
    let layer = ArcgisAuthLayer::builder()
        .add_site(site)
        .token_client(world.token_client());
    let fake = Upstream::new(|_| answer(support::REQUIRED));
    let late = layer.build().unwrap().layer(fake.clone());
    for requests in 0..10 {
        let told = ask(&late).await;
        assert!(told.outcome.returned_challenge().is_some());
        assert_eq!(fake.count(), 3 + requests);
    }
    assert_eq!(world.attempts(), 2);
}

#[tokio::test]
async fn a_body_is_sent_a_third_time_whole() {
    let server = StandIn::start().await.unwrap();
    let cache = MemoryCache::default();
    let replica = || {
        let sealed = SealedTokenCache::new(cache.clone(), keys(KEY));
        let site = Site::new(server.root())
            .credential(Credential::user(USERNAME, STAND_IN_PASSWORD))
            .shared_token_cache(&sealed);
        let client = Client::builder(TokioExecutor::new()).build_http();
        ArcgisAuthLayer::try_new(site).unwrap().layer(client)
    };
    let apply_edits = |replica: ArcgisAuth<Client<HttpConnector, _>>| {
        let url = server.url("rest/services/Water/FeatureServer/0/applyEdits");
        let form = format!("f=json&adds={}", "x".repeat(100_000));
        let request = Request::post(url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::<Bytes>::from(form))
            .unwrap();
        async move {
            let answer = replica.oneshot(request).await.unwrap();
            let outcome = answer.body().outcome().clone();
            answer.into_body().collect().await.unwrap();
            assert!(outcome.returned_challenge().is_none(), "{outcome}");
        }
    };
    apply_edits(replica()).await;
    server.revoke_all_tokens();
    server.clear_received();
    apply_edits(replica()).await;
    assert_eq!(server.counters().edits, 2);
    let sendings = server.received();
    let sendings = sendings
        .iter()
        .filter(|seen| seen.path_and_query.contains("applyEdits"));
    assert_eq!(sendings.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_fleet_makes_four_logins_without_an_answer() {
    // The token service takes in every attempt, counts it, and answers too late.
    let world = World::taking(Duration::from_secs(45));
    let replicas: Vec<_> = (0..10).map(|_| world.replica()).collect();
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(14 * 60) {
        ask_all(&replicas).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    assert_eq!(world.attempts(), 4);
}

async fn sign_out(layer: ArcgisAuthLayer) {
    // The cache may be too slow to be told in time.
    let _ = layer.handle().sign_out().await;
}

/// Makes `logins` logins, each by a replica of its own, in which the cache becomes slow as soon as the token service has
/// answered, and does `with` each replica as it writes down what came of it.
async fn slow_once_answered(
    world: &World,
    logins: usize,
    mut with: impl AsyncFnMut(ArcgisAuthLayer),
) -> Vec<bool> {
    let mut renewed = Vec::new();
    for _ in 0..logins {
        let (cache, client) = (world.cache.clone(), world.token_client());
        let client = TokenClient::new(tower::service_fn(move |request: Request<Full<Bytes>>| {
            let (cache, client) = (cache.clone(), client.clone());
            async move {
                let answer = client.send(request).await?;
                cache.set_fault(Some(Fault::Slow(Duration::from_millis(900))));
                Ok::<_, TokenError>(answer.map(Full::new))
            }
        }));
        let site = world.site(PASSWORD).shared_token_cache(&world.sealed(KEY));
        let layer = ArcgisAuthLayer::builder()
            .add_site(site)
            .token_client(client);
        let layer = layer.build().unwrap();
        let handle = layer.handle().sites().remove(0);
        let renewal = tokio::spawn(async move { handle.renew().await.is_ok() });
        tokio::time::sleep(world.takes + Duration::from_millis(100)).await;
        with(layer).await;
        renewed.push(renewal.await.unwrap());
        world.cache.set_fault(None);
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    renewed
}

#[tokio::test(start_paused = true)]
async fn a_login_that_ends_with_a_sign_out_once_it_is_answered_does_not_count() {
    let world = World::new();
    slow_once_answered(&world, 6, sign_out).await;
    assert_eq!(world.attempts(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_is_answered_just_in_time_was_answered_whatever_the_cache_takes() {
    let world = World::taking(Duration::from_millis(29_500));
    let renewed = slow_once_answered(&world, 6, async |_| {}).await;
    assert_eq!((renewed, world.attempts()), (vec![false; 6], 6));
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_gives_up_on_the_token_service_counts_for_all_replicas() {
    let world = World::new();
    let attempts = world.attempts.clone();
    let client = TokenClient::new(tower::service_fn(move |_: Request<Full<Bytes>>| {
        let attempts = attempts.clone();
        async move {
            attempts.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_secs(15)).await;
            let mut page = answer("<html>no answer</html>");
            *page.status_mut() = http::StatusCode::GATEWAY_TIMEOUT;
            Ok::<_, Infallible>(page)
        }
    }));
    for _ in 0..10 {
        let site = world.site(PASSWORD).shared_token_cache(&world.sealed(KEY));
        let layer = ArcgisAuthLayer::builder().add_site(site);
        let layer = layer.token_client(client.clone()).build().unwrap();
        assert!(layer.handle().sites()[0].renew().await.is_err());
    }
    assert_eq!(world.attempts(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_is_written_as_a_user_signs_out_is_remembered() {
    let world = World::new();
    *world.password.lock().unwrap() = "changed".to_owned();
    slow_once_answered(&world, 6, sign_out).await;
    assert_eq!(world.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_just_in_time_is_remembered_whatever_the_cache_takes() {
    let world = World::taking(Duration::from_millis(29_500));
    *world.password.lock().unwrap() = "changed".to_owned();
    slow_once_answered(&world, 6, async |_| {}).await;
    assert_eq!(world.attempts(), 1);
    // One process, ordinary requests, a source of its own choice.
    let cache = world.cache.clone();
    let (answering, attempts) = (world.token_client(), world.attempts());
    let client = TokenClient::new(tower::service_fn(move |request: Request<Full<Bytes>>| {
        let (cache, answering) = (cache.clone(), answering.clone());
        async move {
            let answer = answering.send(request).await?;
            cache.set_fault(Some(Fault::Slow(Duration::from_millis(900))));
            Ok::<_, TokenError>(answer.map(Full::new))
        }
    }));
    let own = format!("{ROOT}/tokens/generateToken");
    let own = GenerateToken::try_new(&own, Credential::user("another.user", "wrong"), client);
    let own = world.sealed(KEY).wrap(own.unwrap().allow_insecure_http());
    let replica = world.over(Site::new(ROOT).token_source(own));
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(14 * 60) {
        assert!(!ask(&replica).await.is_clean());
        world.cache.set_fault(None);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(world.attempts(), attempts + 1);
}

#[tokio::test(start_paused = true)]
async fn a_portals_own_token_service_is_one_however_it_is_found() {
    let world = World::new();
    let at_portal = |site: Site| site.shared_token_cache(&world.sealed(KEY));
    let named = world
        .site("wrong")
        .token_url("http://portal.test/portal/sharing/rest/generateToken");
    let found = Site::new(ROOT)
        .credential(Credential::user(NAME, "wrong"))
        .portal("http://portal.test/portal")
        .allow_insecure_http();
    for site in [at_portal(named), at_portal(found)] {
        assert!(!ask(&world.over(site)).await.is_clean());
    }
    assert_eq!(world.attempts(), 1);
}

/// A login is refused, slowly. Meanwhile the token that was in the cache when it began goes out of it.
async fn refused_while(
    world: &World,
    goes: impl AsyncFnOnce(&ArcgisAuthLayer, &ArcgisAuth<Upstream>),
) {
    let layer = || {
        ArcgisAuthLayer::builder()
            .add_site(world.site(PASSWORD).shared_token_cache(&world.sealed(KEY)))
            .token_client(world.token_client())
            .build()
            .unwrap()
    };
    let (renewing, other) = (layer(), layer());
    let (client, other_client) = (
        renewing.layer(Upstream::secured(&world.valid)),
        other.layer(Upstream::secured(&world.valid)),
    );
    assert_clean(&ask_all(&[client, other_client.clone()]).await);
    *world.password.lock().unwrap() = "changed".to_owned();
    let handle = renewing.handle();
    let renewal = tokio::spawn(async move { handle.site(ROOT).unwrap().renew().await.is_ok() });
    tokio::time::sleep(Duration::from_secs(1)).await;
    goes(&other, &other_client).await;
    assert!(!renewal.await.unwrap());
    let late = world.replica();
    ask(&late).await;
    assert_eq!(late.get_ref().tokens(), [None]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_login_brings_no_token_back_that_died_meanwhile() {
    let world = World::taking(Duration::from_secs(5));
    let goes = async |layer: &ArcgisAuthLayer, client: &ArcgisAuth<Upstream>| {
        world.valid.revoke_all();
        let client = client.clone();
        let asked = tokio::spawn(async move { ask(&client).await });
        tokio::time::sleep(Duration::from_secs(1)).await;
        // Its process ends before it can log in.
        asked.abort();
        layer.handle().sign_out().await.unwrap();
    };
    refused_while(&world, goes).await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_login_brings_no_token_back_that_was_signed_out() {
    let world = World::taking(Duration::from_secs(5));
    let goes = async |layer: &ArcgisAuthLayer, _: &ArcgisAuth<Upstream>| {
        layer.handle().sign_out().await.unwrap();
    };
    refused_while(&world, goes).await;
}

#[tokio::test(start_paused = true)]
async fn a_token_near_its_end_is_renewed_once_for_all() {
    let world = World::new();
    let logins = Arc::new(AtomicUsize::new(0));
    let replicas: Vec<_> = (0..5)
        .map(|_| {
            let (logins, valid) = (Arc::clone(&logins), world.valid.clone());
            let source = token_source_fn(move |_| {
                let token = format!("own-{}", logins.fetch_add(1, Ordering::SeqCst));
                valid.add(&token);
                async move { Ok(IssuedToken::try_new(token)?.valid_for(Duration::from_secs(3600))) }
            });
            let source = world.sealed(KEY).wrap(source);
            world.over(Site::new(ROOT).token_source(source))
        })
        .collect();
    assert_clean(&ask_all(&replicas).await);
    tokio::time::sleep(Duration::from_secs(3550)).await;
    assert_clean(&ask_all(&replicas).await);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_clean(&ask_all(&replicas).await);
    assert_eq!(logins.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_lost_the_lead_keeps_its_token_and_writes_nothing() {
    let world = World::taking(Duration::from_secs(5));
    let (held_up, next) = (world.replica(), world.replica());
    let late_writer = tokio::spawn(async move { ask(&held_up).await.is_clean() });
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.cache.forget_all();
    // Takes the lead while the first is still at it, and is done after it.
    assert!(ask(&next).await.is_clean());
    assert!(late_writer.await.unwrap());
    assert_eq!(world.attempts(), 2);
    let late = world.replica();
    assert!(ask(&late).await.is_clean());
    assert_eq!(
        late.get_ref().tokens().last().unwrap().as_deref(),
        Some("secret-token-2")
    );
}

// --- what is kept

#[tokio::test(start_paused = true)]
async fn records_and_names_show_neither_token_nor_user_nor_password() {
    let world = World::new();
    assert!(ask(&world.replica()).await.is_clean());
    ask(&world.replica_with(PASSWORD, OTHER_KEY)).await;
    let records = world.cache.records();
    assert!(records.len() >= 2);
    for (name, bytes) in records {
        assert!(name.len() == 64 && name.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let text = format!("{name} {}", String::from_utf8_lossy(&bytes));
        for secret in [NAME, "ada", "hunter2", "secret-token", "gis.test", "token"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_was_tampered_with_is_as_good_as_none() {
    let world = World::new();
    assert!(ask(&world.replica()).await.is_clean());
    world.cache.change(|_, record| {
        let mut bytes = record.to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        Some(bytes.into())
    });
    assert!(ask(&world.replica()).await.is_clean());
    assert_eq!(world.attempts(), 2);
    assert!(ask(&world.replica()).await.is_clean());
    assert_eq!(world.attempts(), 2, "what cannot be read is written over");
}

#[tokio::test(start_paused = true)]
async fn a_record_moved_to_another_account_is_as_good_as_none() {
    let world = World::new();
    let grace = || {
        let site = world.site(PASSWORD).shared_token_cache(&world.sealed(KEY));
        world.over(site.credential(Credential::user("grace", PASSWORD)))
    };
    assert!(ask(&world.replica()).await.is_clean());
    let adas: Vec<_> = world.cache.records();
    assert!(ask(&grace()).await.is_clean());
    let (_, adas) = &adas[0];
    world.cache.change(|_, _| Some(adas.clone()));
    assert!(ask(&grace()).await.is_clean());
    assert_eq!(world.attempts(), 3);
}

#[tokio::test(start_paused = true)]
async fn keys_change_without_another_login() {
    let world = World::new();
    assert!(ask(&world.replica()).await.is_clean());
    let both = format!("{OTHER_KEY}\n{KEY}");
    let changed = world.replica_with(PASSWORD, &both);
    assert!(ask(&changed).await.is_clean());
    assert_eq!(world.attempts(), 1);
    // The token dies, also under the old key's name.
    world.valid.revoke_all();
    assert!(ask(&changed).await.is_clean());
    assert_eq!(world.attempts(), 2);
    assert!(
        ask(&world.replica_with(PASSWORD, OTHER_KEY))
            .await
            .is_clean()
    );
    assert_eq!(world.attempts(), 2);
    let with_the_old_key = world.replica();
    assert!(ask(&with_the_old_key).await.is_clean());
    let sent = with_the_old_key.get_ref().tokens();
    assert!(
        !sent.contains(&Some("secret-token-1".to_owned())),
        "{sent:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_refusal_under_an_older_key_counts() {
    let world = World::new();
    ask(&world.replica_with("wrong", KEY)).await;
    ask(&world.replica_with("wrong", &format!("{OTHER_KEY},{KEY}"))).await;
    assert_eq!(world.attempts(), 1);
}

// --- a cache that fails

#[tokio::test(start_paused = true)]
async fn a_cache_that_fails_costs_no_answer_and_no_time() {
    let world = World::new();
    world.cache.set_fault(Some(Fault::Fails));
    let started = Instant::now();
    let replicas = world.replicas(3);
    assert_clean(&ask_all(&replicas).await);
    assert_eq!(world.attempts(), 3);
    assert_eq!(started.elapsed(), world.takes);
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_hangs_costs_one_second() {
    let world = World::new();
    world.cache.set_fault(Some(Fault::Hangs));
    let started = Instant::now();
    assert!(ask(&world.replica()).await.is_clean());
    let took = started.elapsed();
    assert!(
        took <= world.takes + Duration::from_millis(1010),
        "{took:?}"
    );
    assert_eq!(world.cache.questions(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cache_may_be_given_all_the_time_there_is() {
    let world = World::new();
    let cache = world.sealed(KEY).time_limit(Duration::MAX);
    let replica = || world.over(world.site(PASSWORD).shared_token_cache(&cache));
    assert_clean(&ask_all(&[replica(), replica()]).await);
    assert_eq!(world.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_is_slow_is_still_a_cache() {
    let world = World::new();
    // A fifth of the time limit.
    let slow = Duration::from_millis(200);
    world.cache.set_fault(Some(Fault::Slow(slow)));
    assert_clean(&ask_all(&world.replicas(5)).await);
    assert_eq!(world.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_is_slow_within_its_limit_costs_two_seconds_for_all_levels_of_a_login() {
    let two = format!("{KEY},{OTHER_KEY}");
    for keys in [KEY, &two] {
        for at_portal in [false, true] {
            for slow in [100, 199, 200, 201, 300, 600, 900, 999] {
                let world = World::new();
                let slow = Duration::from_millis(slow);
                world.cache.set_fault(Some(Fault::Slow(slow)));
                let site = if at_portal {
                    Site::new(ROOT)
                        .credential(Credential::user(NAME, PASSWORD))
                        .portal("http://portal.test/portal")
                        .allow_insecure_http()
                } else {
                    world.site(PASSWORD)
                };
                let replica = world.over(site.shared_token_cache(&world.sealed(keys)));
                let started = Instant::now();
                assert!(ask(&replica).await.is_clean());
                let waited = started.elapsed() - world.takes * world.attempts() as u32;
                assert!(
                    waited <= Duration::from_millis(2010),
                    "{waited:?} for a cache that takes {slow:?}, at a portal: {at_portal}"
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_answers_nonsense_is_as_good_as_empty() {
    let world = World::new();
    world.cache.set_fault(Some(Fault::Nonsense));
    assert_clean(&ask_all(&world.replicas(3)).await);
    assert_eq!(world.attempts(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_full_cache_costs_the_sharing_only() {
    let world = World::new();
    world.cache.set_fault(Some(Fault::Full));
    assert_clean(&ask_all(&world.replicas(3)).await);
    assert_eq!(world.attempts(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_comes_back_is_used_again() {
    let world = World::new();
    let replicas = world.replicas(4);
    assert_clean(&ask_all(&replicas).await);
    world.cache.set_fault(Some(Fault::Hangs));
    world.valid.revoke_all();
    assert_clean(&ask_all(&replicas).await);
    assert_eq!(world.attempts(), 1 + 4);
    world.cache.set_fault(None);
    tokio::time::advance(Duration::from_secs(4)).await;
    world.valid.revoke_all();
    // The cache has the token from before its outage still; those who saw it die know better.
    assert_clean(&ask_all(&replicas).await);
    assert_eq!(world.attempts(), 1 + 4 + 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_got_in_an_outage_stays_in_its_process_and_the_next_login_is_shared() {
    let world = World::new();
    let replica = world.replica();
    world.cache.set_fault(Some(Fault::Fails));
    assert!(ask(&replica).await.is_clean());
    world.cache.set_fault(None);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let late = world.replica();
    assert!(ask(&late).await.is_clean());
    assert_eq!(world.attempts(), 2);
    world.valid.revoke_all();
    assert_clean(&ask_all(&[replica, late]).await);
    assert_eq!(world.attempts(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_token_replaced_in_an_outage_costs_the_next_replica_one_more_sending() {
    for dead in [INVALID, support::REQUIRED] {
        let world = World::new();
        let replica = replica_before(&world, dead);
        assert!(ask(&replica).await.is_clean());
        world.cache.set_fault(Some(Fault::Fails));
        world.valid.revoke_all();
        assert!(ask(&replica).await.is_clean());
        world.cache.set_fault(None);
        tokio::time::sleep(Duration::from_secs(10)).await;
        for (late, sendings) in [(replica_before(&world, dead), 3), (world.replica(), 2)] {
            assert!(ask(&late).await.is_clean());
            assert_eq!(late.get_ref().tokens().len(), sendings);
        }
        assert_eq!(world.attempts(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_forgets_everything_costs_a_login_at_most() {
    let world = World::new();
    let replicas = world.replicas(4);
    assert_clean(&ask_all(&replicas).await);
    world.cache.forget_all();
    assert_clean(&ask_all(&replicas).await);
    assert_eq!(world.attempts(), 1);
    assert!(ask(&world.replica()).await.is_clean());
    assert_eq!(world.attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_goes_in_the_middle_of_a_login_costs_no_second_one() {
    let world = World::taking(Duration::from_secs(8));
    let replica = world.replica();
    let asked = tokio::spawn(async move { ask(&replica).await.is_clean() });
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.cache.set_fault(Some(Fault::Hangs));
    assert!(asked.await.unwrap());
    assert_eq!(world.attempts(), 1);
}

// --- a server that says no for ever

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_no_token_is_not_hammered_through_the_cache() {
    let world = World::new();
    let replicas: Vec<_> = (0..3)
        .map(|_| {
            let site = world.site(PASSWORD).shared_token_cache(&world.sealed(KEY));
            ArcgisAuthLayer::builder()
                .add_site(site)
                .token_client(world.token_client())
                .build()
                .unwrap()
                .layer(Upstream::new(|_| answer(INVALID)))
        })
        .collect();
    let mut attempts = Vec::new();
    for _minute in 0..20 {
        for _ in 0..60 {
            for told in ask_all(&replicas).await {
                assert!(!told.is_clean());
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        attempts.push(world.attempts());
    }
    // The service is left alone for 1 s, 2 s, 4 s, …, up to five minutes, by each replica.
    assert!(attempts[0] <= 18, "{attempts:?}");
    assert!(attempts[19] - attempts[9] <= 6, "{attempts:?}");
}

// --- federation, over loopback

async fn members(portal: &Portal) -> Vec<StandIn> {
    let servers = (0..3).map(|_| StandIn::builder().federated_with(portal).start());
    let servers = join_all(servers).await;
    servers.into_iter().map(Result::unwrap).collect()
}

/// A replica that signs requests to all of a portal's servers.
fn federated(
    servers: &[StandIn],
    portal: &Portal,
    cache: &MemoryCache,
    password: &str,
) -> ArcgisAuth<Client<HttpConnector, ReplayBody<Full<Bytes>>>> {
    let sealed = SealedTokenCache::new(cache.clone(), keys(KEY));
    let mut builder = ArcgisAuthLayer::builder();
    for server in servers {
        let site = Site::new(server.root())
            .credential(Credential::user(USERNAME, password))
            .trust_token_service(portal.origin());
        builder = builder.add_site(site.shared_token_cache(&sealed));
    }
    let layer = builder.build().unwrap();
    layer.layer(Client::builder(TokioExecutor::new()).build_http())
}

/// Each replica asks every server, each beginning with another.
async fn ask_everywhere(servers: &[StandIn], portal: &Portal, password: &str) -> Vec<AuthOutcome> {
    let cache = MemoryCache::default();
    let asked = (0..10).map(|number| {
        let replica = federated(servers, portal, &cache, password);
        let urls = (0..3).map(move |at| {
            servers[(number + at) % 3].url("rest/services/Parcels/MapServer?f=json")
        });
        async move {
            let mut outcomes = Vec::new();
            for url in urls {
                let response = replica.clone().oneshot(get(&url)).await.unwrap();
                outcomes.push(response.body().outcome().clone());
            }
            outcomes
        }
    });
    join_all(asked).await.concat()
}

#[tokio::test]
async fn replicas_log_in_once_at_a_portal_for_all_its_servers() {
    let portal = Portal::start().await.unwrap();
    let servers = members(&portal).await;
    for outcome in ask_everywhere(&servers, &portal, STAND_IN_PASSWORD).await {
        assert!(outcome.returned_challenge().is_none(), "{outcome}");
    }
    let counters = portal.counters();
    assert_eq!((counters.logins, counters.exchanges), (1, 3));
}

#[tokio::test]
async fn a_sign_out_with_a_token_from_the_cache_ends_the_portals_login_too() {
    let portal = Portal::start().await.unwrap();
    let server = StandIn::builder().federated_with(&portal).start().await;
    let server = server.unwrap();
    let cache = MemoryCache::default();
    let layer = || {
        let site = Site::new(server.root())
            .credential(Credential::user(USERNAME, STAND_IN_PASSWORD))
            .trust_token_service(portal.origin())
            .shared_token_cache(&SealedTokenCache::new(cache.clone(), keys(KEY)));
        ArcgisAuthLayer::try_new(site).unwrap()
    };
    let ask = async |layer: &ArcgisAuthLayer| {
        let client = layer.layer(Client::builder(TokioExecutor::new()).build_http());
        let request = get(&server.url("rest/services/Parcels/MapServer?f=json"));
        let response: Response<_> = client.oneshot(request).await.unwrap();
        response.body().outcome().clone()
    };
    assert!(ask(&layer()).await.returned_challenge().is_none());
    let other = layer();
    assert!(ask(&other).await.returned_challenge().is_none());
    assert_eq!(portal.counters().logins, 1);
    other.handle().sign_out().await.unwrap();
    assert!(ask(&other).await.returned_challenge().is_none());
    assert_eq!(portal.counters().logins, 2);
}

#[tokio::test]
async fn a_wrong_password_at_a_portal_is_tried_once_by_all_replicas_for_all_its_servers() {
    let portal = Portal::start().await.unwrap();
    let servers = members(&portal).await;
    for outcome in ask_everywhere(&servers, &portal, "wrong").await {
        assert_login_refused(outcome.skip_reason());
    }
    assert_eq!(portal.counters().login_attempts, 1);
}

#[tokio::test]
async fn a_portals_token_that_died_in_the_cache_is_replaced_by_the_next_replica() {
    let portal = Portal::start().await.unwrap();
    let servers = members(&portal).await;
    let cache = MemoryCache::default();
    let ask = |server: &StandIn| {
        let replica = federated(&servers, &portal, &cache, STAND_IN_PASSWORD);
        replica.oneshot(get(&server.url("rest/services/Parcels/MapServer?f=json")))
    };
    ask(&servers[0]).await.unwrap();
    portal.revoke_all_tokens();

    let response = ask(&servers[1]).await.unwrap();

    let outcome = response.body().outcome();
    assert!(outcome.returned_challenge().is_none(), "{outcome}");
    assert_eq!(portal.counters().logins, 2);
}
