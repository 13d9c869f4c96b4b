//! A refused credential is tried once by all replicas.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use tokio::time::sleep;
use tower::Layer;
use tower_arcgis_auth::{
    ArcgisAuthLayer, Cancelled, Credential, RefreshToken, SealedTokenCache, Secret, Site,
};

use super::{Fleet, KEY, NAME, PASSWORD, ask, ask_all, keys};
use crate::support::{
    INFO, Mounted, ROOT, Reply, SECOND, TokenService, Upstream, assert_login_refused, client,
    layer, shared_cache::MemoryCache,
};

#[tokio::test(start_paused = true)]
async fn ten_replicas_with_a_wrong_password_make_one_attempt() {
    let fleet = Fleet::new();
    let replicas: Vec<_> = (0..10).map(|_| fleet.replica_with("wrong", KEY)).collect();
    for got in ask_all(&replicas).await {
        let skip_reason = got.outcome.skip_reason();
        assert_login_refused(skip_reason);
        assert!(
            skip_reason
                .unwrap()
                .to_string()
                .contains("refused the login")
        );
    }
    assert_eq!(fleet.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn two_wrong_passwords_make_two_attempts() {
    let fleet = Fleet::new();
    let wrong = |number: usize| {
        if number.is_multiple_of(2) {
            "wrong-a"
        } else {
            "wrong-b"
        }
    };
    let replicas: Vec<_> = (0..10)
        .map(|number| fleet.replica_with(wrong(number), KEY))
        .collect();
    ask_all(&replicas).await;
    assert_eq!(fleet.attempts(), 2);
    for number in 0..10 {
        ask(&fleet.replica_with(wrong(number), KEY)).await;
    }
    assert_eq!(fleet.attempts(), 2);
    // A replica with the right one does not make the others try again.
    assert!(ask(&fleet.replica()).await.is_clean());
    fleet.service.revoke_all();
    let replica = fleet.replica_with("wrong-a", KEY);
    for _ in 0..3 {
        assert!(!ask(&replica).await.is_clean());
    }
    assert_eq!(fleet.attempts(), 3);
}

#[tokio::test(start_paused = true)]
async fn one_machine_that_is_not_let_in_shuts_no_other_out() {
    let fleet = Fleet::new();
    let page = Reply::page(StatusCode::FORBIDDEN, "<html>403 Forbidden</html>");
    let forbidding = TokenService::new().answering(page);
    let shut_out = layer(fleet.shared(fleet.site(PASSWORD)), &forbidding);
    let got = ask(&shut_out.layer(Upstream::secured_by(&fleet.service))).await;
    assert_login_refused(got.outcome.skip_reason());
    assert!(ask(&fleet.replica()).await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn one_person_who_cancels_cancels_for_no_other() {
    let fleet = Fleet::new();
    let person = |password: Option<&'static str>| {
        let site = Site::new(ROOT)
            .token_url(format!("{ROOT}/tokens/generateToken"))
            .allow_insecure_http()
            .credential_fn(move |_| async move {
                let password = password.ok_or(Cancelled)?;
                Ok(Credential::user(NAME, password))
            });
        fleet.over(site.shared_token_cache(&fleet.sealed(KEY)))
    };
    assert!(!ask(&person(None)).await.is_clean());
    assert!(ask(&person(Some(PASSWORD))).await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_a_source_that_tells_no_credential_is_its_own() {
    let fleet = Fleet::new();
    let replica = |source: TokenService| {
        let source = fleet.sealed(KEY).wrap(source);
        let layer = ArcgisAuthLayer::try_new(Site::new(ROOT).token_source(source)).unwrap();
        layer.layer(Upstream::open_to_any_token())
    };
    let refused = replica(TokenService::new().answering(Reply::Refused));
    assert!(!ask(&refused).await.is_clean());
    assert!(ask(&replica(TokenService::new())).await.is_clean());
}

/// One process has exchanged the refresh token for the next; the other comes with the one before.
#[tokio::test(start_paused = true)]
async fn a_refresh_token_that_another_process_has_replaced_keeps_no_other_from_logging_in() {
    let fleet = Fleet::new();
    let valid = Mutex::new("refresh-0".to_owned());
    let (logins, tokens) = (AtomicUsize::new(0), fleet.service.tokens());
    let service = TokenService::new().logins(move |asked| {
        let mut valid = valid.lock().unwrap();
        if asked.field("refresh_token").as_ref() != Some(&*valid) {
            return Reply::says(r#"{"error":{"code":498,"message":"invalid refresh_token"}}"#);
        }
        let login = logins.fetch_add(1, Ordering::SeqCst);
        tokens.add(&format!("access-{login}"));
        if asked.body.contains("exchange_refresh_token") {
            *valid = format!("refresh-{login}-next");
        }
        Reply::says(format!(
            r#"{{"access_token":"access-{login}","expires_in":1800,"refresh_token":"{valid}","refresh_token_expires_in":1000000}}"#
        ))
    });
    let replica = || {
        let url = "https://portal.test";
        let source = RefreshToken::try_new(url, "app", "refresh-0", service.client());
        let source = source
            .unwrap()
            .redirect_uri("https://app.test")
            .valid_for(Duration::from_millis(1));
        fleet.over(fleet.shared(Site::new(ROOT).token_source(source)))
    };
    let (has_the_next, has_the_last) = (replica(), replica());
    sleep(SECOND).await;
    assert!(ask(&has_the_next).await.is_clean());
    assert!(ask(&has_the_last).await.is_clean());
    fleet.service.revoke_all();
    assert!(!ask(&has_the_last).await.is_clean());
    assert!(ask(&has_the_next).await.is_clean());
}

#[tokio::test(start_paused = true)]
async fn sites_with_bindings_of_their_own_share_a_refusal_at_their_token_service() {
    let fleet = Fleet::new();
    let replicas: Vec<_> = (0..10)
        .map(|number| {
            let site = fleet.shared(fleet.site("wrong"));
            fleet.over(site.referer(format!("https://{number}.example/")))
        })
        .collect();
    for got in ask_all(&replicas).await {
        assert_login_refused(got.outcome.skip_reason());
    }
    assert_eq!(fleet.attempts(), 1);
}

/// A source of the user's own that a fleet has one wrong password for, and that asks before it sends that.
fn own_source() -> TokenService {
    TokenService::new()
        .account(NAME)
        .secret("wrong")
        .asking_for_leave()
        .answering(Reply::Refused)
}

#[tokio::test(start_paused = true)]
async fn a_source_of_the_users_own_that_asks_before_it_logs_in_is_refused_once_for_all() {
    let fleet = Fleet::new();
    for is_wrapped in [true, false] {
        fleet.cache.forget_all();
        let own = own_source();
        let replica = |_| {
            let site = Site::new(ROOT);
            fleet.over(if is_wrapped {
                site.token_source(fleet.sealed(KEY).wrap(own.clone()))
            } else {
                fleet.shared(site.token_source(own.clone()))
            })
        };
        let replicas: Vec<_> = (0..5).map(replica).collect();
        for got in ask_all(&replicas).await {
            assert_login_refused(got.outcome.skip_reason());
        }
        assert_eq!(own.attempts(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sign_out_lifts_no_refusal_of_a_users_own_source() {
    let fleet = Fleet::new();
    let own = own_source();
    for _ in 0..6 {
        let site = Site::new(ROOT).token_source(fleet.sealed(KEY).wrap(own.clone()));
        let layer = ArcgisAuthLayer::try_new(site).unwrap();
        assert!(layer.handle().sites()[0].renew().await.is_err());
        layer.handle().sign_out().await.unwrap();
    }
    assert_eq!(own.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_sign_out_lifts_no_refusal_of_a_password() {
    let fleet = Fleet::new();
    for _ in 0..6 {
        let wrong = fleet.shared(fleet.site("wrong"));
        let layer = fleet.layer(wrong);
        assert!(layer.handle().sites()[0].renew().await.is_err());
        layer.handle().sign_out().await.unwrap();
    }
    assert_eq!(fleet.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_changed_password_is_tried_at_once() {
    let fleet = Fleet::new();
    ask(&fleet.replica_with("wrong", KEY)).await;
    assert!(ask(&fleet.replica()).await.is_clean());
    assert_eq!(fleet.attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refused_renewal_leaves_the_others_the_token_they_have() {
    let fleet = Fleet::new();
    assert!(ask(&fleet.replica()).await.is_clean());
    fleet.service.set_password("changed");
    let replica = fleet.replica();
    assert!(ask(&replica).await.is_clean());
    assert_eq!(fleet.attempts(), 1);
    // Every token dies: now the refusal is learnt, once.
    fleet.service.revoke_all();
    let mut replicas = fleet.replicas(5);
    replicas.push(replica);
    for got in ask_all(&replicas).await {
        assert!(!got.is_clean());
    }
    sleep(5 * SECOND).await;
    for got in ask_all(&replicas).await {
        assert_login_refused(got.outcome.skip_reason());
    }
    assert_eq!(fleet.attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_portals_own_token_service_is_one_however_it_is_found() {
    let fleet = Fleet::new();
    let at_portal = |site: Site| site.shared_token_cache(&fleet.sealed(KEY));
    let named = fleet
        .site("wrong")
        .token_url("http://portal.test/portal/sharing/rest/generateToken");
    let found = Site::new(ROOT)
        .credential(Credential::user(NAME, "wrong"))
        .portal("http://portal.test/portal")
        .allow_insecure_http();
    for site in [at_portal(named), at_portal(found)] {
        assert!(!ask(&fleet.over(site)).await.is_clean());
    }
    assert_eq!(fleet.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_password_mounted_for_a_moment_does_not_refuse_the_good_one_to_the_whole_fleet() {
    let file = Mounted::holding("right");
    let cache = MemoryCache::default();
    let service = TokenService::new()
        .takes(5 * SECOND)
        .info_by(|_| Reply::says(INFO).after(5 * SECOND))
        .knows("right");
    let replica = |password: Secret| {
        let site = Site::new(ROOT)
            .allow_insecure_http()
            .shared_token_cache(&SealedTokenCache::new(cache.clone(), keys(KEY)))
            .credential(Credential::user("reader", password));
        client(site, &service)
    };
    let first = replica(file.secret());
    let first = tokio::spawn(async move { ask(&first).await });
    sleep(SECOND).await;
    file.hold("wrong");
    sleep(6 * SECOND).await;
    file.hold("right");
    assert!(!first.await.unwrap().is_clean());
    sleep(10 * SECOND).await;
    // Another replica, which never had any other than the right one.
    let got = ask(&replica(Secret::value("right"))).await;
    assert!(got.is_clean(), "{}", got.outcome);
}
