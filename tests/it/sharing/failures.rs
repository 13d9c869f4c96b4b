//! What replicas that share a cache remember of logins that failed, whatever is lost on the way.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::support::shared_cache::{Fault, MemoryCache};
use crate::support::{
    Mounted, ROADS, ROOT, answer, get,
    logins::{INFO, SECOND, TOKEN, WRONG, client, layer, reader, site},
    send,
};
use futures_util::future::join_all;
use http::StatusCode;
use tokio::time::{Instant, sleep};
use tower::Layer;
use tower_arcgis_auth::{
    ArcgisAuthLayer, Credential, GenerateToken, SealedTokenCache, Secret, SharedTokenCache, Site,
    TokenCacheKeys,
};

const KEY: &str = "8f0b6d1c53a24e7f9b1d0a6c4e8f2b7d5c9a3e1f6b8d0c2a4e6f8b1d3c5a7e90";

fn sealed(cache: impl SharedTokenCache) -> SealedTokenCache {
    SealedTokenCache::new(cache, TokenCacheKeys::try_new(KEY).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_password_mounted_for_a_moment_refuses_the_good_one_to_the_whole_fleet() {
    let file = Mounted::holding("for-a-moment", "right");
    let cache = MemoryCache::default();
    let client = client(move |path, form| async move {
        if path.ends_with("rest/info") {
            sleep(5 * SECOND).await;
            return answer(INFO);
        }
        sleep(5 * SECOND).await;
        answer(if form.contains("password=right&") {
            TOKEN
        } else {
            WRONG
        })
    });
    let replica = |password: Secret| {
        let site = Site::new(ROOT)
            .allow_insecure_http()
            .shared_token_cache(&sealed(cache.clone()))
            .credential(Credential::user("reader", password));
        layer(site, client.clone()).layer(crate::support::Upstream::taking_any_token())
    };
    let service = replica(file.secret());
    let first = tokio::spawn(async move { send(&service, get(ROADS)).await });
    sleep(SECOND).await;
    file.hold("wrong");
    sleep(6 * SECOND).await;
    file.hold("right");
    assert!(!first.await.unwrap().is_clean());
    sleep(10 * SECOND).await;
    // Another replica, which never had any other than the right one.
    let told = send(&replica(Secret::value("right")), get(ROADS)).await;
    assert!(told.is_clean(), "{}", told.outcome);
}

async fn unanswered_with(by_gateway: bool, loses: bool) -> usize {
    let passwords = Arc::new(AtomicUsize::new(0));
    let count = passwords.clone();
    let client = client(move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            sleep(if by_gateway { 15 * SECOND } else { 45 * SECOND }).await;
            let mut page = answer("<html>no answer</html>");
            *page.status_mut() = StatusCode::GATEWAY_TIMEOUT;
            page
        }
    });
    let cache = MemoryCache::default();
    let replica = || {
        let site = site()
            .credential(reader())
            .shared_token_cache(&sealed(cache.clone()));
        layer(site, client.clone())
    };
    // One that is counted as it should be.
    assert!(replica().handle().sites()[0].renew().await.is_err());
    sleep(20 * SECOND).await;
    // One whose outcome is written, though the answer to that is lost.
    let second = replica();
    let sites = second.handle().sites();
    let renewal = tokio::spawn(async move { sites[0].renew().await.is_err() });
    sleep(14 * SECOND).await;
    cache.set_fault(loses.then_some(Fault::LosesAnswers));
    assert!(renewal.await.unwrap());
    sleep(60 * SECOND).await;
    cache.set_fault(None);
    sleep(10 * SECOND).await;
    // Others.
    for _ in 0..4 {
        assert!(replica().handle().sites()[0].renew().await.is_err());
        sleep(20 * SECOND).await;
    }
    passwords.load(Ordering::SeqCst)
}

#[tokio::test(start_paused = true)]
async fn a_login_counts_once_though_the_caches_answer_is_lost() {
    for by_gateway in [false, true] {
        for loses in [false, true] {
            let attempts = unanswered_with(by_gateway, loses).await;
            assert_eq!(attempts, 4, "by gateway: {by_gateway}, loses: {loses}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_fleet_with_a_named_source_makes_four_logins_without_an_answer() {
    let passwords = Arc::new(AtomicUsize::new(0));
    let count = passwords.clone();
    let client = client(move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        std::future::pending::<http::Response<http_body_util::Full<bytes::Bytes>>>()
    });
    let cache = MemoryCache::default();
    let replicas: Vec<_> = (0..10)
        .map(|_| {
            let url = format!("{ROOT}/tokens/generateToken");
            let own = GenerateToken::try_new(&url, reader(), client.clone()).unwrap();
            let site = Site::new(ROOT)
                .token_source(own.allow_insecure_http())
                .shared_token_cache(&sealed(cache.clone()));
            ArcgisAuthLayer::try_new(site)
                .unwrap()
                .layer(crate::support::Upstream::taking_any_token())
        })
        .collect();
    let started = Instant::now();
    while started.elapsed() < 14 * 60 * SECOND {
        join_all(replicas.iter().map(|replica| send(replica, get(ROADS)))).await;
        sleep(5 * SECOND).await;
    }
    assert_eq!(passwords.load(Ordering::SeqCst), 4);
}

#[tokio::test(start_paused = true)]
async fn a_login_counts_after_an_outage_as_long_as_it_is_remembered() {
    let passwords = Arc::new(AtomicUsize::new(0));
    let memory = MemoryCache::default();
    let (count, cache) = (passwords.clone(), memory.clone());
    let client = client(move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        let cache = cache.clone();
        async move {
            sleep(5 * SECOND).await;
            cache.set_fault(Some(Fault::Fails));
            let mut page = answer("<html>no answer</html>");
            *page.status_mut() = StatusCode::GATEWAY_TIMEOUT;
            page
        }
    });
    let mut replicas = Vec::new();
    for _ in 0..6 {
        let site = site()
            .credential(reader())
            .shared_token_cache(&sealed(memory.clone()));
        let replica = layer(site, client.clone());
        assert!(replica.handle().sites()[0].renew().await.is_err());
        replicas.push(replica);
        sleep(90 * SECOND).await;
        memory.set_fault(None);
        sleep(15 * SECOND).await;
    }
    assert_eq!(passwords.load(Ordering::SeqCst), 4);
}
