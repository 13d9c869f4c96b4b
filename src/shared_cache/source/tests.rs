//! Processes that share a source's tokens: a process is a wrapped source with a cache handle of its own.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use futures_util::future::join_all;

use super::*;
use crate::{
    Credential, SealedRecord, SealedTokenCache, SharedTokenCache, TokenCacheError, TokenCacheKeys,
    guard::{LockoutGuard, Millis},
    shared_cache::{
        memory::{Fault, MemoryCache},
        record::KeptToken,
    },
    token::{Token, token_source_fn},
};

const SECOND: Duration = Duration::from_secs(1);

fn sealed(cache: impl SharedTokenCache) -> SealedTokenCache {
    SealedTokenCache::new(cache, TokenCacheKeys::try_new("0a".repeat(32)).unwrap())
}

fn owner() -> Owner {
    Owner::site("https://gis.test/arcgis".into(), Some("ada".into()))
}

fn request_of(owner: Owner, reason: TokenReason, previous: Option<&str>) -> TokenRequest {
    let previous = previous.map(|text| {
        let issued = IssuedToken::try_new(text).unwrap();
        Arc::new(Token::new(issued, 1, Instant::now()).unwrap())
    });
    TokenRequest::new(owner, reason, previous, LockoutGuard::new())
        .until(Instant::now() + 30 * SECOND)
}

fn missing() -> TokenRequest {
    request_of(owner(), TokenReason::Missing, None)
}

fn rejected(token: &str) -> TokenRequest {
    request_of(owner(), TokenReason::Rejected, Some(token))
}

/// Gives `secret-0`, `secret-1`, …, each after a while.
#[derive(Clone, Default)]
struct Logins {
    count: Arc<AtomicUsize>,
    takes: Duration,
}

impl Logins {
    fn taking(takes: Duration) -> Self {
        Self {
            takes,
            ..Self::default()
        }
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    fn process(&self, cache: &MemoryCache) -> SharedSource<impl TokenSource + use<>> {
        let logins = self.clone();
        sealed(cache.clone()).wrap(token_source_fn(move |_| {
            let logins = logins.clone();
            async move {
                let number = logins.count.fetch_add(1, Ordering::SeqCst);
                sleep(logins.takes).await;
                IssuedToken::try_new(format!("secret-{number}"))
            }
        }))
    }
}

async fn text(result: impl Future<Output = Result<IssuedToken, TokenError>>) -> String {
    result.await.unwrap().expose().to_owned()
}

/// Puts this into the record that `source` shares its tokens through.
async fn put<S: TokenSource>(
    source: &SharedSource<S>,
    token: Option<&str>,
    leader: Option<Leader>,
) {
    let subject = source.subject(&owner());
    let while_open = WhileOpen::GiveUp;
    let found = source
        .records
        .find::<TokenRecord>(&subject, while_open)
        .await;
    let (mut found, _) = found.unwrap();
    let token = token.map(|text| KeptToken::new(&IssuedToken::try_new(text).unwrap(), now()));
    let record = TokenRecord { token, leader };
    let is_written = source.records.swap(&mut found, record, while_open).await;
    assert!(is_written.unwrap());
}

const FOR_EVER: Leader = Leader {
    id: 7,
    until: Millis::MAX,
};

#[tokio::test(start_paused = true)]
async fn a_sign_out_removes_the_token_for_all() {
    let (cache, logins) = (MemoryCache::default(), Logins::default());
    let (one, other) = (logins.process(&cache), logins.process(&cache));
    assert_eq!(text(one.token(missing())).await, "secret-0");
    assert_eq!(text(other.token(missing())).await, "secret-0");
    one.sign_out(SignOut::new(owner(), None)).await.unwrap();
    assert_eq!(cache.records(), []);
    assert_eq!(text(other.token(missing())).await, "secret-1");
}

#[tokio::test(start_paused = true)]
async fn a_sign_out_that_does_not_reach_the_cache_says_so_and_signs_out_here() {
    for fault in [Fault::Fails, Fault::Hangs, Fault::NeverSwaps] {
        let (cache, logins) = (MemoryCache::default(), Logins::default());
        let source = logins.process(&cache);
        source.token(missing()).await.unwrap();
        cache.set_fault(Some(fault));
        let error = source.sign_out(SignOut::new(owner(), None)).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains("until its end"), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_sign_out_asks_a_cache_that_failed_a_moment_ago() {
    let (cache, logins) = (MemoryCache::default(), Logins::default());
    let source = logins.process(&cache);
    source.token(missing()).await.unwrap();
    cache.set_fault(Some(Fault::Fails));
    source.token(rejected("secret-0")).await.unwrap();
    cache.set_fault(None);
    source.sign_out(SignOut::new(owner(), None)).await.unwrap();
    assert_eq!(cache.records(), []);
}

/// Takes a change in, and makes it half a second later whether or not the answer is waited for.
#[derive(Clone, Default)]
struct OnTheWay(MemoryCache);

impl SharedTokenCache for OnTheWay {
    async fn get(&self, name: &str) -> Result<Option<Bytes>, TokenCacheError> {
        self.0.get(name).await
    }

    async fn compare_and_swap(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        new: Option<SealedRecord>,
    ) -> Result<bool, TokenCacheError> {
        let (cache, name) = (self.0.clone(), name.to_owned());
        let expected = expected.map(<[u8]>::to_vec);
        let change = tokio::spawn(async move {
            sleep(SECOND / 2).await;
            cache
                .compare_and_swap(&name, expected.as_deref(), new)
                .await
        });
        change.await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_just_being_shared_as_a_user_signs_out_is_not_shared() {
    let cache = OnTheWay::default();
    let source = token_source_fn(|_| async { IssuedToken::try_new("secret") });
    // The breaker is not what this is about.
    let source = sealed(cache.clone()).time_limit(10 * SECOND).wrap(source);
    let login = tokio::spawn({
        let source = source.clone();
        async move { source.token(missing()).await }
    });
    // The lead is taken after half a second; the token is on its way.
    sleep(SECOND * 3 / 4).await;
    login.abort();
    source.sign_out(SignOut::new(owner(), None)).await.unwrap();
    sleep(20 * SECOND).await;
    assert_eq!(cache.0.records(), []);
}

#[tokio::test(start_paused = true)]
async fn identities_share_nothing() {
    let (cache, logins) = (MemoryCache::default(), Logins::default());
    let source = logins.process(&cache);
    for (identity, token) in [
        (Some("ada"), "secret-0"),
        (Some("grace"), "secret-1"),
        (Some(""), "secret-2"),
        (None, "secret-3"),
        (Some("ada"), "secret-0"),
    ] {
        let owner = Owner::site(owner().site, identity.map(Into::into));
        let request = request_of(owner, TokenReason::Missing, None);
        assert_eq!(text(source.token(request)).await, token);
    }
}

#[tokio::test(start_paused = true)]
async fn the_token_of_a_process_has_what_is_left_of_its_life_in_another() {
    let cache = MemoryCache::default();
    let process = || {
        sealed(cache.clone()).wrap(token_source_fn(|_| async {
            Ok(IssuedToken::try_new("secret")?.valid_for(3600 * SECOND))
        }))
    };
    process().token(missing()).await.unwrap();
    sleep(600 * SECOND).await;
    let token = process().token(missing()).await.unwrap();
    let left = token.lifetime().unwrap();
    assert!((2999 * SECOND..=3000 * SECOND).contains(&left), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_was_replaced_is_not_taken_from_the_cache() {
    for reason in [
        TokenReason::Expiring,
        TokenReason::Expired,
        TokenReason::Rejected,
        TokenReason::RequiredDespiteToken,
        TokenReason::Forced,
    ] {
        let (cache, logins) = (MemoryCache::default(), Logins::default());
        let source = logins.process(&cache);
        assert_eq!(text(source.token(missing())).await, "secret-0");
        let request = request_of(owner(), reason, Some("secret-0"));
        assert_eq!(text(source.token(request)).await, "secret-1", "{reason}");
        let request = request_of(owner(), reason, Some("another"));
        assert_eq!(text(source.token(request)).await, "secret-1", "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_older_than_the_one_it_would_replace_is_not_taken_from_the_cache() {
    let lifetime = 3600 * SECOND;
    for (age, is_taken) in [(60 * SECOND, false), (SECOND, true)] {
        for reason in [TokenReason::Expiring, TokenReason::Rejected] {
            let cache = MemoryCache::default();
            let process = |gives: &'static str| {
                sealed(cache.clone()).wrap(token_source_fn(move |_| async move {
                    Ok(IssuedToken::try_new(gives)?.valid_for(lifetime))
                }))
            };
            process("old").token(missing()).await.unwrap();
            sleep(age).await;
            // Got while the cache was out of reach.
            let own = IssuedToken::try_new("own").unwrap().valid_for(lifetime);
            let own = Arc::new(Token::new(own, 1, Instant::now()).unwrap());
            let request = TokenRequest::new(owner(), reason, Some(own), LockoutGuard::new());
            let token = text(process("new").token(request)).await;
            assert_eq!(token, if is_taken { "old" } else { "new" }, "{reason}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rejected_token_is_removed_though_no_login_succeeds() {
    let cache = MemoryCache::default();
    let process = |gives: Option<&'static str>| {
        sealed(cache.clone()).wrap(token_source_fn(move |_| async move {
            IssuedToken::try_new(gives.ok_or_else(|| TokenError::fault("down"))?)
        }))
    };
    process(Some("secret")).token(missing()).await.unwrap();
    assert!(process(None).token(rejected("secret")).await.is_err());
    sleep(SECOND).await;
    assert_eq!(cache.records(), []);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_token_is_removed_while_another_process_logs_in() {
    let (cache, logins) = (MemoryCache::default(), Logins::taking(5 * SECOND));
    let source = logins.process(&cache);
    put(&source, Some("dead"), None).await;
    let renewing = logins.process(&cache);
    let renewal = request_of(owner(), TokenReason::Expiring, Some("dead"));
    let renewal = tokio::spawn(async move { text(renewing.token(renewal)).await });
    sleep(SECOND).await;
    let waits = logins.process(&cache);
    let waits = tokio::spawn(async move { text(waits.token(rejected("dead"))).await });
    sleep(SECOND).await;
    let subject = source.subject(&owner());
    let found = source
        .records
        .find::<TokenRecord>(&subject, WhileOpen::GiveUp);
    assert!(found.await.unwrap().0.content.token.is_none());
    // Neither has lost anything by that.
    assert_eq!(renewal.await.unwrap(), "secret-0");
    assert_eq!(waits.await.unwrap(), "secret-0");
    assert_eq!(logins.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_rejected_token_that_the_source_gives_again_is_not_shared() {
    let cache = MemoryCache::default();
    let source = token_source_fn(|_| async { IssuedToken::try_new("the-only-one") });
    let source = sealed(cache.clone()).wrap(source);
    source.token(missing()).await.unwrap();
    let again = source.token(rejected("the-only-one")).await.unwrap();
    assert_eq!(again.expose(), "the-only-one");
    sleep(SECOND).await;
    assert_eq!(cache.records(), []);
}

#[tokio::test(start_paused = true)]
async fn the_token_of_an_account_that_changed_during_the_login_is_not_shared() {
    /// Reads its user name, as from a file, whenever it is asked.
    #[derive(Clone)]
    struct Mounted(Arc<Mutex<&'static str>>);

    impl TokenSource for Mounted {
        async fn token(&self, _: TokenRequest) -> Result<IssuedToken, TokenError> {
            *self.0.lock().unwrap() = "grace";
            sleep(SECOND).await;
            IssuedToken::try_new("grace-s-token")
        }

        fn fingerprint(&self, fingerprint: &mut Fingerprint) {
            let name = *self.0.lock().unwrap();
            Credential::user(name, "secret").fingerprint(fingerprint);
        }
    }

    let cache = MemoryCache::default();
    let mounted = || Mounted(Arc::new(Mutex::new("ada")));
    let source = sealed(cache.clone()).wrap(mounted());
    assert_eq!(text(source.token(missing())).await, "grace-s-token");
    sleep(SECOND).await;
    assert_eq!(cache.records(), []);
}

#[tokio::test(start_paused = true)]
async fn ten_processes_log_in_once_however_long_that_takes() {
    for takes in [0, 1, 9, 25] {
        let (cache, logins) = (MemoryCache::default(), Logins::taking(takes * SECOND));
        let ten: Vec<_> = (0..10).map(|_| logins.process(&cache)).collect();
        for token in join_all(ten.iter().map(|it| text(it.token(missing())))).await {
            assert_eq!(token, "secret-0");
        }
        assert_eq!(logins.count(), 1, "{takes}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_died_is_followed_by_one_of_ten_after_a_lease() {
    for until in [10_000, Millis::MAX / 2] {
        let until = now() + until;
        let (cache, logins) = (MemoryCache::default(), Logins::default());
        let ten: Vec<_> = (0..10).map(|_| logins.process(&cache)).collect();
        put(&ten[0], Some("dead"), Some(Leader { id: 7, until })).await;
        let started = Instant::now();
        for token in join_all(ten.iter().map(|it| text(it.token(rejected("dead"))))).await {
            assert_eq!(token, "secret-0");
        }
        let waited = started.elapsed();
        assert!(
            (9 * SECOND..=11 * SECOND).contains(&waited),
            "{until} {waited:?}"
        );
        assert_eq!(logins.count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_died_long_ago_is_not_waited_for() {
    let (cache, logins) = (MemoryCache::default(), Logins::default());
    let source = logins.process(&cache);
    let died = Leader {
        id: 7,
        until: now() - 10_000,
    };
    put(&source, Some("dead"), Some(died)).await;
    let started = Instant::now();
    assert_eq!(text(source.token(rejected("dead"))).await, "secret-0");
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_stands_for_ever_and_cannot_be_replaced_is_waited_for_for_a_lease() {
    for leader in [None, Some(FOR_EVER)] {
        let (cache, logins) = (MemoryCache::default(), Logins::default());
        let processes: Vec<_> = (0..3).map(|_| logins.process(&cache)).collect();
        put(&processes[0], Some("dead"), leader).await;
        cache.set_fault(Some(Fault::NeverSwaps));
        let started = Instant::now();
        let logged_in = processes.iter().map(|it| it.token(rejected("dead")));
        assert!(join_all(logged_in).await.iter().all(Result::is_ok));
        let waited = started.elapsed();
        assert!(waited <= SECOND * 101 / 10, "{leader:?}: {waited:?}");
        assert_eq!(logins.count(), 3, "each by itself");
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_that_fails_is_followed_by_another_processs_at_once() {
    let cache = MemoryCache::default();
    let fails = sealed(cache.clone()).wrap(token_source_fn(|_| async {
        sleep(SECOND).await;
        Err::<IssuedToken, _>(TokenError::fault("down"))
    }));
    let failed = tokio::spawn(async move { fails.token(missing()).await.is_err() });
    sleep(SECOND / 2).await;
    let logins = Logins::default();
    let started = Instant::now();
    assert_eq!(
        text(logins.process(&cache).token(missing())).await,
        "secret-0"
    );
    assert!(started.elapsed() < 2 * SECOND);
    assert!(failed.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_login_that_is_broken_off_is_followed_by_another_processs_at_once() {
    let (cache, logins) = (MemoryCache::default(), Logins::taking(SECOND));
    let source = logins.process(&cache);
    let login = tokio::spawn(async move { source.token(missing()).await.is_ok() });
    sleep(SECOND / 2).await;
    login.abort();
    sleep(SECOND / 100).await;
    assert_eq!(cache.records(), []);
    let started = Instant::now();
    assert_eq!(
        text(logins.process(&cache).token(missing())).await,
        "secret-1"
    );
    assert_eq!(started.elapsed(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_held_up_writes_nothing_over_what_came_after() {
    // The other is still at it, or done, by the time the first comes to write.
    for takes in [3, 6] {
        let cache = MemoryCache::default();
        let (held_up, next) = (Logins::taking(5 * SECOND), Logins::taking(takes * SECOND));
        let source = held_up.process(&cache);
        let login = tokio::spawn(async move { text(source.token(missing())).await });
        sleep(SECOND).await;
        cache.forget_all();
        let fresh = sealed(cache.clone()).wrap(token_source_fn(move |_| async move {
            sleep(takes * SECOND).await;
            IssuedToken::try_new("the-latest")
        }));
        assert_eq!(text(fresh.token(missing())).await, "the-latest");
        assert_eq!(login.await.unwrap(), "secret-0", "it keeps its own");
        let late = next.process(&cache);
        assert_eq!(text(late.token(missing())).await, "the-latest", "{takes}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_vanished_during_the_login_is_written_anew() {
    let (cache, logins) = (MemoryCache::default(), Logins::taking(2 * SECOND));
    let source = logins.process(&cache);
    let login = tokio::spawn(async move { text(source.token(missing())).await });
    sleep(SECOND).await;
    cache.forget_all();
    assert_eq!(login.await.unwrap(), "secret-0");
    assert_eq!(
        text(logins.process(&cache).token(missing())).await,
        "secret-0"
    );
    assert_eq!(logins.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_waited_too_long_says_for_what() {
    let (cache, logins) = (MemoryCache::default(), Logins::taking(3600 * SECOND));
    let source = logins.process(&cache);
    let login = tokio::spawn(async move { source.token(missing()).await });
    sleep(SECOND).await;
    let started = Instant::now();
    let error = logins.process(&cache).token(missing()).await.unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
    assert!(!error.is_refused());
    assert!(started.elapsed() < 28 * SECOND);
    login.abort();
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_fails_in_whatever_way_costs_each_process_a_login_and_little_time() {
    for (fault, most) in [
        (Fault::Fails, Duration::ZERO),
        (Fault::Hangs, SECOND),
        (Fault::Full, Duration::ZERO),
        (Fault::Nonsense, Duration::ZERO),
        (Fault::Forgets, Duration::ZERO),
        (Fault::NeverSwaps, SECOND * 101 / 10),
    ] {
        let (cache, logins) = (MemoryCache::default(), Logins::default());
        cache.set_fault(Some(fault));
        let processes: Vec<_> = (0..3).map(|_| logins.process(&cache)).collect();
        let started = Instant::now();
        let tokens = processes.iter().map(|it| it.token(missing()));
        for token in join_all(tokens).await {
            assert!(token.is_ok(), "{fault:?}: {token:?}");
        }
        let waited = started.elapsed();
        // A timer may be a millisecond late.
        assert!(waited <= most + SECOND / 1000, "{fault:?}: {waited:?}");
        assert_eq!(logins.count(), 3, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lead_whose_answer_was_lost_costs_the_next_process_a_lease() {
    let (cache, logins) = (MemoryCache::default(), Logins::default());
    cache.set_fault(Some(Fault::LosesAnswers));
    assert_eq!(
        text(logins.process(&cache).token(missing())).await,
        "secret-0"
    );
    cache.set_fault(None);
    let started = Instant::now();
    assert_eq!(
        text(logins.process(&cache).token(missing())).await,
        "secret-1"
    );
    let waited = started.elapsed();
    assert!(waited <= SECOND * 101 / 10, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_failed_is_asked_again_after_three_seconds() {
    let (cache, logins) = (MemoryCache::default(), Logins::default());
    let source = logins.process(&cache);
    cache.set_fault(Some(Fault::Fails));
    source.token(missing()).await.unwrap();
    assert_eq!(cache.questions(), 1);
    cache.set_fault(None);
    sleep(SECOND * 29 / 10).await;
    source.token(missing()).await.unwrap();
    assert_eq!(cache.questions(), 1);
    sleep(SECOND / 5).await;
    assert_eq!(text(source.token(missing())).await, "secret-2");
    assert_eq!(
        text(logins.process(&cache).token(missing())).await,
        "secret-2"
    );
}

#[tokio::test(start_paused = true)]
async fn a_first_answer_may_be_slow_for_it_takes_a_connection() {
    let (cache, logins) = (MemoryCache::default(), Logins::default());
    let source = logins.process(&cache);
    cache.set_fault(Some(Fault::Slow(SECOND / 2)));
    let connected = async {
        sleep(SECOND / 4).await;
        cache.set_fault(None);
    };
    let (token, ()) = tokio::join!(text(source.token(missing())), connected);
    assert_eq!(token, "secret-0");
    assert_eq!(
        text(logins.process(&cache).token(missing())).await,
        "secret-0"
    );
}
