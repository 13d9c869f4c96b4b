//! Signing out.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use arcgis_stand_in::{PASSWORD, StandIn, USERNAME};
use futures_util::FutureExt;
use tokio::time::sleep;
use tower::Layer;
use tower_arcgis_auth::{
    ArcgisAuthLayer, Cancelled, Credential, Identity, IssuedToken, RenewError, Site, SkipReason,
    token_source_fn,
};

use crate::support::{
    MINUTE, ROADS, ROOT, Reply, SECOND, TokenService, Upstream, get, get_as, identity_in_header,
    info_naming, layer, reader, send, site,
};

#[tokio::test(start_paused = true)]
async fn the_first_request_after_a_sign_out_logs_in_anew() {
    let source = TokenService::new();
    let layer = ArcgisAuthLayer::try_new(site(&source)).unwrap();
    let upstream = Upstream::secured_by(&source);
    let service = layer.layer(upstream.clone());
    send(&service, get(ROADS)).await;

    layer.handle().sign_out().await.unwrap();

    assert!(layer.handle().sites()[0].sessions()[0].token().is_none());
    let got = send(&service, get(ROADS)).await;
    assert!(got.is_clean());
    assert_eq!(
        upstream.tokens()[2],
        None,
        "the old token is not used again"
    );
    assert_eq!(source.attempts(), 2);
    let token = layer.handle().sites()[0].sessions()[0].token().cloned();
    assert_eq!(token.unwrap().generation(), 2, "generations go on");
}

#[tokio::test(start_paused = true)]
async fn one_identity_signs_out_and_no_other() {
    let source = TokenService::new();
    let layer = ArcgisAuthLayer::try_new(site(&source).identity_fn(identity_in_header)).unwrap();
    let service = layer.layer(Upstream::secured_by(&source));
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
    assert_eq!(source.attempts(), 3);
}

#[tokio::test(start_paused = true)]
async fn signing_out_ends_a_login_under_way() {
    let source = TokenService::new().takes(10 * SECOND);
    let layer = ArcgisAuthLayer::try_new(site(&source)).unwrap();
    let service = layer.layer(Upstream::secured_by(&source));
    let handle = layer.handle();

    let waiting = send(&service, get(ROADS));
    let signing_out = async {
        sleep(SECOND).await;
        assert!(handle.sites()[0].sessions()[0].is_logging_in());
        handle.sign_out().await.unwrap();
    };
    let (got, ()) = tokio::join!(waiting, signing_out);

    assert!(matches!(
        got.outcome.skip_reason(),
        Some(SkipReason::SignedOut)
    ));
    assert!(got.outcome.returned_challenge().is_some());
    sleep(MINUTE).await;
    let session = &handle.sites()[0].sessions()[0];
    assert!(session.token().is_none(), "the login's token is dropped");
    assert!(!session.is_logging_in());
    assert_eq!(handle.counters().failed_logins(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_login_under_way_is_broken_off_and_not_only_ignored() {
    let under_way = Arc::new(());
    let held = Arc::clone(&under_way);
    // It shows whether its future is there: the scripted token service does not.
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
        sleep(SECOND).await;
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

#[test]
fn signing_out_without_a_runtime_forgets_and_says_what_it_could_not_do() {
    let layer = ArcgisAuthLayer::try_new(site(&TokenService::new())).unwrap();
    let signed_out = layer.handle().sign_out().now_or_never().unwrap();
    let error = signed_out.unwrap_err().to_string();
    assert!(error.contains("tokio runtime"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_login_that_ends_during_a_sign_out_leaves_no_credential_behind() {
    let (entering, entered) = std::sync::mpsc::channel();
    let (leave, leaving) = std::sync::mpsc::channel::<()>();
    let first = Mutex::new(Some((entering, leaving)));
    let service = TokenService::new()
        .info(info_naming("http://127.0.0.1:1/arcgis/tokens/"))
        .logins(move |_| {
            // Within one poll, which no abort can end.
            let first = first.lock().unwrap().take();
            if let Some((entering, leaving)) = first {
                entering.send(()).unwrap();
                leaving.recv().unwrap();
            }
            Reply::Token
        });
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let site = Site::new("http://127.0.0.1:1/arcgis").credential_fn(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        async { Ok(reader()) }
    });
    let handle = layer(site, &service).handle().sites().remove(0);
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
