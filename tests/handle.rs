//! The handle on a running layer: listing, signing out, renewing, counting.

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use arcgis_stand_in::{PASSWORD, StandIn, USERNAME};
use http::request::Parts;
use support::{Fake, ROADS, ROOT, Scripted, Source, get, send, site};
use tower::Layer;
use tower_arcgis_auth::{ArcgisAuthLayer, Credential, Identity, Site, TokenReason, Withheld};

#[tokio::test(start_paused = true)]
async fn sites_and_their_tokens_are_listed_without_the_tokens() {
    let source = Source::new().lifetime(Duration::from_secs(600));
    let layer = ArcgisAuthLayer::builder()
        .site(site(&source).root("http://tiles.gis.test"))
        .site(Site::new("https://open.gis.test:443/ArcGIS/"))
        .build()
        .unwrap();
    let service = layer.layer(Fake::secured(&source.valid));
    let handle = layer.handle();
    send(&service, get(ROADS)).await;
    tokio::time::advance(Duration::from_secs(60)).await;

    let sites = handle.sites();

    assert_eq!(sites[0].root(), ROOT);
    assert_eq!(sites[0].roots(), [ROOT, "http://tiles.gis.test"]);
    let accounts = sites[0].accounts();
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
    assert!(sites[1].accounts().is_empty());
    assert!(handle.site("HTTP://GIS.test:80/arcgis/").is_some());
    assert!(handle.site("http://tiles.gis.test/").is_some());
    assert!(handle.site("http://other.test").is_none());
    assert!(!format!("{handle:?} {sites:?} {accounts:?}").contains("secret-1"));
}

#[tokio::test(start_paused = true)]
async fn whoever_signs_out_logs_in_anew() {
    let source = Source::new();
    let layer = ArcgisAuthLayer::new(site(&source)).unwrap();
    let fake = Fake::secured(&source.valid);
    let service = layer.layer(fake.clone());
    send(&service, get(ROADS)).await;

    layer.handle().sign_out().await.unwrap();

    assert!(layer.handle().sites()[0].accounts()[0].token().is_none());
    let told = send(&service, get(ROADS)).await;
    assert!(told.is_clean());
    assert_eq!(fake.tokens()[2], None, "the old token is not used again");
    assert_eq!(source.logins(), 2);
    let token = layer.handle().sites()[0].accounts()[0].token().cloned();
    assert_eq!(token.unwrap().generation(), 2, "generations go on");
}

#[tokio::test(start_paused = true)]
async fn one_caller_signs_out_and_nobody_else() {
    let caller = |head: &Parts| {
        let name = head.headers.get("x-caller")?.to_str().ok()?;
        Some(Identity::from(name))
    };
    let source = Source::new();
    let layer = ArcgisAuthLayer::new(site(&source).identity_fn(caller)).unwrap();
    let service = layer.layer(Fake::secured(&source.valid));
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

    handle.sign_out_caller(&alice).await.unwrap();
    handle
        .sign_out_caller(&Identity::from("never seen"))
        .await
        .unwrap();

    assert!(handle.account(Some(&alice)).unwrap().token().is_none());
    assert!(handle.account(Some(&bob)).unwrap().token().is_some());
    for name in ["alice", "bob"] {
        assert!(send(&service, get_as(name)).await.is_clean());
    }
    assert_eq!(source.logins(), 3);
}

#[tokio::test(start_paused = true)]
async fn signing_out_ends_a_login_under_way() {
    let source = Source::new().takes(Duration::from_secs(10));
    let layer = ArcgisAuthLayer::new(site(&source)).unwrap();
    let service = layer.layer(Fake::secured(&source.valid));
    let handle = layer.handle();

    let waiting = send(&service, get(ROADS));
    let signing_out = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(handle.sites()[0].accounts()[0].is_logging_in());
        handle.sign_out().await.unwrap();
    };
    let (told, ()) = tokio::join!(waiting, signing_out);

    assert!(matches!(told.outcome.withheld(), Some(Withheld::SignedOut)));
    assert!(told.outcome.unanswered().is_some());
    tokio::time::sleep(Duration::from_secs(60)).await;
    let account = &handle.sites()[0].accounts()[0];
    assert!(
        account.token().is_none(),
        "the login's token comes to nobody"
    );
    assert!(!account.is_logging_in());
    assert_eq!(handle.counters().failed_logins(), 0);
}

#[tokio::test(start_paused = true)]
async fn somebody_who_signs_out_is_asked_again() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let server = StandIn::start().await.unwrap();
    let site = Site::new(server.root()).credential_fn(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        async { Ok(Credential::user(USERNAME, PASSWORD)) }
    });
    let layer = ArcgisAuthLayer::new(site).unwrap();
    let handle = layer.handle().sites().remove(0);
    handle.renew().await.unwrap();
    handle.renew().await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 1);

    handle.sign_out().await.unwrap();
    handle.renew().await.unwrap();

    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_new_token_can_be_ordered_before_the_first_request_and_after_any() {
    let source = Source::new();
    let layer = ArcgisAuthLayer::new(site(&source)).unwrap();
    let fake = Fake::secured(&source.valid);
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
    assert_eq!(source.reasons(), [TokenReason::Ordered; 2]);
}

#[tokio::test(start_paused = true)]
async fn an_order_waits_for_no_pause_but_respects_a_refusal() {
    let source = Source::new();
    let layer = ArcgisAuthLayer::new(site(&source)).unwrap();
    let handle = layer.handle().sites().remove(0);
    source.next(Scripted::Fault);
    assert!(matches!(
        handle.renew().await,
        Err(Withheld::TokenServiceFault(_))
    ));
    assert_eq!(handle.renew().await.unwrap().generation(), 1);

    source.next(Scripted::Refuse);
    for _ in 0..3 {
        assert!(matches!(
            handle.renew().await,
            Err(Withheld::LoginRefused(_))
        ));
    }
    assert_eq!(source.logins(), 3);
    let account = &handle.accounts()[0];
    assert!(account.token().is_some(), "the old one stays");
    assert!(matches!(
        account.withheld(),
        Some(Withheld::LoginRefused(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn an_order_for_nobody_says_so() {
    let layer = ArcgisAuthLayer::builder()
        .site(Site::new("http://open.test"))
        .site(site(&Source::new()).identity_fn(|_| None))
        .build()
        .unwrap();
    let sites = layer.handle().sites();
    assert!(matches!(
        sites[0].renew().await,
        Err(Withheld::NoCredential)
    ));
    assert!(matches!(sites[1].renew().await, Err(Withheld::NoIdentity)));
    let alice = Identity::from("alice");
    let one = ArcgisAuthLayer::new(site(&Source::new())).unwrap();
    assert!(matches!(
        one.handle().sites()[0].renew_caller(&alice).await,
        Err(Withheld::NoIdentity)
    ));
}

#[tokio::test(start_paused = true)]
async fn a_caller_may_be_logged_in_before_the_first_request() {
    let source = Source::new();
    let caller = |_: &Parts| Some(Identity::from("alice"));
    let layer = ArcgisAuthLayer::new(site(&source).identity_fn(caller)).unwrap();
    let fake = Fake::secured(&source.valid);
    let handle = layer.handle().sites().remove(0);

    handle.renew_caller(&Identity::from("alice")).await.unwrap();
    send(&layer.layer(fake.clone()), get(ROADS)).await;

    assert_eq!(fake.tokens(), [Some("secret-1".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn logins_and_challenges_are_counted_by_site_and_together() {
    let (one, other) = (Source::new(), Source::new());
    let layer = ArcgisAuthLayer::builder()
        .site(site(&one))
        .site(Site::new("http://other.test").token_source(other.clone()))
        .build()
        .unwrap();
    let service = layer.layer(Fake::secured(&one.valid));
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
