//! A token for each caller: nobody gets another's, and nobody's trouble is another's.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::old_support::{
    CLEAN, Fake, REQUIRED, ROADS, ROOT, Told, answer, get,
    logins::{caller, get_as},
    send, token_of,
};
use arcgis_stand_in::{StandIn, USERNAME};
use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderValue, Request, header::CACHE_CONTROL};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_arcgis_auth::{
    ArcgisAuth, ArcgisAuthHandle, ArcgisAuthLayer, Cancelled, Challenge, Credential, Identity,
    IssuedToken, RefreshToken, ReplayBody, Site, SkipReason, TokenClient, TokenError, TokenRequest,
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

    /// Takes every token of the mint that names somebody.
    fn server(&self) -> Fake {
        Fake::new(|request| match token_of(request) {
            Some(token) if token.contains('-') => answer(CLEAN),
            _ => answer(REQUIRED),
        })
    }
}

impl TokenSource for Mint {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        let name = request
            .identity()
            .map_or("nobody", Identity::as_str)
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

fn over(fake: &Fake, site: Site) -> ArcgisAuth<Fake> {
    ArcgisAuthLayer::try_new(site).unwrap().layer(fake.clone())
}

#[tokio::test(start_paused = true)]
async fn each_caller_gets_a_token_of_its_own_and_keeps_it() {
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
async fn a_request_that_is_nobodys_is_not_signed() {
    let mint = Mint::default();
    let fake = mint.server();
    let service = over(&fake, site(&mint));
    send(&service, get_as("alice")).await;

    let told = send(&service, get(ROADS)).await;

    assert_eq!(told.body, REQUIRED);
    assert!(matches!(
        told.outcome.skip_reason(),
        Some(SkipReason::NoIdentity)
    ));
    assert_eq!(fake.tokens().last(), Some(&None));
    assert_eq!(mint.logins(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_nobodys_is_signed_with_nobodys_token_where_that_is_wanted() {
    let mint = Mint::default();
    let fake = mint.server();
    let service = over(&fake, site(&mint).sign_without_identity());

    assert!(send(&service, get(ROADS)).await.is_clean());

    assert_eq!(fake.tokens().last(), Some(&Some("nobody-1".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn a_second_sending_is_for_whom_the_first_was_whatever_is_said_meanwhile() {
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
    let (told, ()) = tokio::join!(first, meanwhile);

    assert!(told.outcome.resent());
    assert_eq!(fake.tokens(), [None, Some("alice-1".to_owned())]);
    assert_eq!(mint.logins_of("bob"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_requests_of_each_of_ten_callers_cost_ten_logins() {
    let mint = Mint {
        takes: Duration::from_millis(200),
        ..Mint::default()
    };
    let service = over(&mint.server(), site(&mint));
    let names: Vec<String> = (0..10).map(|caller| format!("caller{caller}")).collect();

    let requests = (0..1000).map(|request| send(&service, get_as(&names[request % 10])));
    let answers = join_all(requests).await;

    assert!(answers.iter().all(Told::is_clean));
    assert_eq!(mint.logins(), 10);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_callers_are_remembered() {
    let mint = Mint::default();
    let layer = ArcgisAuthLayer::try_new(site(&mint)).unwrap();
    let service = layer.layer(mint.server());
    for _ in 0..2 {
        for caller in 0..10_000 {
            let told = send(&service, get_as(format!("caller{caller}"))).await;
            assert!(told.is_clean());
        }
    }
    assert_eq!(mint.logins(), 10_000);
    assert_eq!(layer.handle().sites()[0].sessions().len(), 10_000);
}

#[tokio::test(start_paused = true)]
async fn callers_above_the_bound_are_forgotten_the_longest_idle_first() {
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
async fn an_idle_caller_is_forgotten() {
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
async fn a_caller_forgotten_during_its_login_logs_in_once() {
    let mint = Mint {
        takes: Duration::from_secs(1),
        ..Mint::default()
    };
    let layer = ArcgisAuthLayer::try_new(site(&mint).remember_identities(1, HOUR)).unwrap();
    let service = layer.layer(mint.server());
    let first = send(&service, get_as("alice"));
    let second = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let crowding_out = send(&service, get_as("bob"));
        let back_again = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            layer.handle().sites()[0].sessions();
            send(&service, get_as("alice")).await
        };
        tokio::join!(crowding_out, back_again).1
    };
    let (first, second) = tokio::join!(first, second);
    assert!(first.is_clean() && second.is_clean());
    assert_eq!(mint.logins_of("alice"), 1);
}

#[tokio::test(start_paused = true)]
async fn no_shared_cache_may_keep_what_a_caller_got() {
    let mint = Mint::default();
    let fake = Fake::new(|request| {
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
    let cache_control = |told: &Told| told.parts.headers[CACHE_CONTROL].clone();
    let each = over(&fake, site(&mint));

    let mut open = get_as("alice");
    *open.uri_mut() = ROADS.replace("Roads", "Open").parse().unwrap();
    let told = send(&each, open).await;
    assert_eq!(
        cache_control(&told),
        "public, max-age=300",
        "unsigned, and open to all"
    );
    let told = send(&each, get_as("alice")).await;
    assert_eq!(cache_control(&told), "private, max-age=300");
    let told = send(&each, get_as("mallory")).await;
    assert_eq!(told.body, REQUIRED);
    assert_eq!(
        cache_control(&told),
        "private, max-age=300",
        "a challenge is mallory's alone"
    );

    let told = send(
        &over(&fake, site(&mint).private_answers(false)),
        get_as("alice"),
    )
    .await;
    assert_eq!(cache_control(&told), "public, max-age=300");
    let one = Site::new(ROOT).token_source(mint.clone());
    let told = send(&over(&fake, one.clone()), get(ROADS)).await;
    assert_eq!(cache_control(&told), "public, max-age=300");
    let told = send(&over(&fake, one.private_answers(true)), get(ROADS)).await;
    assert_eq!(cache_control(&told), "private, max-age=300");
}

#[test]
fn settings_for_callers_nobody_tells_apart_are_an_error() {
    let site = Site::new(ROOT).token_source(Mint::default());
    let error = ArcgisAuthLayer::try_new(site.sign_without_identity()).unwrap_err();
    assert!(error.to_string().contains("identity_fn"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn each_caller_may_have_a_source_of_its_own() {
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
    let spent = Arc::new(Mutex::new(HashSet::new()));
    TokenClient::new(service_fn(move |request: Request<Full<Bytes>>| {
        let spent = Arc::clone(&spent);
        async move {
            let form = request.into_body().collect().await.unwrap().to_bytes();
            let given = form_urlencoded::parse(&form)
                .find(|(name, _)| name == "refresh_token")
                .map(|(_, token)| token.into_owned())
                .unwrap();
            if !spent.lock().unwrap().insert(given.clone()) {
                return Ok(answer(
                    r#"{"error":{"code":498,"message":"invalid refresh_token"}}"#,
                ));
            }
            let (name, count) = given.rsplit_once('.').unwrap();
            let next = count.parse::<u32>().unwrap() + 1;
            Ok::<_, Infallible>(answer(format!(
                r#"{{"access_token":"{name}-{count}","expires_in":1800,"refresh_token":"{name}.{next}"}}"#
            )))
        }
    }))
}

#[tokio::test(start_paused = true)]
async fn a_rotated_refresh_token_says_whose_it_is_and_outlives_the_memory_of_its_caller() {
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
async fn a_refresh_token_that_is_nobodys_is_rotated_for_nobody() {
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
async fn a_thousand_callers_at_once_have_a_thousand_tokens_and_one_wrong_password() {
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
                assert!(body.contains(&user), "{caller} is somebody else: {body}");
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
async fn a_caller_whose_time_ends_during_its_login_is_forgotten_after_it() {
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
async fn refused_callers_are_let_go_when_their_time_is_over() {
    // Mallory and a thousand of that ilk.
    let refusing = token_source_fn(|_| async { Err(TokenError::refused("wrong password")) });
    let site = Site::new(ROOT).token_source(refusing).identity_fn(caller);
    let layer = ArcgisAuthLayer::try_new(site.remember_identities(10, HOUR)).unwrap();
    let service = layer.layer(Mint::default().server());
    for caller in 0..1000 {
        send(&service, get_as(format!("caller{caller}"))).await;
    }
    let handle = layer.handle().sites().remove(0);
    assert_eq!(handle.sessions().len(), 1000);
    tokio::time::advance(Duration::from_secs(15 * 60)).await;
    assert!(handle.sessions().len() <= 10);
}

/// Notices two logins of one caller at once.
#[derive(Clone, Default)]
struct Alone {
    under_way: Arc<Mutex<HashSet<String>>>,
    twice: Arc<AtomicUsize>,
    logins: Arc<AtomicUsize>,
}

impl TokenSource for Alone {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        let name = request.identity().unwrap().as_str().to_owned();
        if !self.under_way.lock().unwrap().insert(name.clone()) {
            self.twice.fetch_add(1, Ordering::SeqCst);
        }
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        self.under_way.lock().unwrap().remove(&name);
        let login = self.logins.fetch_add(1, Ordering::SeqCst);
        IssuedToken::try_new(format!("{name}-{login}"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_is_forgotten_again_and_again_never_logs_in_twice_at_once() {
    let alone = Alone::default();
    let site = Site::new(ROOT)
        .token_source(alone.clone())
        .identity_fn(caller)
        .remember_identities(1, HOUR);
    let layer = ArcgisAuthLayer::try_new(site).unwrap();
    let tasks = (0..8).map(|task| {
        let service = layer.layer(Mint::default().server());
        let handle = layer.handle().sites().remove(0);
        tokio::spawn(async move {
            for request in 0..500 {
                let name = format!("caller{}", (request + task) % 3);
                assert!(send(&service, get_as(&name)).await.is_clean());
                handle.sessions();
            }
        })
    });
    for task in join_all(tasks).await {
        task.unwrap();
    }
    assert_eq!(alone.twice.load(Ordering::SeqCst), 0);
    assert!(
        alone.logins.load(Ordering::SeqCst) > 3,
        "they were forgotten"
    );
}

#[tokio::test(start_paused = true)]
async fn a_caller_crowded_out_during_its_request_keeps_its_token() {
    let mint = Mint::default();
    let fake = mint.server();
    let slow = service_fn(move |request: Request<ReplayBody<Full<Bytes>>>| {
        let answer = fake.clone().oneshot(request);
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            answer.await
        }
    });
    let layer = ArcgisAuthLayer::try_new(site(&mint).remember_identities(1, HOUR)).unwrap();
    let service = layer.layer(slow);
    assert!(send(&service, get_as("alice")).await.is_clean());
    let handle = layer.handle().sites().remove(0);
    let crowding_out = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let bob = Identity::from("bob");
        handle.renew_identity(&bob).await.unwrap();
        handle.sessions();
        send(&service, get_as("alice")).await
    };
    let (under_way, again) = tokio::join!(send(&service, get_as("alice")), crowding_out);
    assert!(under_way.is_clean() && again.is_clean());
    assert_eq!(mint.logins_of("alice"), 1);
}

#[test]
fn whoever_makes_sources_may_use_the_handle() {
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

/// A source that does something when it is dropped.
struct Dropped<F: Fn() + Send + Sync + 'static>(F);

impl<F: Fn() + Send + Sync + 'static> TokenSource for Dropped<F> {
    async fn token(&self, _: TokenRequest) -> Result<IssuedToken, TokenError> {
        IssuedToken::try_new("some-token")
    }
}

impl<F: Fn() + Send + Sync + 'static> Drop for Dropped<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// A thousand callers come where one is remembered, each with a source that does `on_drop` when it is forgotten. Returns
/// how many accounts there are then.
fn after_a_thousand_callers<F>(handle_to: &OnceLock<ArcgisAuthHandle>, on_drop: F) -> usize
where
    F: Fn() + Clone + Send + Sync + 'static,
{
    let site = Site::new(ROOT)
        .identity_fn(caller)
        .remember_identities(1, HOUR)
        .token_source_for(move |_| Dropped(on_drop.clone()));
    let layer = ArcgisAuthLayer::try_new(site).unwrap();
    handle_to.set(layer.handle()).unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let service = layer.layer(Mint::default().server());
            for number in 0..1000 {
                let service = service.clone();
                let sent = async move { send(&service, get_as(format!("c{number}"))).await };
                // One that panics is one that panics.
                let _ = tokio::spawn(sent).await;
            }
        });
        sender.send(layer.handle().sites()[0].sessions().len())
    });
    // A minute is for ever: it is locked, or it is not.
    receiver.recv_timeout(Duration::from_secs(60)).unwrap()
}

#[test]
fn a_source_may_use_the_handle_when_it_is_dropped() {
    let handle = Arc::new(OnceLock::<ArcgisAuthHandle>::new());
    let other = Arc::downgrade(&handle);
    let looks = move || {
        if let Some(handle) = other.upgrade() {
            handle.get().unwrap().sites()[0].sessions();
        }
    };
    assert!(after_a_thousand_callers(&handle, looks) <= 1);
}

#[test]
fn a_source_that_panics_when_it_is_dropped_does_not_end_forgetting() {
    let panics = Arc::new(AtomicUsize::new(0));
    let once = move || assert!(panics.fetch_add(1, Ordering::SeqCst) > 0, "once");
    assert!(after_a_thousand_callers(&OnceLock::new(), once) <= 1);
}

#[tokio::test(start_paused = true)]
async fn no_shared_cache_may_keep_what_nobody_was_told() {
    let fake = Fake::new(|_| {
        let mut answer = answer(REQUIRED);
        let cacheable = HeaderValue::from_static("public, max-age=300");
        answer.headers_mut().insert(CACHE_CONTROL, cacheable);
        answer
    });
    let told = send(&over(&fake, site(&Mint::default())), get(ROADS)).await;
    assert_eq!(told.parts.headers[CACHE_CONTROL], "private, max-age=300");
}

#[test]
fn to_remember_nobody_is_an_error_and_to_remember_for_ever_is_none() {
    let mint = Mint::default();
    for (most, longest_idle) in [(0, HOUR), (10, Duration::ZERO)] {
        let site = site(&mint).remember_identities(most, longest_idle);
        let error = ArcgisAuthLayer::try_new(site).unwrap_err();
        assert!(
            error.to_string().contains("remembers no callers"),
            "{error}"
        );
    }
    let site = site(&mint).remember_identities(u64::MAX, Duration::MAX);
    ArcgisAuthLayer::try_new(site).unwrap();
}

