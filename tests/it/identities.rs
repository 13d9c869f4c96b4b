//! A token for each identity: none gets another's, and none suffers from another's trouble.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::support::{
    Answered, CLEAN, REQUIRED, ROADS, ROOT, TokenService, Upstream, answer, assert_login_refused,
    get,
    logins::{caller, get_as},
    send, token_of,
};
use arcgis_stand_in::{StandIn, USERNAME};
use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderValue, Request, header::CACHE_CONTROL};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{Layer, Service, ServiceBuilder, ServiceExt};
use tower_arcgis_auth::{
    ArcgisAuth, ArcgisAuthHandle, ArcgisAuthLayer, Cancelled, Challenge, Credential, Identity,
    IssuedToken, RefreshToken, Site, SkipReason, TokenClient, TokenError, TokenRequest,
    TokenSource, token_source_fn,
};

const HOUR: Duration = Duration::from_secs(60 * 60);

/// Mints `NAME-1`, `NAME-2`, …; refuses `mallory`.
#[derive(Clone, Default)]
struct Mint {
    takes: Duration,
    logins: Arc<Mutex<HashMap<String, usize>>>,
}

impl Mint {
    fn logins_of(&self, name: &str) -> usize {
        self.logins.lock().unwrap().get(name).copied().unwrap_or(0)
    }

    fn logins(&self) -> usize {
        self.logins.lock().unwrap().values().sum()
    }

    /// Takes every token of the mint.
    fn server(&self) -> Upstream {
        Upstream::new(|request| match token_of(request) {
            Some(token) if token.contains('-') => answer(CLEAN),
            _ => answer(REQUIRED),
        })
    }
}

impl TokenSource for Mint {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        let name = request
            .identity()
            .map_or("shared", Identity::as_str)
            .to_owned();
        let login = {
            let mut logins = self.logins.lock().unwrap();
            let login = logins.entry(name.clone()).or_default();
            *login += 1;
            *login
        };
        if !self.takes.is_zero() {
            tokio::time::sleep(self.takes).await;
        }
        if name == "mallory" {
            return Err(TokenError::refused("wrong password"));
        }
        IssuedToken::try_new(format!("{name}-{login}"))
    }
}

fn site(mint: &Mint) -> Site {
    Site::new(ROOT)
        .token_source(mint.clone())
        .identity_fn(caller)
}

fn over(fake: &Upstream, site: Site) -> ArcgisAuth<Upstream> {
    ArcgisAuthLayer::try_new(site).unwrap().layer(fake.clone())
}

#[tokio::test(start_paused = true)]
async fn each_identity_gets_a_token_of_its_own_and_keeps_it() {
    let mint = Mint::default();
    let fake = mint.server();
    let service = over(&fake, site(&mint));

    for name in ["alice", "bob", "alice", "bob"] {
        assert!(send(&service, get_as(name)).await.is_clean());
    }

    let signed: Vec<String> = fake.tokens().into_iter().flatten().collect();
    assert_eq!(signed, ["alice-1", "bob-1", "alice-1", "bob-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_identity_is_not_signed() {
    let mint = Mint::default();
    let fake = mint.server();
    let service = over(&fake, site(&mint));
    send(&service, get_as("alice")).await;

    let answered = send(&service, get(ROADS)).await;

    assert_eq!(answered.body, REQUIRED);
    assert!(matches!(
        answered.outcome.skip_reason(),
        Some(SkipReason::NoIdentity)
    ));
    assert_eq!(fake.tokens().last(), Some(&None));
    assert_eq!(mint.logins(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_identity_is_signed_with_a_token_for_all_such_where_that_is_set() {
    let mint = Mint::default();
    let fake = mint.server();
    let service = over(&fake, site(&mint).sign_without_identity());

    assert!(send(&service, get(ROADS)).await.is_clean());

    assert_eq!(fake.tokens().last(), Some(&Some("shared-1".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn one_identitys_wrong_password_touches_no_other() {
    let mint = Mint::default();
    let service = over(&mint.server(), site(&mint));

    for _ in 0..20 {
        let answered = send(&service, get_as("mallory")).await;
        assert_eq!(
            answered.outcome.returned_challenge(),
            Some(Challenge::TokenRequired)
        );
        assert_login_refused(answered.outcome.skip_reason());
        assert!(send(&service, get_as("alice")).await.is_clean());
    }

    assert_eq!(mint.logins_of("mallory"), 1);
    assert_eq!(mint.logins_of("alice"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_second_sending_is_for_the_identity_of_the_first() {
    let mint = Mint {
        takes: Duration::from_secs(1),
        ..Mint::default()
    };
    let now = Arc::new(Mutex::new("alice"));
    let asked = now.clone();
    let fake = mint.server();
    let site = Site::new(ROOT)
        .token_source(mint.clone())
        .identity_fn(move |_| Some(Identity::from(*asked.lock().unwrap())));
    let service = over(&fake, site);

    let first = send(&service, get(ROADS));
    let meanwhile = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        *now.lock().unwrap() = "bob";
    };
    let (answered, ()) = tokio::join!(first, meanwhile);

    assert!(answered.outcome.resent());
    assert_eq!(fake.tokens(), [None, Some("alice-1".to_owned())]);
    assert_eq!(mint.logins_of("bob"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_requests_for_each_of_ten_identities_cost_ten_logins() {
    let mint = Mint {
        takes: Duration::from_millis(200),
        ..Mint::default()
    };
    let service = over(&mint.server(), site(&mint));
    let names: Vec<String> = (0..10).map(|caller| format!("caller{caller}")).collect();

    let requests = (0..1000).map(|request| send(&service, get_as(&names[request % 10])));
    let answers = join_all(requests).await;

    assert!(answers.iter().all(Answered::is_clean));
    assert_eq!(mint.logins(), 10);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_identities_are_remembered() {
    let mint = Mint::default();
    let layer = ArcgisAuthLayer::try_new(site(&mint)).unwrap();
    let service = layer.layer(mint.server());
    for _ in 0..2 {
        for caller in 0..10_000 {
            let answered = send(&service, get_as(format!("caller{caller}"))).await;
            assert!(answered.is_clean());
        }
    }
    assert_eq!(mint.logins(), 10_000);
    assert_eq!(layer.handle().sites()[0].sessions().len(), 10_000);
}

#[tokio::test(start_paused = true)]
async fn identities_above_the_bound_are_evicted_the_longest_idle_first() {
    let mint = Mint::default();
    let layer = ArcgisAuthLayer::try_new(site(&mint).remember_identities(10, HOUR)).unwrap();
    let service = layer.layer(mint.server());
    let handle = layer.handle();
    for caller in 0..100 {
        send(&service, get_as("alice")).await;
        send(&service, get_as(format!("caller{caller}"))).await;
        // Looks through what is to be forgotten.
        assert!(handle.sites()[0].sessions().len() <= 10);
    }
    assert_eq!(mint.logins_of("alice"), 1);
    send(&service, get_as("caller0")).await;
    assert_eq!(mint.logins_of("caller0"), 2);
}

#[tokio::test(start_paused = true)]
async fn identities_whose_logins_are_refused_take_no_room_above_the_bound() {
    let refusing = token_source_fn(|_| async { Err(TokenError::refused("wrong password")) });
    let site = Site::new(ROOT).token_source(refusing).identity_fn(caller);
    let layer = ArcgisAuthLayer::try_new(site.remember_identities(10, HOUR)).unwrap();
    let service = layer.layer(Mint::default().server());
    for caller in 0..1000 {
        send(&service, get_as(format!("caller{caller}"))).await;
    }
    assert!(layer.handle().sites()[0].sessions().len() <= 10);
}

#[tokio::test(start_paused = true)]
async fn an_idle_identity_is_evicted() {
    let mint = Mint::default();
    let layer =
        ArcgisAuthLayer::try_new(site(&mint).remember_identities(10, Duration::from_nanos(1)))
            .unwrap();
    let service = layer.layer(mint.server());
    assert!(send(&service, get_as("alice")).await.is_clean());
    assert!(layer.handle().sites()[0].sessions().is_empty());
    assert!(send(&service, get_as("alice")).await.is_clean());
    assert_eq!(mint.logins_of("alice"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_outlives_its_session() {
    for (most, longest_idle) in [(1, HOUR), (10, Duration::from_nanos(1))] {
        let mint = Mint::default();
        let site = site(&mint).remember_identities(most, longest_idle);
        let layer = ArcgisAuthLayer::try_new(site).unwrap();
        let service = layer.layer(mint.server());
        send(&service, get_as("mallory")).await;
        for caller in 0..1000 {
            send(&service, get_as(format!("caller{caller}"))).await;
            if caller % 100 == 0 {
                layer.handle().sites()[0].sessions();
            }
        }
        let answered = send(&service, get_as("mallory")).await;
        assert_login_refused(answered.outcome.skip_reason());
        assert_eq!(mint.logins_of("mallory"), 1);

        tokio::time::advance(Duration::from_secs(15 * 60)).await;
        send(&service, get_as("mallory")).await;
        assert_eq!(mint.logins_of("mallory"), 2, "and not for ever");
    }
}

#[tokio::test(start_paused = true)]
async fn no_http_cache_may_keep_the_answer_to_one_identity() {
    let mint = Mint::default();
    let fake = Upstream::new(|request| {
        let body = match token_of(request) {
            Some(_) => CLEAN,
            None if request.uri.path().contains("Open") => CLEAN,
            None => REQUIRED,
        };
        let mut answer = answer(body);
        let cacheable = HeaderValue::from_static("public, max-age=300");
        answer.headers_mut().insert(CACHE_CONTROL, cacheable);
        answer
    });
    let cache_control = |answered: &Answered| answered.parts.headers[CACHE_CONTROL].clone();
    let each = over(&fake, site(&mint));

    let mut open = get_as("alice");
    *open.uri_mut() = ROADS.replace("Roads", "Open").parse().unwrap();
    let answered = send(&each, open).await;
    assert_eq!(
        cache_control(&answered),
        "public, max-age=300",
        "unsigned, and open to all"
    );
    let answered = send(&each, get_as("alice")).await;
    assert_eq!(cache_control(&answered), "private, max-age=300");
    let answered = send(&each, get_as("mallory")).await;
    assert_eq!(answered.body, REQUIRED);
    assert_eq!(
        cache_control(&answered),
        "private, max-age=300",
        "a challenge is mallory's alone"
    );

    let answered = send(
        &over(&fake, site(&mint).private_answers(false)),
        get_as("alice"),
    )
    .await;
    assert_eq!(cache_control(&answered), "public, max-age=300");
    let one = Site::new(ROOT).token_source(mint.clone());
    let answered = send(&over(&fake, one.clone()), get(ROADS)).await;
    assert_eq!(cache_control(&answered), "public, max-age=300");
    let answered = send(&over(&fake, one.private_answers(true)), get(ROADS)).await;
    assert_eq!(cache_control(&answered), "private, max-age=300");
}

#[test]
fn settings_for_identities_without_an_identity_fn_are_an_error() {
    let site = Site::new(ROOT).token_source(Mint::default());
    let error = ArcgisAuthLayer::try_new(site.sign_without_identity()).unwrap_err();
    assert!(error.to_string().contains("identity_fn"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn each_identity_may_have_a_source_of_its_own() {
    let mint = Mint::default();
    let made = Arc::new(Mutex::new(Vec::new()));
    let log = made.clone();
    let other = mint.clone();
    let site = Site::new(ROOT)
        .identity_fn(caller)
        .token_source_for(move |identity| {
            log.lock()
                .unwrap()
                .push(identity.map(|name| name.as_str().to_owned()));
            other.clone()
        });
    let service = over(&mint.server(), site);
    for name in ["alice", "bob", "alice"] {
        assert!(send(&service, get_as(name)).await.is_clean());
    }
    let made = made.lock().unwrap().clone();
    assert_eq!(made, [Some("alice".to_owned()), Some("bob".to_owned())]);
}

/// A portal that takes `NAME.N` once, and gives `NAME.N+1` in its place.
fn rotating_portal() -> TokenClient {
    let spent = Mutex::new(HashSet::new());
    let portal = TokenService::at_once(move |asked| {
        let given = asked.field("refresh_token").unwrap();
        if !spent.lock().unwrap().insert(given.clone()) {
            return answer(r#"{"error":{"code":498,"message":"invalid refresh_token"}}"#);
        }
        let (name, count) = given.rsplit_once('.').unwrap();
        let next = count.parse::<u32>().unwrap() + 1;
        answer(format!(
            r#"{{"access_token":"{name}-{count}","expires_in":1800,"refresh_token":"{name}.{next}"}}"#
        ))
    });
    portal.client()
}

#[tokio::test(start_paused = true)]
async fn a_rotated_refresh_token_says_whose_it_is_and_outlives_its_session() {
    let kept = Arc::new(Mutex::new(HashMap::new()));
    let keep = Arc::clone(&kept);
    let client = rotating_portal();
    let signed_in = RefreshToken::try_new("https://portal.test/portal", "aClientId", "", client)
        .unwrap()
        .on_rotation(move |rotated| {
            let name = rotated.identity().unwrap().as_str().to_owned();
            keep.lock()
                .unwrap()
                .insert(name, rotated.expose().to_owned());
            async {}
        });
    let found = Arc::clone(&kept);
    let site = Site::new(ROOT)
        .identity_fn(caller)
        .remember_identities(10, Duration::from_nanos(1))
        .token_source_for(move |caller| {
            let name = caller.unwrap().as_str();
            let newest = found.lock().unwrap().get(name).cloned();
            let newest: String = newest.unwrap_or_else(|| format!("{name}.0"));
            signed_in.clone().refresh_token(newest)
        });
    let layer = ArcgisAuthLayer::try_new(site).unwrap();
    let service = layer.layer(Mint::default().server());
    for login in 1..=3 {
        for name in ["alice", "bob"] {
            assert!(send(&service, get_as(name)).await.is_clean());
            // A task of its own keeps it.
            tokio::time::sleep(Duration::from_millis(1)).await;
            let newest = kept.lock().unwrap().get(name).cloned();
            assert_eq!(newest, Some(format!("{name}.{login}")));
        }
        assert!(layer.handle().sites()[0].sessions().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_without_an_identity_is_rotated_without_one() {
    let whose = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&whose);
    let client = rotating_portal();
    let source = RefreshToken::try_new("https://portal.test/portal", "aClientId", "app.0", client)
        .unwrap()
        .on_rotation(move |rotated| {
            heard.lock().unwrap().push(rotated.identity().cloned());
            async {}
        });
    let service = over(
        &Mint::default().server(),
        Site::new(ROOT).token_source(source),
    );
    assert!(send(&service, get(ROADS)).await.is_clean());
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(*whose.lock().unwrap(), [None]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_identities_at_once_have_a_thousand_tokens_and_one_wrong_password() {
    let name = |caller: usize| format!("caller{caller}");
    let server = StandIn::start().await.unwrap();
    let users: Vec<_> = (0..1000)
        .map(|caller| (name(caller), format!("password of {caller}")))
        .collect();
    server.set_users(users.iter().map(|(name, password)| (name, password)));
    let passwords: Arc<HashMap<String, String>> = Arc::new(users.into_iter().collect());
    let site = Site::new(server.root())
        .identity_fn(caller)
        .credential_fn(move |request| {
            let name = request.identity().unwrap().as_str().to_owned();
            // Asked again after a wrong answer, caller 500 has no other.
            let answer = match request.refused() {
                0 if name == "caller500" => Ok("a wrong guess".to_owned()),
                0 => Ok(passwords[&name].clone()),
                _ => Err(Cancelled),
            };
            async move { Ok(Credential::user(name, answer?)) }
        });
    let layer = ArcgisAuthLayer::try_new(site).unwrap();
    let service = ServiceBuilder::new()
        .layer(&layer)
        // Sockets are not the point.
        .concurrency_limit(64)
        .service(
            Client::builder(TokioExecutor::new())
                .build_http::<tower_arcgis_auth::ReplayBody<Full<Bytes>>>(),
        );
    let url = server.url("rest/services/Parcels/MapServer/echo?f=json");

    for _round in 0..2 {
        let answers = (0..1000).map(|caller| {
            let mut request = Request::get(&url).body(Full::<Bytes>::default()).unwrap();
            let value = HeaderValue::from_str(&name(caller)).unwrap();
            request.headers_mut().insert("x-caller", value);
            let answer = service.clone().oneshot(request);
            async move {
                let answer = answer.await.unwrap();
                let outcome = answer.body().outcome().clone();
                let body = answer.into_body().collect().await.unwrap().to_bytes();
                (outcome, String::from_utf8(body.to_vec()).unwrap())
            }
        });
        for (caller, (outcome, body)) in join_all(answers).await.into_iter().enumerate() {
            if caller == 500 {
                assert_eq!(outcome.returned_challenge(), Some(Challenge::TokenRequired));
            } else {
                let user = format!(r#""user":"{}""#, name(caller));
                assert!(body.contains(&user), "{caller} is another user: {body}");
            }
        }
    }

    assert_eq!(server.counters().logins, 999);
    assert_eq!(server.counters().login_attempts, 1000);
    assert_eq!(server.login_failures("caller500"), 1);
    assert_eq!(server.counters().info_requests, 1, "one asks for all");
    let accounts = layer.handle().sites()[0].sessions();
    assert_eq!(accounts.len(), 1000);
    let tokens = accounts.iter().filter(|account| account.token().is_some());
    assert_eq!(tokens.count(), 999);
}

#[tokio::test(start_paused = true)]
async fn an_identity_whose_time_ends_during_its_login_is_evicted_after_it() {
    let mint = Mint {
        takes: Duration::from_secs(1),
        ..Mint::default()
    };
    let site = site(&mint).remember_identities(10, Duration::from_nanos(1));
    let layer = ArcgisAuthLayer::try_new(site).unwrap();
    let service = layer.layer(mint.server());
    let handle = layer.handle().sites().remove(0);
    let looking = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        handle.sessions();
    };
    tokio::join!(send(&service, get_as("alice")), looking);
    assert!(handle.sessions().is_empty());
}

#[tokio::test(start_paused = true)]
async fn refusals_that_the_token_service_counts_outlive_their_session() {
    let server = StandIn::start().await.unwrap();
    let guesses = Arc::new(AtomicUsize::new(0));
    let counted = Arc::new(Mutex::new(Vec::new()));
    let log = counted.clone();
    let site = Site::new(server.root())
        .identity_fn(caller)
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
async fn a_request_under_way_is_served_though_its_session_is_evicted() {
    let mint = Mint {
        takes: Duration::from_secs(1),
        ..Mint::default()
    };
    let layer = ArcgisAuthLayer::try_new(site(&mint).remember_identities(1, HOUR)).unwrap();
    let service = layer.layer(mint.server());
    let handle = layer.handle().sites().remove(0);
    let evicting = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let bob = Identity::from("bob");
        handle.renew_identity(&bob).await.unwrap();
        assert_eq!(handle.sessions().len(), 1);
    };
    let (under_way, ()) = tokio::join!(send(&service, get_as("alice")), evicting);
    assert!(under_way.is_clean());
    // With its session its token is gone.
    assert!(send(&service, get_as("alice")).await.is_clean());
    assert_eq!(mint.logins_of("alice"), 2);
}

#[test]
fn the_function_that_makes_sources_may_use_the_handle() {
    let handle = Arc::new(OnceLock::<ArcgisAuthHandle>::new());
    let other = handle.clone();
    let site = Site::new(ROOT)
        .identity_fn(caller)
        .token_source_for(move |_| {
            let site = other.get().unwrap().sites().remove(0);
            site.session(Some(&Identity::from("admin")));
            Mint::default()
        });
    let layer = ArcgisAuthLayer::try_new(site).unwrap();
    handle.set(layer.handle()).unwrap();
    let mut service = layer.layer(Mint::default().server());
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        drop(service.call(get_as("alice")));
        sender.send(()).unwrap();
    });
    // A minute is for ever: it is locked, or it is not.
    receiver.recv_timeout(Duration::from_secs(60)).unwrap();
}

#[tokio::test(start_paused = true)]
async fn no_http_cache_may_keep_the_challenge_to_a_request_without_an_identity() {
    let fake = Upstream::new(|_| {
        let mut answer = answer(REQUIRED);
        let cacheable = HeaderValue::from_static("public, max-age=300");
        answer.headers_mut().insert(CACHE_CONTROL, cacheable);
        answer
    });
    let answered = send(&over(&fake, site(&Mint::default())), get(ROADS)).await;
    assert_eq!(
        answered.parts.headers[CACHE_CONTROL],
        "private, max-age=300"
    );
}

#[test]
fn to_remember_no_identity_is_an_error_and_to_remember_for_ever_is_none() {
    let mint = Mint::default();
    for (most, longest_idle) in [(0, HOUR), (10, Duration::ZERO)] {
        let site = site(&mint).remember_identities(most, longest_idle);
        let error = ArcgisAuthLayer::try_new(site).unwrap_err();
        assert!(
            error.to_string().contains("remembers no identities"),
            "{error}"
        );
    }
    let site = site(&mint).remember_identities(u64::MAX, Duration::MAX);
    ArcgisAuthLayer::try_new(site).unwrap();
}

#[tokio::test(start_paused = true)]
async fn logins_without_an_answer_outlive_their_session() {
    let attempts = Arc::new(AtomicUsize::new(0));
    let count = attempts.clone();
    let source = token_source_fn(move |request: TokenRequest| {
        let is_alice = request.identity().unwrap().as_str() == "alice";
        let count = count.clone();
        async move {
            if !is_alice {
                return IssuedToken::try_new("bobs-1");
            }
            let mut attempt = request.login_attempt(ROOT, "alice", "secret").await?;
            attempt.sent();
            count.fetch_add(1, Ordering::SeqCst);
            std::future::pending().await
        }
    });
    let site = Site::new(ROOT).token_source(source).identity_fn(caller);
    let layer = ArcgisAuthLayer::try_new(site.remember_identities(1, HOUR)).unwrap();
    let handle = layer.handle().sites().remove(0);
    let (alice, bob) = (Identity::from("alice"), Identity::from("bob"));
    for _ in 0..8 {
        assert!(handle.renew_identity(&alice).await.is_err());
        // Longer than the pause after a fault.
        tokio::time::advance(Duration::from_secs(10)).await;
        handle.renew_identity(&bob).await.unwrap();
        handle.sessions();
    }
    assert_eq!(attempts.load(Ordering::SeqCst), 4);
}
