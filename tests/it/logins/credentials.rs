//! Where credentials come from, what happens when they change, and asking a person for them.

use crate::support;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::support::{
    CLEAN, INVALID, Mounted, REQUIRED, TokenService, Upstream, answer, assert_login_refused, get,
    logins, send, token_of,
};
use futures_util::future::join_all;
use tower::Layer;
use tower_arcgis_auth::{
    ArcgisAuth, ArcgisAuthLayer, Cancelled, Credential, Fingerprint, IssuedToken, RefreshToken,
    Secret, Site, StaticToken, TokenError, TokenRequest, TokenSource, token_source_fn,
};

const ROOT: &str = "https://gis.test/arcgis";
const ROADS: &str = "https://gis.test/arcgis/rest/services/Roads/MapServer?f=json";
const RIGHT: &str = "right horse";

fn over(site: Site, tokens: &TokenService) -> ArcgisAuth<Upstream> {
    let layer = ArcgisAuthLayer::builder()
        .add_site(site.token_url("https://gis.test/arcgis/tokens/generateToken"))
        .token_client(tokens.client())
        .build()
        .unwrap();
    layer.layer(Upstream::taking_any_token())
}

#[tokio::test(start_paused = true)]
async fn a_mounted_secret_that_changes_lifts_a_remembered_refusal() {
    let tokens = TokenService::knowing(RIGHT);
    let file = Mounted::holding("changes", "wrong\n");
    let credential = Credential::user("reader", file.secret());
    let service = over(Site::new(ROOT).credential(credential), &tokens);
    for _ in 0..10 {
        let answered = send(&service, get(ROADS)).await;
        assert_login_refused(answered.outcome.skip_reason());
        tokio::time::advance(Duration::from_secs(10)).await;
    }
    assert_eq!(tokens.logins().len(), 1);

    file.hold(&format!("{RIGHT}\n"));
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(send(&service, get(ROADS)).await.is_clean());
    assert_eq!(tokens.logins().len(), 2);
}

#[tokio::test]
async fn a_secret_that_is_not_there_is_a_fault_that_names_its_place() {
    for (secret, named) in [
        (Secret::file("/nowhere/password"), "/nowhere/password"),
        (
            Secret::env("ARCGIS_AUTH_TEST_UNSET"),
            "ARCGIS_AUTH_TEST_UNSET",
        ),
    ] {
        let tokens = TokenService::knowing(RIGHT);
        let service = over(
            Site::new(ROOT).credential(Credential::user("reader", secret)),
            &tokens,
        );
        let answered = send(&service, get(ROADS)).await;
        let error = answered
            .outcome
            .skip_reason()
            .unwrap()
            .token_error()
            .unwrap()
            .clone();
        assert!(!error.is_refused());
        assert!(error.to_string().contains(named), "{error}");
        assert_eq!(tokens.logins().len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_person_is_asked_once_however_many_requests_wait() {
    let tokens = TokenService::knowing(RIGHT);
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let site = Site::new(ROOT).credential_fn(move |request| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            assert_eq!(request.site(), ROOT);
            tokio::time::sleep(Duration::from_secs(90)).await;
            Ok(Credential::user("reader", RIGHT))
        }
    });
    let service = over(site, &tokens);
    let answers = join_all((0..1000).map(|_| send(&service, get(ROADS)))).await;
    assert!(answers.iter().all(|answered| answered.is_clean()));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert_eq!(tokens.logins().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_answer_is_asked_for_again_with_the_number_of_refusals() {
    let tokens = TokenService::knowing(RIGHT);
    let answered = Arc::new(Mutex::new(Vec::new()));
    let heard = answered.clone();
    let site = Site::new(ROOT).credential_fn(move |request| {
        heard.lock().unwrap().push(request.refused());
        let password = if request.refused() < 2 {
            "wrong"
        } else {
            RIGHT
        };
        async move { Ok(Credential::user("reader", password)) }
    });
    assert!(send(&over(site, &tokens), get(ROADS)).await.is_clean());
    assert_eq!(*answered.lock().unwrap(), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn wrong_answers_stop_before_the_account_is_locked() {
    let tokens = TokenService::knowing(RIGHT);
    let site = Site::new(ROOT).credential_fn(|request| async move {
        let guess = format!("guess {}", request.refused());
        Ok(Credential::user("reader", guess))
    });
    let service = over(site, &tokens);
    for _ in 0..10 {
        send(&service, get(ROADS)).await;
    }
    assert_eq!(tokens.logins().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_answer_given_again_is_one_failure_and_a_right_one_is_taken_after_it() {
    let tokens = TokenService::knowing(RIGHT);
    let password = Arc::new(Mutex::new("wrong"));
    let given = password.clone();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let site = Site::new(ROOT).credential_fn(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        let password = *given.lock().unwrap();
        async move { Ok(Credential::user("reader", password)) }
    });
    let layer = ArcgisAuthLayer::builder()
        .add_site(site.token_url("https://gis.test/arcgis/tokens/generateToken"))
        .token_client(tokens.client())
        .build()
        .unwrap();
    let service = layer.layer(Upstream::taking_any_token());
    let answered = send(&service, get(ROADS)).await;
    let skip_reason = answered.outcome.skip_reason().unwrap().to_string();
    assert!(skip_reason.contains("Invalid username"), "{skip_reason}");
    assert!(!send(&service, get(ROADS)).await.is_clean());
    assert_eq!(
        (tokens.logins().len(), asked.load(Ordering::SeqCst)),
        (1, 4)
    );
    *password.lock().unwrap() = RIGHT;
    layer.handle().sign_out().await.unwrap();
    assert!(send(&service, get(ROADS)).await.is_clean());
    assert_eq!(tokens.logins().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_person_who_cancels_is_not_asked_again_at_once() {
    let tokens = TokenService::knowing(RIGHT);
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let site = Site::new(ROOT).credential_fn(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        async { Err(Cancelled) }
    });
    let service = over(site, &tokens);
    for _ in 0..5 {
        let answered = send(&service, get(ROADS)).await;
        assert_eq!(answered.body, REQUIRED);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert_eq!(tokens.logins().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_login_knows_how_long_it_has_after_a_person_took_long_to_answer() {
    let hangs = Arc::new(AtomicBool::new(true));
    let shared = hangs.clone();
    let client = logins::client(move |_, _| {
        let hangs = shared.clone();
        async move {
            if hangs.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            answer(logins::TOKEN)
        }
    });
    let site = Site::new(ROOT).credential_fn(|_| async {
        tokio::time::sleep(Duration::from_secs(200)).await;
        Ok(Credential::user("reader", RIGHT))
    });
    let layer = ArcgisAuthLayer::builder()
        .add_site(site.token_url("https://gis.test/arcgis/tokens/generateToken"))
        .token_client(client)
        .build()
        .unwrap();
    let service = layer.layer(Upstream::taking_any_token());
    let started = tokio::time::Instant::now();
    assert!(!send(&service, get(ROADS)).await.is_clean());
    assert_eq!(started.elapsed().as_secs(), 230);
    hangs.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(2)).await;
    // The answer that was given is still good.
    let started = tokio::time::Instant::now();
    assert!(send(&service, get(ROADS)).await.is_clean());
    assert_eq!(started.elapsed().as_secs(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_person_who_does_not_answer_in_five_minutes_has_not_answered() {
    let tokens = TokenService::knowing(RIGHT);
    let site = Site::new(ROOT).credential_fn(|_| std::future::pending());
    let begun = tokio::time::Instant::now();
    let answered = send(&over(site, &tokens), get(ROADS)).await;
    assert_eq!(begun.elapsed().as_secs(), 300);
    assert!(
        answered
            .outcome
            .skip_reason()
            .unwrap()
            .to_string()
            .contains("300 seconds")
    );
}

#[tokio::test(start_paused = true)]
async fn how_long_a_person_has_to_answer_can_be_set() {
    let site = Site::new(ROOT)
        .credential_fn(|_| std::future::pending())
        .credential_deadline(Duration::from_secs(20));
    let begun = tokio::time::Instant::now();
    let answered = send(&over(site, &TokenService::knowing(RIGHT)), get(ROADS)).await;
    assert!(!answered.is_clean());
    assert_eq!(begun.elapsed().as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_gets_no_answer_ends_and_the_next_is_made() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let client = logins::client(move |_, _| {
        let number = counted.fetch_add(1, Ordering::SeqCst);
        async move {
            if number == 0 {
                std::future::pending::<()>().await;
            }
            answer(r#"{"access_token":"abcdef","expires_in":1800}"#)
        }
    });
    let source =
        RefreshToken::try_new("https://portal.test/portal", "app", "refresh", client).unwrap();
    let layer = ArcgisAuthLayer::try_new(Site::new(ROOT).token_source(source)).unwrap();
    let service = layer.layer(Upstream::taking_any_token());
    let before = tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks();
    let started = tokio::time::Instant::now();
    while !send(&service, get(ROADS)).await.is_clean() {
        assert!(started.elapsed() < Duration::from_secs(5 * 60));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    // What watches the new token's age is one.
    let tasks = tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks();
    assert!(tasks <= before + 1, "{tasks} tasks");
}

#[tokio::test(start_paused = true)]
async fn a_ready_token_is_used_until_it_dies_and_then_its_challenge_goes_up() {
    let alive = Arc::new(AtomicBool::new(true));
    let living = alive.clone();
    let fake = Upstream::new(move |request| {
        answer(match token_of(request).as_deref() {
            Some("ready") if living.load(Ordering::SeqCst) => CLEAN,
            Some("fresh") => CLEAN,
            Some(_) => INVALID,
            None => REQUIRED,
        })
    });
    let ready =
        ArcgisAuthLayer::try_new(Site::new(support::ROOT).credential(Credential::token("ready")))
            .unwrap()
            .layer(fake.clone());
    let renewing = StaticToken::new("ready")
        .or_else(token_source_fn(|_| async { IssuedToken::try_new("fresh") }));
    let renewed = ArcgisAuthLayer::try_new(Site::new(support::ROOT).token_source(renewing))
        .unwrap()
        .layer(fake);
    assert!(send(&ready, get(support::ROADS)).await.is_clean());
    assert!(send(&renewed, get(support::ROADS)).await.is_clean());

    alive.store(false, Ordering::SeqCst);
    for _ in 0..3 {
        let answered = send(&ready, get(support::ROADS)).await;
        assert_eq!(answered.body, INVALID);
        assert_login_refused(answered.outcome.skip_reason());
    }
    assert!(
        send(&renewed, get(support::ROADS)).await.is_clean(),
        "the next source was asked"
    );
}

/// Is refused every time, and tells what it is recognised by only now and then.
#[derive(Clone, Default)]
struct Forgetful {
    logins: Arc<AtomicUsize>,
    cannot_tell: Arc<AtomicBool>,
    secret: Arc<Mutex<&'static str>>,
}

impl TokenSource for Forgetful {
    async fn token(&self, _request: TokenRequest) -> Result<IssuedToken, TokenError> {
        self.logins.fetch_add(1, Ordering::SeqCst);
        Err(TokenError::refused("wrong password"))
    }

    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        if self.cannot_tell.load(Ordering::SeqCst) {
            fingerprint.cannot_tell();
        } else {
            fingerprint.secret(*self.secret.lock().unwrap());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_tells_its_credential_now_and_then_has_not_changed_it() {
    let next = Forgetful::default();
    let source = StaticToken::new("dead").or_else(next.clone());
    let layer = ArcgisAuthLayer::try_new(Site::new(support::ROOT).token_source(source)).unwrap();
    let service = layer.layer(Upstream::new(|request| {
        answer(match token_of(request) {
            Some(_) => INVALID,
            None => REQUIRED,
        })
    }));
    for turn in 0..10 {
        next.cannot_tell.store(turn % 2 == 0, Ordering::SeqCst);
        send(&service, get(support::ROADS)).await;
        tokio::time::advance(Duration::from_secs(2)).await;
    }
    assert_eq!(next.logins.load(Ordering::SeqCst), 1);

    next.cannot_tell.store(false, Ordering::SeqCst);
    *next.secret.lock().unwrap() = "another";
    send(&service, get(support::ROADS)).await;
    assert_eq!(
        next.logins.load(Ordering::SeqCst),
        2,
        "a change is still one"
    );
}

#[tokio::test(start_paused = true)]
async fn a_refusal_another_site_met_first_is_remembered_no_longer_than_there() {
    const MINUTE: Duration = Duration::from_secs(60);
    const ELSEWHERE: &str = "https://other.test/arcgis/rest/services/Water/MapServer?f=json";
    let tokens = TokenService::knowing(RIGHT);
    let mut builder = ArcgisAuthLayer::builder().token_client(tokens.client());
    for root in [ROOT, "https://other.test/arcgis"] {
        let site = Site::new(root).credential(Credential::user("reader", "wrong"));
        let site = site.trust_token_service("https://gis.test");
        builder = builder.add_site(site.token_url("https://gis.test/arcgis/tokens/generateToken"));
    }
    let service = builder.build().unwrap().layer(Upstream::taking_any_token());

    send(&service, get(ROADS)).await;
    tokio::time::advance(10 * MINUTE).await;
    let answered = send(&service, get(ELSEWHERE)).await;
    assert_login_refused(answered.outcome.skip_reason());
    tokio::time::advance(4 * MINUTE).await;
    send(&service, get(ELSEWHERE)).await;
    assert_eq!(tokens.logins().len(), 1);

    tokio::time::advance(2 * MINUTE).await;
    send(&service, get(ELSEWHERE)).await;
    assert_eq!(
        tokens.logins().len(),
        2,
        "fifteen minutes have passed since it was refused"
    );
}
