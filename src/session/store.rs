//! The shared current token of one site and caller: read without a lock, renewed by one login at a time.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use tokio::{
    runtime::Handle,
    sync::oneshot,
    time::{Instant, timeout},
};

use crate::session::state::{Asker, LoginResult, SignedOut, State, Step, Ticket};
use crate::{
    challenge::Challenge,
    credential::Fingerprint,
    error::TokenError,
    handle::{SessionState, TokenState},
    lock::lock,
    outcome::SkipReason,
    patience::GIVEN_UP_AFTER,
    session::Tally,
    token::{
        DynTokenSource, Freshness, IssuedToken, Owner, SignOut, Token, TokenReason, TokenRequest,
    },
    trace,
    url::ServiceKey,
};

/// The shared current token, and everything that decides when the next is fetched.
pub(crate) struct TokenStore {
    current: ArcSwapOption<Token>,
    source: Arc<dyn DynTokenSource>,
    owner: Owner,
    login_timeout: Duration,
    state: Mutex<State>,
    pub(crate) tally: Arc<Tally>,
    /// Lets the hot path skip the lock while no service is remembered as refused, which is nearly always.
    remembers_services: AtomicBool,
    /// Likewise for a refused login.
    login_refused: AtomicBool,
}

/// What a request does about a token it lacks.
pub(crate) enum Renewal {
    /// Sign with this one.
    Token(Arc<Token>),
    /// A login is under way: wait here.
    Login(oneshot::Receiver<LoginResult>),
    /// There is none, and this is why.
    SkipReason(SkipReason),
}

impl TokenStore {
    pub(crate) fn new(
        source: Arc<dyn DynTokenSource>,
        owner: Owner,
        login_timeout: Duration,
        tally: Arc<Tally>,
    ) -> Self {
        Self {
            current: ArcSwapOption::empty(),
            source,
            owner,
            login_timeout,
            state: Mutex::default(),
            tally,
            remembers_services: AtomicBool::new(false),
            login_refused: AtomicBool::new(false),
        }
    }

    /// The current token, whatever its age.
    pub(crate) fn current(&self) -> Option<Arc<Token>> {
        self.current.load_full()
    }

    /// Why a login would be refused out of hand, if it would.
    pub(crate) fn refused_login(&self) -> Option<TokenError> {
        if !self.login_refused.load(Ordering::Relaxed) {
            return None;
        }
        let refusal = self.state().login_is_refused(Instant::now());
        let compare = refusal.as_ref().and_then(|refusal| refusal.compare);
        let is_changed = compare.is_some_and(|refused| self.lift_if_changed(refused));
        let refused = refusal.filter(|_| !is_changed);
        if refused.is_none() {
            let state = self.state();
            let is_refused = state.is_refused_at(Instant::now());
            self.login_refused.store(is_refused, Ordering::Relaxed);
        }
        refused.map(|refusal| refusal.error)
    }

    /// Lifts the refusal of the credential of this fingerprint if there is another now.
    fn lift_if_changed(&self, refused: u64) -> bool {
        let now = self.source.hashed_fingerprint();
        let is_changed = now.is_some_and(|now| now != refused);
        if is_changed {
            self.state().lift_refusal(refused);
        }
        is_changed
    }

    /// Whether any service is remembered as refused: only then is a request's service worth naming.
    pub(crate) fn remembers_services(&self) -> bool {
        self.remembers_services.load(Ordering::Relaxed)
    }

    /// Whether challenges of `service` go up, and if so, whether it calls every token invalid.
    pub(crate) fn refused_service(&self, service: ServiceKey) -> Option<bool> {
        self.state().refused_service(service, Instant::now())
    }

    /// A token newer than the one that `failed`, or the way to it. Starts a login if nobody has.
    pub(crate) fn renew(
        self: &Arc<Self>,
        failed: Option<&Arc<Token>>,
        reason: TokenReason,
    ) -> Renewal {
        let generation = failed.map(|token| token.generation());
        let asker = Asker {
            runtime: Handle::try_current().map(|runtime| runtime.id()).ok(),
            patience: self.login_timeout + GIVEN_UP_AFTER,
        };
        let (step, abandoned) = {
            let mut state = self.state();
            let step = state.want(generation, reason, asker, Instant::now());
            // One that was given up may have been refused.
            let is_refused = state.is_refused();
            self.login_refused.store(is_refused, Ordering::Relaxed);
            (step, state.abandoned())
        };
        drop(abandoned);
        match step {
            Step::Use(token) => Renewal::Token(token),
            Step::Wait(receiver, watch) => {
                if let Some((ticket, deadline)) = watch {
                    self.watch_login(ticket, deadline);
                }
                Renewal::Login(receiver)
            }
            Step::Denied(skip_reason) => Renewal::SkipReason(skip_reason),
            Step::Lead(ticket, receiver) => {
                self.log_in(ticket, failed.cloned(), reason);
                Renewal::Login(receiver)
            }
        }
    }

    /// Gets the next token while `current`, near its end, still signs.
    pub(crate) fn renew_ahead(self: &Arc<Self>, current: &Arc<Token>) {
        // The result reaches the store; this request does not wait for it.
        let _ = self.renew(Some(current), TokenReason::Expiring);
    }

    pub(crate) fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        self.source.fingerprint(fingerprint);
    }

    /// Forgets the token here, and ends a login under way. No other is made until the source is told.
    ///
    /// It may wait for this long before it is told.
    pub(crate) fn forget(self: &Arc<Self>, wait: Duration) -> Forgotten {
        self.tally.sign_outs.add_one();
        let now = Instant::now();
        let until = now + wait + SIGN_OUT_TIMEOUT + GIVEN_UP_AFTER;
        let mut state = self.state();
        let SignedOut { number, ended } = state.sign_out(until, now);
        let token = self.current.swap(None);
        let is_refused = state.is_refused();
        self.login_refused.store(is_refused, Ordering::Relaxed);
        self.remembers_services.store(false, Ordering::Relaxed);
        drop(state);
        if let Some((waiters, login)) = ended {
            if let Some(login) = login {
                login.abort();
            }
            waiters.tell();
        }
        Forgotten {
            store: Arc::clone(self),
            token,
            number,
        }
    }

    /// A token that is not past its end: for sources that log in with another's token.
    pub(crate) async fn fresh(self: &Arc<Self>) -> Result<Arc<Token>, SkipReason> {
        match self.current() {
            Some(current) => match current.freshness() {
                Freshness::Fresh => Ok(current),
                Freshness::NearEnd => {
                    self.renew_ahead(&current);
                    Ok(current)
                }
                Freshness::PastEnd => self.renewed(Some(&current), TokenReason::Expired).await,
            },
            None => self.renewed(None, TokenReason::Missing).await,
        }
    }

    /// A token newer than the one that `failed`.
    pub(crate) async fn renewed(
        self: &Arc<Self>,
        failed: Option<&Arc<Token>>,
        reason: TokenReason,
    ) -> Result<Arc<Token>, SkipReason> {
        // Whoever asks here is at a login already: nothing is gained by looking seldom.
        let refused = self.state().refused_fingerprint();
        if let Some(refused) = refused {
            self.lift_if_changed(refused);
        }
        match self.renew(failed, reason) {
            Renewal::Token(token) => Ok(token),
            Renewal::Login(login) => login.await.unwrap_or_else(|_| Err(broken_off())),
            Renewal::SkipReason(skip_reason) => Err(skip_reason),
        }
    }

    /// A new token, because somebody wants one.
    pub(crate) async fn renewed_on_order(self: &Arc<Self>) -> Result<Arc<Token>, SkipReason> {
        let current = self.current();
        self.renewed(current.as_ref(), TokenReason::Forced).await
    }

    pub(crate) fn session_state(&self) -> SessionState {
        let (skip_reason, is_logging_in) = self.state().outlook(Instant::now());
        SessionState {
            identity: self.owner.identity.clone(),
            token: self.current.load().as_deref().map(TokenState::of),
            skip_reason,
            is_logging_in,
        }
    }

    /// Whether something would be lost with this store that a new one would have to know.
    pub(crate) fn is_worth_keeping(&self, now: Instant) -> bool {
        self.state().is_worth_keeping(now)
    }

    /// A request signed with `token` came back clean.
    pub(crate) fn note_clean(&self, token: &Token) {
        if !token.is_proven() {
            token.set_proven();
            self.state().proven(token.generation());
        }
    }

    /// `service` answered a signed request cleanly after it was remembered as refusing this account.
    pub(crate) fn note_clean_service(&self, service: ServiceKey) {
        let more = self.state().service_clean(service);
        self.remembers_services.store(more, Ordering::Relaxed);
    }

    /// A login made because a service asked for a token though it had one was the cure.
    pub(crate) fn note_cured(&self) {
        self.state().cured();
    }

    /// `service`, at `path`, challenged the second sending too, signed after a fresh login.
    pub(crate) fn note_second_challenge(
        &self,
        service: ServiceKey,
        path: &str,
        challenge: Challenge,
    ) {
        let invalid = challenge == Challenge::TokenInvalid;
        self.state()
            .service_refused(service, invalid, Instant::now());
        self.remembers_services.store(true, Ordering::Relaxed);
        trace::service_refused(&self.owner.site, path, challenge);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Logs in from a task of its own: a caller that hangs up cancels nothing, one that is not polled stalls nobody.
    fn log_in(self: &Arc<Self>, ticket: Ticket, dead: Option<Arc<Token>>, reason: TokenReason) {
        // Here, and not in the login's own task: it may be part of a login of another store's.
        let request = TokenRequest::new(self.owner.clone(), reason, dead)
            .until(Instant::now() + self.login_timeout);
        let flight = FlightGuard {
            store: Arc::clone(self),
            ticket,
            fingerprint: None,
            request: request.clone(),
            landed: false,
        };
        let Ok(runtime) = Handle::try_current() else {
            flight.fail(TokenError::fault(
                "no tokio runtime here to log in from; run the service on one",
            ));
            return;
        };
        let login = trace::login(&self.owner.site, reason, flight.run());
        let login = runtime.spawn(login).abort_handle();
        if !self.state().set_login(ticket, login.clone(), request) {
            // It has ended, or somebody has signed out since.
            login.abort();
        }
    }

    /// Gives the login under `ticket` up at `deadline`. It ends by itself long before, unless its runtime stopped
    /// without a word: then nobody else would tell those who wait.
    fn watch_login(self: &Arc<Self>, ticket: Ticket, deadline: Instant) {
        let store = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep_until(deadline).await;
            let Some(store) = store.upgrade() else {
                return;
            };
            let error = TokenError::fault(
                "the login did not end in time, and the runtime it was begun on does not run any more",
            );
            let mut state = store.state();
            let waiters = state.given_up(ticket, error, Instant::now());
            let is_refused = state.is_refused();
            store.login_refused.store(is_refused, Ordering::Relaxed);
            drop(state);
            if let Some(waiters) = waiters {
                store.tally.failed_logins.add_one();
                waiters.tell();
            }
        });
    }

    /// Watches the token's age, so that the hot path reads a flag and no clock.
    fn watch_age(token: &Arc<Token>, now: Instant) {
        let Some(expires_at) = token.expires_at() else {
            return;
        };
        let renew_at = expires_at - renew_margin(expires_at - now, fastrand::f64());
        let watch = Watch(Arc::downgrade(token));
        let clock = tokio::spawn(async move {
            let mut watch = watch;
            for (at, freshness) in [
                (renew_at, Freshness::NearEnd),
                (expires_at, Freshness::PastEnd),
            ] {
                tokio::time::sleep_until(at).await;
                let Some(token) = watch.0.upgrade() else {
                    return;
                };
                token.set_freshness(freshness);
            }
            watch.0 = Weak::new();
        });
        token.set_clock(clock.abort_handle());
    }
}

/// A store whose token is forgotten, and whose source has yet to be told.
#[must_use]
pub(crate) struct Forgotten {
    store: Arc<TokenStore>,
    token: Option<Arc<Token>>,
    /// Of the sign-out.
    number: u64,
}

impl Forgotten {
    /// Lets the source forget as well. Needs a tokio runtime.
    ///
    /// # Errors
    ///
    /// The source's, and a fault where it takes too long.
    pub(crate) async fn tell(mut self) -> Result<(), TokenError> {
        let sign_out = SignOut::new(self.store.owner.clone(), self.token.take());
        let told = timeout(SIGN_OUT_TIMEOUT, self.store.source.sign_out(sign_out)).await;
        told.unwrap_or_else(|_| {
            Err(TokenError::fault(format!(
                "the token is forgotten here, but the token source could not be told within {} seconds that somebody \
                 signed out; sign out again",
                SIGN_OUT_TIMEOUT.as_secs()
            )))
        })
    }
}

impl Drop for Forgotten {
    fn drop(&mut self) {
        self.store.state().signed_out(self.number);
    }
}

/// Whoever watches a token's age. Dropped before its time, with the runtime it ran on, it says that nobody does.
struct Watch(Weak<Token>);

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(token) = self.0.upgrade() {
            token.set_unwatched();
        }
    }
}

/// How long it may take to tell a source that somebody signs out.
const SIGN_OUT_TIMEOUT: Duration = Duration::from_secs(15);

/// What those are told who wait for a login that gave no answer at all.
pub(crate) fn broken_off() -> SkipReason {
    SkipReason::LoginFailed(TokenError::fault(
        "the login broke off before it gave an answer",
    ))
}

/// What a login gave, or that it did not end in time.
pub(crate) async fn in_time(
    request: &TokenRequest,
    limit: Duration,
    login: impl Future<Output = Result<IssuedToken, TokenError>>,
) -> Result<IssuedToken, TokenError> {
    match timeout(limit, login).await {
        Ok(result) => request.concluded(result),
        Err(_) => Err(request.broken_off(TokenError::fault(format!(
            "the login did not end within {} seconds; check that the token service answers",
            limit.as_secs()
        )))),
    }
}

/// How long before its end a token of this `lifetime` is renewed. `jitter`, from 0 to 1, keeps the machines of a fleet
/// apart.
fn renew_margin(lifetime: Duration, jitter: f64) -> Duration {
    let margin = (lifetime / 10).clamp(Duration::from_secs(30), Duration::from_secs(5 * 60));
    // A token that lives for less than a minute is renewed half-way, not before it starts.
    margin.mul_f64(1.0 + 0.25 * jitter).min(lifetime / 2)
}

/// One login under way. However it ends, panic and a runtime that goes away included, the store learns of it.
struct FlightGuard {
    store: Arc<TokenStore>,
    ticket: Ticket,
    /// Of the credential, taken before the login: a change while it runs counts as a change.
    fingerprint: Option<u64>,
    request: TokenRequest,
    landed: bool,
}

impl FlightGuard {
    async fn run(mut self) {
        let started = Instant::now();
        self.fingerprint = self.store.source.hashed_fingerprint();
        let request = self.request.clone();
        let login = request.within(self.store.source.token(request.clone()));
        let issued = in_time(&request, self.store.login_timeout, login).await;
        let now = Instant::now();
        let token = issued.and_then(|issued| {
            let generation = self.store.state().next_generation();
            Token::new(issued, generation, now)
        });
        match token {
            Ok(token) => self.land(token, started, now),
            Err(error) => self.fail(error),
        }
    }

    fn land(mut self, token: Token, started: Instant, now: Instant) {
        self.landed = true;
        trace::got_token(&token, now - started);
        let mut state = self.store.state();
        let Some((token, waiters)) = state.landed(self.ticket, token, now) else {
            return;
        };
        self.store.tally.logins.add_one();
        self.store.current.store(Some(Arc::clone(&token)));
        self.store.login_refused.store(false, Ordering::Relaxed);
        drop(state);
        TokenStore::watch_age(&token, now);
        waiters.tell();
    }

    fn fail(mut self, error: TokenError) {
        self.landed = true;
        self.report(error);
    }

    /// The fingerprint of the credential that went out, as far as that can be told.
    fn used(&self) -> Option<u64> {
        let before = self.fingerprint;
        let used = self.request.fate().used_hash();
        if before.is_some() && (used.is_none() || used == before) {
            return before;
        }
        let after = self.store.source.hashed_fingerprint();
        // A source made of several tells more than what one of them used.
        if before.is_none() || used == after {
            after
        } else {
            before
        }
    }

    fn report(&self, error: TokenError) {
        if let Some(token) = &*self.store.current.load() {
            // Until a login answers the rejection, the old token is as good as any.
            token.set_rejected(false);
        }
        let refused = error.is_refused();
        let fingerprint = if refused {
            self.used()
        } else {
            self.fingerprint
        };
        let mut state = self.store.state();
        let waiters = state.failed(
            self.ticket,
            error.clone(),
            fingerprint,
            Instant::now(),
            fastrand::f64(),
        );
        self.store
            .login_refused
            .store(state.is_refused(), Ordering::Relaxed);
        drop(state);
        // A void ticket is that of a login somebody has signed out of, or given up already.
        if let Some(waiters) = waiters {
            trace::login_failed(&self.store.owner.site, &error);
            let tally = &self.store.tally;
            if refused {
                tally.refused_logins.add_one();
            } else {
                tally.failed_logins.add_one();
            }
            waiters.tell();
        }
    }
}

impl Drop for FlightGuard {
    fn drop(&mut self) {
        if !self.landed {
            let error = TokenError::fault(
                "the login broke off: its task panicked or its runtime shut down",
            );
            self.report(self.request.broken_off(error));
        }
    }
}

impl fmt::Debug for TokenStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenStore")
            .field("site", &self.owner.site)
            .field("identity", &self.owner.identity)
            .field("current", &*self.current.load())
            .finish_non_exhaustive()
    }
}
