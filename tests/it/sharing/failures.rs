//! What replicas that share a cache remember of logins that failed, whatever is lost on the way.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::support::vault::{Fault, MemoryVault};
use crate::support::{
    Answer, Mounted, ROADS, ROOT, Upstream, answer, get,
    logins::{INFO, SECOND, TOKEN, WRONG, client, layer, paused_runtime, reader, site},
    send,
};
use bytes::Bytes;
use futures_util::future::join_all;
use http::StatusCode;
use tokio::time::{Instant, advance, sleep, timeout};
use tower::Layer;
use tower_arcgis_auth::{
    ArcgisAuthLayer, Credential, GenerateToken, SealedRecord, SealedTokenCache, Secret,
    SharedTokenCache, Site, TokenCacheError, TokenCacheKeys, VaultLock,
};

const KEY: &str = "8f0b6d1c53a24e7f9b1d0a6c4e8f2b7d5c9a3e1f6b8d0c2a4e6f8b1d3c5a7e90";

fn sealed(vault: impl SharedTokenCache) -> SealedTokenCache {
    SealedTokenCache::new(vault, TokenCacheKeys::try_new(KEY).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_password_mounted_for_a_moment_refuses_the_good_one_to_the_whole_fleet() {
    let file = Mounted::holding("for-a-moment", "right");
    let vault = MemoryVault::default();
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
            .shared_token_cache(&sealed(vault.clone()))
            .credential(Credential::user("reader", password));
        layer(site, client.clone()).layer(Upstream::taking_any_token())
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
    let answered = send(&replica(Secret::value("right")), get(ROADS)).await;
    assert!(answered.is_clean(), "{}", answered.outcome);
}

#[test]
fn a_refusal_on_a_runtime_that_is_dropped_is_remembered() {
    let passwords = Arc::new(AtomicUsize::new(0));
    let memory = MemoryVault::default();
    let (count, vault) = (passwords.clone(), memory.clone());
    let client = client(move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        vault.set_fault(Some(Fault::Slow(SECOND * 9 / 10)));
        async { answer(WRONG) }
    });
    let site = site()
        .credential(reader())
        .shared_token_cache(&sealed(memory.clone()));
    let service = layer(site, client).layer(Upstream::taking_any_token());
    for minute in 0..10u32 {
        paused_runtime().block_on(async {
            advance(minute * 60 * SECOND).await;
            memory.set_fault(None);
            let _ = timeout(SECOND / 2, send(&service, get(ROADS))).await;
        });
    }
    assert_eq!(passwords.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_being_shared_during_a_sign_out_is_not_shared() {
    let memory = MemoryVault::default();
    let logins = Arc::new(AtomicUsize::new(0));
    let count = logins.clone();
    let client = client(move |_, _| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        async move {
            answer(format!(
                r#"{{"token":"abcdef{number}","expires":4102444800000}}"#
            ))
        }
    });
    let replica = || {
        let site = site()
            .credential(reader())
            .shared_token_cache(&sealed(memory.clone()));
        layer(site, client.clone())
    };
    let first = replica();
    memory.set_fault(Some(Fault::Fails));
    first.handle().sites()[0].renew().await.unwrap();
    memory.set_fault(Some(Fault::Slow(SECOND / 2)));
    while memory.held() == 0 {
        sleep(SECOND / 100).await;
    }
    first.handle().sign_out().await.unwrap();
    memory.set_fault(None);
    sleep(10 * SECOND).await;
    replica().handle().sites()[0].renew().await.unwrap();
    assert_eq!(
        logins.load(Ordering::SeqCst),
        2,
        "another replica got the token that was signed out"
    );
}

/// A cache whose answers to `unlock` are lost.
#[derive(Clone, Default)]
struct Lossy {
    inner: MemoryVault,
    loses: Arc<AtomicBool>,
}

impl SharedTokenCache for Lossy {
    async fn read(&self, name: &str) -> Result<Option<Bytes>, TokenCacheError> {
        self.inner.read(name).await
    }

    async fn replace(
        &self,
        name: &str,
        seen: &[u8],
        with: Option<SealedRecord>,
    ) -> Result<bool, TokenCacheError> {
        self.inner.replace(name, seen, with).await
    }

    async fn lock(
        &self,
        name: &str,
        lease: Duration,
    ) -> Result<Option<VaultLock>, TokenCacheError> {
        self.inner.lock(name, lease).await
    }

    async fn extend(
        &self,
        name: &str,
        lock: &VaultLock,
        lease: Duration,
    ) -> Result<bool, TokenCacheError> {
        self.inner.extend(name, lock, lease).await
    }

    async fn unlock(
        &self,
        name: &str,
        lock: &VaultLock,
        write: Option<SealedRecord>,
    ) -> Result<bool, TokenCacheError> {
        let answer = self.inner.unlock(name, lock, write).await;
        if self.loses.load(Ordering::SeqCst) {
            return Err(TokenCacheError::new("the answer is lost"));
        }
        answer
    }
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
    let vault = Lossy::default();
    let replica = || {
        let site = site()
            .credential(reader())
            .shared_token_cache(&sealed(vault.clone()));
        layer(site, client.clone())
    };
    // One that is counted as it should be.
    assert!(replica().handle().sites()[0].renew().await.is_err());
    sleep(20 * SECOND).await;
    // One whose lock is given back, though the answer to that is lost a few times.
    let second = replica();
    let sites = second.handle().sites();
    let renewal = tokio::spawn(async move { sites[0].renew().await.is_err() });
    sleep(14 * SECOND).await;
    vault.loses.store(loses, Ordering::SeqCst);
    assert!(renewal.await.unwrap());
    sleep(60 * SECOND).await;
    vault.loses.store(false, Ordering::SeqCst);
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
async fn a_gateways_timeout_after_the_lock_is_lost_counts_as_well() {
    let passwords = Arc::new(AtomicUsize::new(0));
    let count = passwords.clone();
    let client = client(move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        async move {
            sleep(15 * SECOND).await;
            let mut page = answer("<html>no answer</html>");
            *page.status_mut() = StatusCode::GATEWAY_TIMEOUT;
            page
        }
    });
    let vault = MemoryVault::default();
    let replica = || {
        let site = site()
            .credential(reader())
            .shared_token_cache(&sealed(vault.clone()));
        layer(site, client.clone())
    };
    let mut renewals = Vec::new();
    for _ in 0..6 {
        let handle = replica().handle().sites().remove(0);
        renewals.push(tokio::spawn(async move { handle.renew().await.is_ok() }));
        sleep(10 * SECOND).await;
        vault.end_leases();
    }
    for renewal in renewals {
        assert!(!renewal.await.unwrap());
    }
    sleep(60 * SECOND).await;
    let before = passwords.load(Ordering::SeqCst);
    assert!(replica().handle().sites()[0].renew().await.is_err());
    assert_eq!(passwords.load(Ordering::SeqCst), before, "one more");
}

#[tokio::test(start_paused = true)]
async fn a_fleet_with_a_named_source_makes_four_logins_without_an_answer() {
    let passwords = Arc::new(AtomicUsize::new(0));
    let count = passwords.clone();
    let client = client(move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        std::future::pending::<Answer>()
    });
    let vault = MemoryVault::default();
    let replicas: Vec<_> = (0..10)
        .map(|_| {
            let url = format!("{ROOT}/tokens/generateToken");
            let own = GenerateToken::try_new(&url, reader(), client.clone()).unwrap();
            let site = Site::new(ROOT)
                .token_source(own.allow_insecure_http())
                .shared_token_cache(&sealed(vault.clone()));
            ArcgisAuthLayer::try_new(site)
                .unwrap()
                .layer(Upstream::taking_any_token())
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
async fn what_the_cache_did_not_get_is_written_again_though_the_source_was_found_anew() {
    for signs_out in [false, true] {
        let passwords = Arc::new(AtomicUsize::new(0));
        let memory = MemoryVault::default();
        let (count, vault) = (passwords.clone(), memory.clone());
        let client = client(move |_, _| {
            count.fetch_add(1, Ordering::SeqCst);
            let vault = vault.clone();
            async move {
                sleep(SECOND).await;
                vault.set_fault(Some(Fault::Fails));
                answer(WRONG)
            }
        });
        let replica = || {
            let site = site()
                .credential(reader())
                .bind_to_address()
                .shared_token_cache(&sealed(memory.clone()));
            layer(site, client.clone())
        };
        let first = replica();
        assert!(first.handle().sites()[0].renew().await.is_err());
        memory.set_fault(None);
        if signs_out {
            let _ = first.handle().sign_out().await;
        }
        sleep(60 * SECOND).await;
        assert!(replica().handle().sites()[0].renew().await.is_err());
        assert_eq!(
            passwords.load(Ordering::SeqCst),
            1,
            "signs out: {signs_out}"
        );
        drop(first);
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_counts_after_an_outage_as_long_as_it_is_remembered() {
    let passwords = Arc::new(AtomicUsize::new(0));
    let memory = MemoryVault::default();
    let (count, vault) = (passwords.clone(), memory.clone());
    let client = client(move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        let vault = vault.clone();
        async move {
            sleep(5 * SECOND).await;
            vault.set_fault(Some(Fault::Fails));
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
