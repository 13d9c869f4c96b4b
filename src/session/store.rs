//! The shared current token of one session: read without a lock, renewed by one login at a time.

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

use super::{
    budget::LoginBudget,
    events::SiteEvents,
    state::{LoginResult, State, Step, Ticket},
    status::{SessionState, TokenState},
};
use crate::{
    error::TokenError,
    guard::{LockoutGuard, SessionId},
    lock::lock,
    outcome::SkipReason,
    token::{
        DynTokenSource, Freshness, IssuedToken, Owner, SignOut, Token, TokenReason, TokenRequest,
    },
    trace,
};

/// How often a refused credential is compared with what there is now: it may be read from a file.
const CREDENTIAL_COMPARED_EVERY: Duration = Duration::from_secs(1);
/// How long it may take to tell a source of a sign-out.
const SIGN_OUT_TIMEOUT: Duration = Duration::from_secs(15);

/// The shared current token, and what decides when the next is fetched.
pub(crate) struct TokenStore {
    current: ArcSwapOption<Token>,
    source: Arc<dyn DynTokenSource>,
    owner: Owner,
    guard: LockoutGuard,
    id: SessionId,
    login_timeout: Duration,
    state: Mutex<State>,
    events: Arc<SiteEvents>,
    /// Lets the hot path skip the guard while no refusal is remembered, which is nearly always.
    may_be_refused: AtomicBool,
    compare_at: Mutex<Option<Instant>>,
}

/// What a request does about a token it lacks.
pub(crate) enum Renewal {
    /// Sign with this one.
    Token(Arc<Token>),
    /// A login is under way: wait here.
    Login(oneshot::Receiver<LoginResult>),
    /// There is none, and this is why.
    Skipped(SkipReason),
}

impl TokenStore {
    pub(crate) fn new(
        source: Arc<dyn DynTokenSource>,
        owner: Owner,
        guard: LockoutGuard,
        login_timeout: Duration,
        events: Arc<SiteEvents>,
    ) -> Self {
        Self {
            current: ArcSwapOption::empty(),
            source,
            id: SessionId::new(&owner.site, owner.identity.as_ref(), owner.is_portal),
            owner,
            guard,
            login_timeout,
            state: Mutex::default(),
            events,
            may_be_refused: AtomicBool::new(false),
            compare_at: Mutex::new(None),
        }
    }

    /// The current token, whatever its age.
    #[inline]
    pub(crate) fn current(&self) -> Option<Arc<Token>> {
        self.current.load_full()
    }

    pub(crate) fn events(&self) -> &SiteEvents {
        &self.events
    }

    /// The current token, where nothing is known against it and no login of its session is refused.
    #[inline]
    pub(crate) fn unremarkable_token(&self) -> Option<Arc<Token>> {
        if self.may_be_refused.load(Ordering::Relaxed) {
            return None;
        }
        self.current().filter(|token| token.is_unremarkable())
    }

    /// Why a login would be refused without asking a token service, if it would.
    pub(crate) fn refused_login(&self) -> Option<TokenError> {
        if !self.may_be_refused.load(Ordering::Relaxed) {
            return None;
        }
        let refusal = self.refusal(self.is_time_to_compare());
        self.may_be_refused
            .store(refusal.is_some(), Ordering::Relaxed);
        refusal
    }

    /// What the guard remembers. A refusal is lifted where the credential has changed since, if that is to be `compared`.
    fn refusal(&self, compared: bool) -> Option<TokenError> {
        let (error, refused) = self.guard.refused_session(self.id)?;
        if compared && refused.is_some() {
            let now = self.source.hashed_fingerprint();
            if now.is_some() && now != refused {
                self.guard.lift_refusal(self.id, refused);
                return None;
            }
        }
        Some(error)
    }

    fn is_time_to_compare(&self) -> bool {
        let now = Instant::now();
        let mut compare_at = lock(&self.compare_at);
        let is_due = compare_at.is_none_or(|at| at <= now);
        if is_due {
            *compare_at = Some(now + CREDENTIAL_COMPARED_EVERY);
        }
        is_due
    }

    /// A token newer than the one that `failed`, or how to get it. Starts a login if none is under way.
    pub(crate) fn renew(
        self: &Arc<Self>,
        failed: Option<&Arc<Token>>,
        reason: TokenReason,
    ) -> Renewal {
        self.renew_unless(failed, reason, self.refusal(false))
    }

    fn renew_unless(
        self: &Arc<Self>,
        failed: Option<&Arc<Token>>,
        reason: TokenReason,
        refusal: Option<TokenError>,
    ) -> Renewal {
        let generation = failed.map(|token| token.generation());
        let is_refused = refusal.is_some();
        let mut state = self.state();
        let step = state.want(generation, reason, refusal, Instant::now());
        let warns =
            matches!(step, Step::Denied(SkipReason::LoginBudgetSpent)) && state.budget.warn();
        drop(state);
        if is_refused {
            self.may_be_refused.store(true, Ordering::Relaxed);
        }
        match step {
            Step::Use(token) => Renewal::Token(token),
            Step::Wait(receiver) => Renewal::Login(receiver),
            Step::Denied(reason) => {
                if warns {
                    self.events.login_budget_is_empty();
                }
                self.events.login_withheld(&reason);
                Renewal::Skipped(reason)
            }
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

    /// Forgets the token here, and ends a login under way. No other is made until the source is told.
    pub(crate) fn forget(self: &Arc<Self>) -> Forgotten {
        // Another person may be asked for a credential; what a token service refused, it still counts.
        self.guard.forget_cancelled(self.id);
        let mut state = self.state();
        let ended = state.sign_out();
        let token = self.current.swap(None);
        drop(state);
        self.events.signed_out(&self.owner, token.as_deref());
        if let Some((waiters, login)) = ended {
            self.events.login_signed_out();
            if let Some(login) = login {
                login.abort();
            }
            waiters.tell();
        }
        Forgotten {
            store: Arc::clone(self),
            token,
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
    ) -> LoginResult {
        // This is rare, so that looking at the credential each time costs nothing that matters.
        match self.renew_unless(failed, reason, self.refusal(true)) {
            Renewal::Token(token) => Ok(token),
            Renewal::Login(login) => login.await.unwrap_or_else(|_| Err(broken_off())),
            Renewal::Skipped(reason) => Err(reason),
        }
    }

    /// A new token, whatever the age of the current one.
    pub(crate) async fn renewed_by_force(self: &Arc<Self>) -> LoginResult {
        let current = self.current();
        self.renewed(current.as_ref(), TokenReason::Forced).await
    }

    pub(crate) fn session_state(&self) -> SessionState {
        let now = Instant::now();
        let refusal = self.refusal(false);
        let state = self.state();
        SessionState {
            identity: self.owner.identity.clone(),
            token: self.current.load().as_deref().map(TokenState::of),
            no_login: state.denial(TokenReason::Missing, refusal, now),
            is_logging_in: state.is_logging_in(),
            logins_left: state.budget.left(now),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Logs in from a task of its own: a caller that hangs up cancels nothing, one that is not polled stalls no other.
    fn log_in(self: &Arc<Self>, ticket: Ticket, previous: Option<Arc<Token>>, reason: TokenReason) {
        self.events.login_started(reason);
        let started = Instant::now();
        let request = TokenRequest::new(self.owner.clone(), reason, previous, self.guard.clone())
            .until(started + self.login_timeout);
        let login = LoginTask {
            store: Arc::clone(self),
            ticket,
            started,
            credential: None,
            request,
            has_ended: false,
        };
        let Ok(runtime) = Handle::try_current() else {
            login.failed(TokenError::fault(
                "no tokio runtime here to log in from; run the service on one",
            ));
            return;
        };
        let login = trace::login(&self.owner.site, reason, login.run());
        let task = runtime.spawn(login).abort_handle();
        if !self.state().set_task(ticket, task.clone()) {
            task.abort();
        }
    }
}

/// What those are told who wait for a login that gave no answer at all.
pub(crate) fn broken_off() -> SkipReason {
    SkipReason::LoginFailed(TokenError::fault(
        "the login broke off before it gave an answer",
    ))
}

/// A store whose token is forgotten, and whose source has yet to be told.
#[must_use]
pub(crate) struct Forgotten {
    store: Arc<TokenStore>,
    token: Option<Arc<Token>>,
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
                "the token is forgotten here, but the token source did not confirm the sign-out within {} seconds; sign \
                 out again",
                SIGN_OUT_TIMEOUT.as_secs()
            )))
        })
    }
}

impl Drop for Forgotten {
    fn drop(&mut self) {
        self.store.state().told();
    }
}

/// One login under way. However it ends, panic and a runtime that shuts down included, the store learns of it.
struct LoginTask {
    store: Arc<TokenStore>,
    ticket: Ticket,
    started: Instant,
    /// What the credential is recognised by, taken before the login: a change while it runs counts as a change.
    credential: Option<u64>,
    request: TokenRequest,
    has_ended: bool,
}

impl LoginTask {
    async fn run(mut self) {
        self.credential = self.store.source.hashed_fingerprint();
        let limit = self.store.login_timeout;
        let login = self.store.source.token_within(self.request.clone(), limit);
        match login.await.and_then(|issued| self.token(issued)) {
            Ok(token) => self.landed(token),
            Err(error) => self.failed(error),
        }
    }

    fn token(&self, issued: IssuedToken) -> Result<Token, TokenError> {
        let generation = self.store.state().next_generation();
        Token::new(issued, generation, Instant::now())
    }

    fn landed(mut self, token: Token) {
        self.has_ended = true;
        let spends = !token.is_from_shared_cache() || self.request.is_credential_sent();
        let mut state = self.store.state();
        let Some((token, waiters)) = state.landed(self.ticket, token) else {
            return;
        };
        let spent = self.spend(&mut state, spends);
        self.store.current.store(Some(Arc::clone(&token)));
        drop(state);
        self.store.may_be_refused.store(false, Ordering::Relaxed);
        self.store.events.login_gave(&token, self.started.elapsed());
        self.tell_budget(spent);
        watch_age(&token);
        waiters.tell();
    }

    fn failed(mut self, error: TokenError) {
        self.has_ended = true;
        self.report(error);
    }

    fn report(&self, error: TokenError) {
        let store = &self.store;
        if let Some(token) = &*store.current.load() {
            // Until a login answers the rejection, the old token is as good as any.
            token.set_rejected(false);
        }
        let is_refused = error.is_refused();
        let mut state = store.state();
        let waiters = state.failed(self.ticket, error.clone(), fastrand::f64(), Instant::now());
        // A void ticket is that of a login before a sign-out.
        let Some(waiters) = waiters else {
            return;
        };
        let spent = self.spend(&mut state, self.request.is_credential_sent());
        if is_refused {
            let credential = self.request.attempted_credential().or(self.credential);
            store.guard.refuse_session(store.id, credential, &error);
            store.may_be_refused.store(true, Ordering::Relaxed);
        }
        drop(state);
        store.events.login_failed(&error, self.started.elapsed());
        self.tell_budget(spent);
        waiters.tell();
    }

    /// What is left of the budget, if this login was paid from it.
    fn spend(&self, state: &mut State, spends: bool) -> Option<LoginBudget> {
        let is_paid = spends && self.request.reason().is_challenge();
        is_paid.then(|| {
            state.budget.spend(Instant::now());
            state.budget
        })
    }

    fn tell_budget(&self, spent: Option<LoginBudget>) {
        if let Some(budget) = spent {
            self.store.events.login_budget_spent(budget);
        }
    }
}

impl Drop for LoginTask {
    fn drop(&mut self) {
        if !self.has_ended {
            self.report(TokenError::fault(
                "the login broke off: its task panicked or its runtime shut down",
            ));
        }
    }
}

/// Watches the token's age from a task, so that the hot path reads a flag and no clock.
fn watch_age(token: &Arc<Token>) {
    let Some((expires_at, lifetime)) = token.expiry() else {
        return;
    };
    let renew_at = expires_at - renew_margin(lifetime, fastrand::f64());
    let token_watched: Weak<Token> = Arc::downgrade(token);
    let clock = tokio::spawn(async move {
        for (at, freshness) in [
            (renew_at, Freshness::NearEnd),
            (expires_at, Freshness::PastEnd),
        ] {
            tokio::time::sleep_until(at).await;
            let Some(token) = token_watched.upgrade() else {
                return;
            };
            token.set_freshness(freshness);
        }
    });
    token.set_clock(clock.abort_handle());
}

/// How long before its end a token of this `lifetime` is renewed. `jitter`, from 0 to 1, keeps the machines of a fleet
/// apart.
fn renew_margin(lifetime: Duration, jitter: f64) -> Duration {
    let margin = (lifetime / 10).clamp(Duration::from_secs(30), Duration::from_secs(5 * 60));
    // A token that lives for less than a minute is renewed half-way, not before it starts.
    margin.mul_f64(1.0 + 0.25 * jitter).min(lifetime / 2)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_a_tenth_of_its_life_before_its_end() {
        for (lifetime, margin) in [
            (3600, 300),
            (60 * 60 * 24, 300),
            (1200, 120),
            (300, 30),
            (61, 30),
            (60, 30),
            (20, 10),
            (0, 0),
        ] {
            let lifetime = Duration::from_secs(lifetime);
            assert_eq!(renew_margin(lifetime, 0.0).as_secs(), margin);
            let most = margin + margin / 4;
            assert!(renew_margin(lifetime, 1.0).as_secs() <= most);
        }
        assert_eq!(renew_margin(Duration::from_secs(1200), 1.0).as_secs(), 150);
    }
}
