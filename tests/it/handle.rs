//! The handle on a running layer: listing, signing out, renewing, counting.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::support::{
    CLEAN, REQUIRED, ROADS, ROOT, Scripted, Source, Upstream, answer, assert_login_refused, get,
    logins::{self, caller},
    send, site, token_of,
};
use arcgis_stand_in::{PASSWORD, StandIn, USERNAME};
use futures_util::FutureExt;
use http::request::Parts;
use tower::Layer;
use tower_arcgis_auth::{
    ArcgisAuthLayer, Cancelled, Credential, Identity, IssuedToken, RenewError, SignOut, Site,
    SiteHandle, SkipReason, TokenError, TokenReason, TokenRequest, TokenSource, token_source_fn,
};

#[tokio::test(start_paused = true)]
async fn sites_and_their_tokens_are_listed_without_the_tokens() {
    let source = Source::new().lifetime(Duration::from_secs(600));
    let layer = ArcgisAuthLayer::builder()
        .add_site(site(&source).add_root("http://tiles.gis.test"))
        .add_site(Site::new("https://open.gis.test:443/ArcGIS/"))
        .build()
        .unwrap();
    let service = layer.layer(Upstream::secured(&source.valid));
    let handle = layer.handle();
    send(&service, get(ROADS)).await;
    tokio::time::advance(Duration::from_secs(60)).await;

    let sites = handle.sites();

    assert_eq!(sites[0].root(), ROOT);
    assert_eq!(sites[0].roots(), [ROOT, "http://tiles.gis.test"]);
    let accounts = sites[0].sessions();
    let token = accounts[0].token().unwrap();
    assert_eq!(token.generation(), 1);
    assert_eq!(token.age(), Duration::from_secs(60));
    assert_eq!(token.expires_in(), Some(Duration::from_secs(540)));
    assert!(token.is_proven());
    assert_eq!(
        accounts[0].to_string(),
        "token 1 of 60 s ago, good for 540 s"
    );
    assert_eq!(sites[1].root(), "https://open.gis.test/ArcGIS");
    assert!(sites[1].sessions().is_empty());
    assert!(handle.site("HTTP://GIS.test:80/arcgis/").is_some());
    assert!(handle.site("http://tiles.gis.test/").is_some());
    assert!(handle.site("http://other.test").is_none());
    assert!(!format!("{handle:?} {sites:?} {accounts:?}").contains("secret-1"));
}

#[tokio::test(start_paused = true)]
async fn the_first_request_after_a_sign_out_logs_in_anew() {
    let source = Source::new();
    let layer = ArcgisAuthLayer::try_new(site(&source)).unwrap();
    let fake = Upstream::secured(&source.valid);
    let service = layer.layer(fake.clone());
    send(&service, get(ROADS)).await;

    layer.handle().sign_out().await.unwrap();

    assert!(layer.handle().sites()[0].sessions()[0].token().is_none());
    let answered = send(&service, get(ROADS)).await;
    assert!(answered.is_clean());
    assert_eq!(fake.tokens()[2], None, "the old token is not used again");
    assert_eq!(source.logins(), 2);
    let token = layer.handle().sites()[0].sessions()[0].token().cloned();
    assert_eq!(token.unwrap().generation(), 2, "generations go on");
}

#[tokio::test(start_paused = true)]
async fn one_identity_signs_out_and_no_other() {
    let caller = |head: &Parts| {
        let name = head.headers.get("x-caller")?.to_str().ok()?;
        Some(Identity::from(name))
    };
    let source = Source::new();
    let layer = ArcgisAuthLayer::try_new(site(&source).identity_fn(caller)).unwrap();
    let service = layer.layer(Upstream::secured(&source.valid));
    let get_as = |name: &'static str| {
        let mut request = get(ROADS);
        let name = http::HeaderValue::from_static(name);
        request.headers_mut().insert("x-caller", name);
        request
    };
    for name in ["alice", "bob"] {
        send(&service, get_as(name)).await;
    }
    let handle = layer.handle().site(ROOT).unwrap();
    let (alice, bob) = (Identity::from("alice"), Identity::from("bob"));

    handle.sign_out_identity(&alice).await.unwrap();
    handle
        .sign_out_identity(&Identity::from("never seen"))
        .await
        .unwrap();

    assert!(handle.session(Some(&alice)).unwrap().token().is_none());
    assert!(handle.session(Some(&bob)).unwrap().token().is_some());
    for name in ["alice", "bob"] {
        assert!(send(&service, get_as(name)).await.is_clean());
    }
    assert_eq!(source.logins(), 3);
}

#[tokio::test(start_paused = true)]
async fn signing_out_ends_a_login_under_way() {
    let source = Source::new().takes(Duration::from_secs(10));
    let layer = ArcgisAuthLayer::try_new(site(&source)).unwrap();
    let service = layer.layer(Upstream::secured(&source.valid));
    let handle = layer.handle();

    let waiting = send(&service, get(ROADS));
    let signing_out = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(handle.sites()[0].sessions()[0].is_logging_in());
        handle.sign_out().await.unwrap();
    };
    let (answered, ()) = tokio::join!(waiting, signing_out);

    assert!(matches!(
        answered.outcome.skip_reason(),
        Some(SkipReason::SignedOut)
    ));
    assert!(answered.outcome.returned_challenge().is_some());
    tokio::time::sleep(Duration::from_secs(60)).await;
    let account = &handle.sites()[0].sessions()[0];
    assert!(account.token().is_none(), "the login's token is dropped");
    assert!(!account.is_logging_in());
    assert_eq!(handle.counters().failed_logins(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_login_under_way_is_broken_off_and_not_only_ignored() {
    let under_way = Arc::new(());
    let held = Arc::clone(&under_way);
    let source = token_source_fn(move |_| {
        let held = Arc::clone(&held);
        async move {
            std::future::pending::<()>().await;
            drop(held);
            IssuedToken::try_new("never")
        }
    });
    let layer = ArcgisAuthLayer::try_new(Site::new(ROOT).token_source(source)).unwrap();
    let handle = layer.handle().sites().remove(0);
    let signing_out = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(Arc::strong_count(&under_way), 3);
        handle.sign_out().await.unwrap();
        tokio::task::yield_now().await;
        assert_eq!(Arc::strong_count(&under_way), 2);
    };
    let (renewed, ()) = tokio::join!(handle.renew(), signing_out);
    assert!(matches!(renewed, Err(RenewError::SignedOut)));
}

#[tokio::test(start_paused = true)]
async fn a_person_who_signs_out_is_asked_again() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let server = StandIn::start().await.unwrap();
    let site = Site::new(server.root()).credential_fn(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        async { Ok(Credential::user(USERNAME, PASSWORD)) }
    });
    let layer = ArcgisAuthLayer::try_new(site).unwrap();
    let handle = layer.handle().sites().remove(0);
    handle.renew().await.unwrap();
    handle.renew().await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);

    handle.sign_out().await.unwrap();
    handle.renew().await.unwrap();

    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn the_handle_renews_before_the_first_request_and_after_any() {
    let source = Source::new();
    let layer = ArcgisAuthLayer::try_new(site(&source)).unwrap();
    let fake = Upstream::secured(&source.valid);
    let service = layer.layer(fake.clone());
    let handle = layer.handle().sites().remove(0);

    assert_eq!(handle.renew().await.unwrap().generation(), 1);
    assert!(send(&service, get(ROADS)).await.is_clean());
    assert_eq!(handle.renew().await.unwrap().generation(), 2);
    assert!(send(&service, get(ROADS)).await.is_clean());

    let signed: Vec<String> = fake.tokens().into_iter().flatten().collect();
    assert_eq!(
        signed,
        ["secret-1", "secret-2"],
        "and nothing was challenged"
    );
    assert_eq!(source.reasons(), [TokenReason::Forced; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_forced_renewal_ignores_back_off_but_respects_a_refusal() {
    let source = Source::new();
    let layer = ArcgisAuthLayer::try_new(site(&source)).unwrap();
    let handle = layer.handle().sites().remove(0);
    source.next(Scripted::Fault);
    assert!(matches!(handle.renew().await, Err(RenewError::Failed(_))));
    assert_eq!(handle.renew().await.unwrap().generation(), 1);

    source.next(Scripted::Refuse);
    for _ in 0..3 {
        assert!(matches!(handle.renew().await, Err(RenewError::Refused(_))));
    }
    assert_eq!(source.logins(), 3);
    let account = &handle.sessions()[0];
    assert!(account.token().is_some(), "the old one stays");
    assert_login_refused(account.skip_reason());
}

#[tokio::test(start_paused = true)]
async fn why_there_is_no_token_is_an_error_that_tells_its_cause_once() {
    let source = token_source_fn(|_| async {
        Err(TokenError::fault("the token service cannot be reached")
            .with_source(std::io::Error::other("closed")))
    });
    let layer = ArcgisAuthLayer::try_new(Site::new(ROOT).token_source(source)).unwrap();
    let renewed = layer.handle().sites()[0].renew().await;
    let error: Box<dyn std::error::Error> = renewed.unwrap_err().into();
    assert_eq!(
        error.to_string(),
        "login failed: the token service cannot be reached"
    );
    assert_eq!(error.source().unwrap().to_string(), "closed");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_without_a_credential_or_identity_says_so() {
    let layer = ArcgisAuthLayer::builder()
        .add_site(Site::new("http://open.test"))
        .add_site(site(&Source::new()).identity_fn(|_| None))
        .build()
        .unwrap();
    let sites = layer.handle().sites();
    assert!(matches!(
        sites[0].renew().await,
        Err(RenewError::NoCredential)
    ));
    assert!(matches!(
        sites[1].renew().await,
        Err(RenewError::NoSuchIdentity)
    ));
    let alice = Identity::from("alice");
    let one = ArcgisAuthLayer::try_new(site(&Source::new())).unwrap();
    assert!(matches!(
        one.handle().sites()[0].renew_identity(&alice).await,
        Err(RenewError::NoSuchIdentity)
    ));
}

#[tokio::test(start_paused = true)]
async fn an_identity_may_be_logged_in_before_the_first_request() {
    let source = Source::new();
    let caller = |_: &Parts| Some(Identity::from("alice"));
    let layer = ArcgisAuthLayer::try_new(site(&source).identity_fn(caller)).unwrap();
    let fake = Upstream::secured(&source.valid);
    let handle = layer.handle().sites().remove(0);

    handle
        .renew_identity(&Identity::from("alice"))
        .await
        .unwrap();
    send(&layer.layer(fake.clone()), get(ROADS)).await;

    assert_eq!(fake.tokens(), [Some("secret-1".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn logins_and_challenges_are_counted_by_site_and_together() {
    let (one, other) = (Source::new(), Source::new());
    let layer = ArcgisAuthLayer::builder()
        .add_site(site(&one))
        .add_site(Site::new("http://other.test").token_source(other.clone()))
        .build()
        .unwrap();
    let service = layer.layer(Upstream::secured(&one.valid));
    other.next(Scripted::Refuse);
    for _ in 0..2 {
        send(&service, get(ROADS)).await;
        send(&service, get("http://other.test/rest/services/X/MapServer")).await;
    }
    let handle = layer.handle();
    let counters: Vec<_> = handle.sites().iter().map(|site| site.counters()).collect();
    assert_eq!(
        counters[0].to_string(),
        "1 logins, 0 refused, 0 failed; 1 challenges, 1 sent again; 0 signed out"
    );
    assert_eq!(
        counters[1].to_string(),
        "0 logins, 1 refused, 0 failed; 2 challenges, 0 sent again; 0 signed out"
    );
    let all = handle.counters();
    assert_eq!(
        (
            all.logins(),
            all.refused_logins(),
            all.challenges(),
            all.sent_again()
        ),
        (1, 1, 3, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn forced_renewals_leave_the_budget_to_challenges() {
    let source = Source::new();
    let layer = ArcgisAuthLayer::try_new(site(&source)).unwrap();
    let service = layer.layer(Upstream::secured(&source.valid));
    let handle = layer.handle().sites().remove(0);
    // All night long, without a request.
    for _ in 0..12 {
        handle.renew().await.unwrap();
        tokio::time::advance(Duration::from_secs(600)).await;
    }
    source.valid.revoke_all();
    assert!(send(&service, get(ROADS)).await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_sign_out_lifts_no_refusal() {
    let source = Source::new();
    source.always(Some(Scripted::Refuse));
    let layer = ArcgisAuthLayer::try_new(site(&source)).unwrap();
    let service = layer.layer(Upstream::secured(&source.valid));
    let handle = layer.handle().sites().remove(0);
    for _ in 0..6 {
        let renewed = handle.renew().await;
        assert!(matches!(renewed, Err(RenewError::Refused(_))));
        handle.sign_out().await.unwrap();
        let answered = send(&service, get(ROADS)).await;
        let skip_reason = answered.outcome.skip_reason();
        assert!(matches!(skip_reason, Some(SkipReason::LoginRefused(_))));
    }
    assert_eq!(source.logins(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_sign_out_lifts_no_cap_on_logins_without_an_answer() {
    let attempts = Arc::new(AtomicUsize::new(0));
    let count = attempts.clone();
    let never = token_source_fn(move |request: TokenRequest| {
        let count = count.clone();
        async move {
            let mut attempt = request.login_attempt(ROOT, "ada", "secret").await?;
            attempt.sent();
            count.fetch_add(1, Ordering::SeqCst);
            std::future::pending().await
        }
    });
    let layer = ArcgisAuthLayer::try_new(Site::new(ROOT).token_source(never)).unwrap();
    let handle = layer.handle().sites().remove(0);
    for _ in 0..8 {
        assert!(handle.renew().await.is_err());
        handle.sign_out().await.unwrap();
    }
    assert_eq!(attempts.load(Ordering::SeqCst), 4);
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

#[tokio::test]
async fn a_person_who_cancelled_is_asked_again_after_a_sign_out() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let server = StandIn::start().await.unwrap();
    let site = Site::new(server.root()).credential_fn(move |_| {
        let time = count.fetch_add(1, Ordering::SeqCst);
        async move {
            match time {
                0 => Err(Cancelled),
                _ => Ok(Credential::user(USERNAME, PASSWORD)),
            }
        }
    });
    let layer = ArcgisAuthLayer::try_new(site).unwrap();
    let handle = layer.handle().sites().remove(0);
    for _ in 0..3 {
        assert!(handle.renew().await.is_err());
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    handle.sign_out().await.unwrap();
    handle.renew().await.unwrap();
}

/// Takes its time to sign out, and revokes what it is told of.
#[derive(Clone, Default)]
struct Revoking {
    takes: Duration,
    logins: Arc<AtomicUsize>,
    sign_outs: Arc<AtomicUsize>,
    live: Arc<Mutex<Vec<String>>>,
}

impl Revoking {
    /// It takes so long to sign out.
    fn taking(takes: Duration) -> Self {
        Self {
            takes,
            ..Self::default()
        }
    }
}

/// A site on which each identity has a session with this source.
fn handle_for_each(source: impl TokenSource) -> SiteHandle {
    let site = Site::new(ROOT).token_source(source);
    let layer = ArcgisAuthLayer::try_new(site.identity_fn(caller)).unwrap();
    layer.handle().sites().remove(0)
}

async fn sign_in_a_hundred(handle: &SiteHandle) {
    for caller in 0..100 {
        let caller = Identity::from(format!("caller{caller}"));
        handle.renew_identity(&caller).await.unwrap();
    }
}

impl TokenSource for Revoking {
    async fn token(&self, _: TokenRequest) -> Result<IssuedToken, TokenError> {
        let login = self.logins.fetch_add(1, Ordering::SeqCst);
        let text = format!("token-{login}");
        self.live.lock().unwrap().push(text.clone());
        IssuedToken::try_new(text)
    }

    async fn sign_out(&self, sign_out: SignOut) -> Result<(), TokenError> {
        self.sign_outs.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(self.takes).await;
        if let Some(token) = sign_out.token() {
            let mut live = self.live.lock().unwrap();
            live.retain(|live| live != token.expose());
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn no_login_is_made_until_the_source_has_signed_out() {
    let source = Revoking::taking(Duration::from_secs(2));
    let layer = ArcgisAuthLayer::try_new(Site::new(ROOT).token_source(source.clone())).unwrap();
    let service = layer.layer(Upstream::new(|request| match token_of(request) {
        Some(_) => answer(CLEAN),
        None => answer(REQUIRED),
    }));
    assert!(send(&service, get(ROADS)).await.is_clean());
    let handle = layer.handle();
    let meanwhile = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        send(&service, get(ROADS)).await
    };
    let (signed_out, answered) = tokio::join!(handle.sign_out(), meanwhile);
    signed_out.unwrap();
    assert!(matches!(
        answered.outcome.skip_reason(),
        Some(SkipReason::SignedOut)
    ));
    let live = source.live.lock().unwrap().clone();
    assert!(live.is_empty(), "left behind: {live:?}");
    assert!(send(&service, get(ROADS)).await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn signing_out_many_goes_on_at_once_and_to_the_end() {
    let source = Revoking::taking(Duration::from_secs(5));
    let handle = handle_for_each(source.clone());
    sign_in_a_hundred(&handle).await;
    let started = tokio::time::Instant::now();
    let given_up = tokio::time::timeout(Duration::from_secs(1), handle.sign_out()).await;
    assert!(given_up.is_err());
    while !source.live.lock().unwrap().is_empty() {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(source.sign_outs.load(Ordering::SeqCst), 100);
    let took = started.elapsed();
    assert!(took < Duration::from_secs(30), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_at_a_sign_out_delays_logins_for_seconds_only() {
    let source = Revoking::taking(Duration::from_secs(24 * 60 * 60));
    let layer = ArcgisAuthLayer::try_new(Site::new(ROOT).token_source(source)).unwrap();
    let handle = layer.handle().sites().remove(0);
    handle.renew().await.unwrap();
    let error = handle.sign_out().await.unwrap_err();
    assert!(error.to_string().contains("sign out again"), "{error}");
    handle.renew().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn sources_that_hang_at_a_sign_out_delay_the_next_by_a_second() {
    let source = Revoking::taking(Duration::from_secs(24 * 60 * 60));
    let handle = handle_for_each(source);
    sign_in_a_hundred(&handle).await;
    let started = tokio::time::Instant::now();
    assert!(handle.sign_out().await.is_err());
    assert_eq!(started.elapsed().as_secs(), 15 + 100 / 32);
    for account in handle.sessions() {
        assert!(account.skip_reason().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn an_identity_that_was_evicted_logs_in_after_the_sign_out_and_not_during_it() {
    let source = Revoking::taking(Duration::from_secs(10));
    let handle = handle_for_each(source.clone());
    let alice = Identity::from("alice");
    let meanwhile = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        handle.renew_identity(&alice).await
    };
    let (signed_out, renewed) = tokio::join!(handle.sign_out_identity(&alice), meanwhile);
    signed_out.unwrap();
    assert!(matches!(renewed, Err(RenewError::SignedOut)));
    assert_eq!(source.logins.load(Ordering::SeqCst), 0);
    handle.renew_identity(&alice).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_sign_out_during_the_first_login_ends_that_at_the_portal_too() {
    let ended = Arc::new(AtomicUsize::new(0));
    let count = ended.clone();
    let client = logins::client(move |_, form| {
        let count = count.clone();
        async move {
            if form.contains("password=") {
                tokio::time::sleep(Duration::from_secs(5)).await;
                count.fetch_add(1, Ordering::SeqCst);
            }
            answer(logins::TOKEN)
        }
    });
    let site = Site::new(ROOT)
        .allow_insecure_http()
        .portal("http://portal.test/portal")
        .credential_fn(|_| async { Ok(Credential::user("alice", "secret")) });
    let layer = ArcgisAuthLayer::builder()
        .add_site(site)
        .token_client(client);
    let handle = layer.build().unwrap().handle().sites().remove(0);
    let sign_out = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        handle.sign_out().await
    };
    let (renewed, signed_out) = tokio::join!(handle.renew(), sign_out);
    assert!(renewed.is_err());
    signed_out.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(ended.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn an_identity_that_was_evicted_is_signed_out_all_the_same() {
    let source = Revoking::default();
    let site = Site::new(ROOT)
        .token_source(source.clone())
        .identity_fn(caller)
        .remember_identities(10, Duration::from_nanos(1));
    let layer = ArcgisAuthLayer::try_new(site).unwrap();
    let handle = layer.handle().sites().remove(0);
    let alice = Identity::from("alice");
    handle.renew_identity(&alice).await.unwrap();
    assert!(handle.sessions().is_empty());
    handle.sign_out_identity(&alice).await.unwrap();
    assert_eq!(source.sign_outs.load(Ordering::SeqCst), 1);
}

#[test]
fn signing_out_without_a_runtime_forgets_and_says_what_it_could_not_do() {
    let layer = ArcgisAuthLayer::try_new(site(&Source::new())).unwrap();
    let signed_out = layer.handle().sign_out().now_or_never().unwrap();
    let error = signed_out.unwrap_err().to_string();
    assert!(error.contains("tokio runtime"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_login_that_ends_during_a_sign_out_leaves_no_credential_behind() {
    const INFO: &str = r#"{"currentVersion":11,"authInfo":{"tokenServicesUrl":"http://127.0.0.1:1/arcgis/tokens/"}}"#;
    let (entering, entered) = std::sync::mpsc::channel();
    let (leave, leaving) = std::sync::mpsc::channel::<()>();
    let gate = Arc::new(Mutex::new(Some((entering, leaving))));
    let client = logins::client(move |path, _| {
        let gate = gate.clone();
        async move {
            if path.ends_with("/rest/info") {
                return answer(INFO);
            }
            // Within one poll, which no abort can end.
            let first = gate.lock().unwrap().take();
            if let Some((entering, leaving)) = first {
                entering.send(()).unwrap();
                leaving.recv().unwrap();
            }
            answer(logins::TOKEN)
        }
    });
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let site = Site::new("http://127.0.0.1:1/arcgis").credential_fn(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        async { Ok(Credential::user("alice", "secret")) }
    });
    let layer = ArcgisAuthLayer::builder()
        .token_client(client)
        .add_site(site);
    let handle = layer.build().unwrap().handle().sites().remove(0);
    let other = handle.clone();
    let metrics = tokio::runtime::Handle::current().metrics();
    let tasks = metrics.num_alive_tasks();
    let login = tokio::spawn(async move { other.renew().await });
    tokio::task::block_in_place(|| entered.recv().unwrap());
    handle.sign_out().await.unwrap();
    leave.send(()).unwrap();
    assert!(matches!(login.await.unwrap(), Err(RenewError::SignedOut)));
    while metrics.num_alive_tasks() > tasks {
        tokio::task::yield_now().await;
    }

    handle.renew().await.unwrap();

    assert_eq!(
        asked.load(Ordering::SeqCst),
        2,
        "the person who signed out is asked"
    );
}
