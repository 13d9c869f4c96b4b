//! One credential at one token service, whatever the number of sites and callers that log in with it: what was refused to
//! one is not tried for the next. ArcGIS counts failures by account.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::time::{Instant, timeout_at};

use crate::{
    credential::Fingerprint,
    error::TokenError,
    lock::lock,
    login::{
        Unanswered,
        gate::{Gate, LetIn, PLACES},
    },
    registry,
    session::REFUSAL_REMEMBERED,
    token::{DynTokenSource, IssuedToken, SignOut, TokenRequest, TokenSource},
};

/// How long a login may take where its request does not say.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the logins with one credential have in common.
#[derive(Default)]
pub(super) struct Turn {
    gate: Mutex<Arc<Gate>>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// The fingerprint of the credential that worked last.
    works: Option<u64>,
    refused: Option<Refused>,
    unanswered: Unanswered,
    /// Those under way, by their numbers.
    logins: HashMap<u64, TokenRequest>,
    last_login: u64,
}

struct Refused {
    at: Instant,
    until: Instant,
    fingerprint: Option<u64>,
    error: TokenError,
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").finish_non_exhaustive()
    }
}

impl registry::Shared for Turn {
    fn is_needed(&self, now: Instant) -> bool {
        let known = self.known();
        known.unanswered.is_any(now) || known.denial(None, now).is_some()
    }
}

impl Turn {
    fn known(&self) -> MutexGuard<'_, Known> {
        lock(&self.known)
    }

    /// Waits for a login's turn. Whoever was let in on a runtime that is not driven any more keeps nobody out for ever.
    async fn let_in(&self, fingerprint: Option<u64>, until: Instant) -> LetIn {
        loop {
            let gate = Arc::clone(&lock(&self.gate));
            let takes = || self.known().places(fingerprint);
            if let Some(let_in) = gate.enter(until, takes).await {
                return let_in;
            }
            let mut current = lock(&self.gate);
            if Arc::ptr_eq(&current, &gate) {
                *current = Arc::default();
                drop(current);
                self.known().give_up_all();
            }
        }
    }
}

impl Known {
    /// How many places a login with the credential of this fingerprint takes: all, unless it worked last time. Should it
    /// have changed since, as many fail as there are places, and an account takes four failures.
    fn places(&self, fingerprint: Option<u64>) -> u32 {
        let is_known_to_work = self.works.is_some() && self.works == fingerprint;
        if is_known_to_work && !self.unanswered.is_any(Instant::now()) {
            1
        } else {
            PLACES
        }
    }

    /// Why no login with the credential of this fingerprint is made now.
    fn denial(&self, fingerprint: Option<u64>, now: Instant) -> Option<TokenError> {
        if let Some(refused) = &self.refused {
            // A credential that cannot be told just now has not changed.
            let is_another = matches!((refused.fingerprint, fingerprint), (Some(then), Some(now)) if then != now);
            if now < refused.until && !is_another {
                let error = refused.error.clone();
                return Some(error.remember_until(refused.until).from_memory());
            }
        }
        self.unanswered.denial(now)
    }

    /// A login that began at `began` was granted. What was learnt since is newer: the password may have been changed.
    fn granted(&mut self, fingerprint: Option<u64>, began: Instant) {
        self.unanswered.granted(began);
        self.refused.take_if(|refused| refused.at < began);
        self.works = fingerprint.filter(|_| self.refused.is_none());
    }

    fn refused(&mut self, fingerprint: Option<u64>, error: TokenError) {
        let now = Instant::now();
        let longest = now + REFUSAL_REMEMBERED;
        self.works = None;
        self.refused = Some(Refused {
            at: now,
            // What another process has known for a while is not remembered for longer by being handed on.
            until: error
                .remembered_until()
                .map_or(longest, |until| until.min(longest)),
            fingerprint,
            error,
        });
    }

    /// Logins on runtimes that nobody drives any more are not answered. Should one end after all, it is not counted again.
    fn give_up_all(&mut self) {
        for (login, request) in &self.logins {
            if request.fate().is_unanswered() {
                self.unanswered.add(*login, Instant::now());
            }
        }
        let refused = self.logins.values().find_map(|request| {
            let refusal = request.fate().refusal()?;
            Some((request.fate().used_hash(), refusal))
        });
        if let Some((fingerprint, refusal)) = refused {
            self.refused(fingerprint, refusal);
        }
    }
}

/// Why a login was not begun.
fn none_free() -> TokenError {
    TokenError::fault(
        "others log in with the same credential, and none of them had done so in time; nothing was sent; a longer \
         `login_timeout` helps where many do",
    )
}

/// A source whose logins take their turn.
pub(super) struct InTurn {
    login: Arc<dyn DynTokenSource>,
    turn: Arc<Turn>,
}

impl InTurn {
    pub(super) fn new(login: Arc<dyn DynTokenSource>, turn: Arc<Turn>) -> Self {
        Self { login, turn }
    }
}

/// A login under way. However it ends, what the token service made of its credential is learnt, or that nobody knows.
struct UnderWay<'a> {
    turn: &'a Turn,
    number: u64,
    request: TokenRequest,
    fingerprint: Option<u64>,
}

impl<'a> UnderWay<'a> {
    fn begin(
        turn: &'a Turn,
        request: &TokenRequest,
        fingerprint: Option<u64>,
    ) -> Result<Self, TokenError> {
        let mut known = turn.known();
        if let Some(error) = known.denial(fingerprint, Instant::now()) {
            return Err(error);
        }
        known.last_login += 1;
        let number = known.last_login;
        known.logins.insert(number, request.clone());
        Ok(Self {
            turn,
            number,
            request: request.clone(),
            fingerprint,
        })
    }

    /// Of the credential that went out: it may have changed since the login began.
    fn used(&self) -> Option<u64> {
        self.request.fate().used_hash().or(self.fingerprint)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut known = self.turn.known();
        known.logins.remove(&self.number);
        let fate = self.request.fate();
        if fate.is_unanswered() {
            known.unanswered.add(self.number, Instant::now());
        } else if let Some(refusal) = fate.refusal() {
            known.refused(self.used(), refusal);
        }
    }
}

impl Turn {
    /// Makes `log_in` for `request` in turn, with the credential that has this `fingerprint` by then.
    pub(super) async fn log_in(
        &self,
        request: TokenRequest,
        fingerprint: impl Fn() -> Option<u64>,
        log_in: impl AsyncFnOnce(TokenRequest) -> Result<IssuedToken, TokenError>,
    ) -> Result<IssuedToken, TokenError> {
        let until = request
            .deadline()
            .unwrap_or_else(|| Instant::now() + PATIENCE);
        // Whoever is let in at the last moment is broken off at once, and counts as not answered.
        let latest = until - until.saturating_duration_since(Instant::now()) / 3;
        let mut before = fingerprint();
        let _let_in = loop {
            let let_in = timeout_at(latest, self.let_in(before, until)).await;
            let let_in = let_in.map_err(|_| none_free())?;
            let now = fingerprint();
            if now == before {
                break let_in;
            }
            // It has changed while others had their turn, and may be known better, or less.
            before = now;
        };
        let under_way = UnderWay::begin(self, &request, before)?;
        let began = Instant::now();
        let token = request.concluded(log_in(request.clone()).await);
        if token.is_ok() {
            self.known().granted(under_way.used(), began);
        }
        token
    }

    /// Makes `log_in` for `request` in the turn that `source` has for itself, if it has one.
    pub(super) async fn of_a_source(
        turn: Option<&Self>,
        source: &impl TokenSource,
        request: TokenRequest,
        log_in: impl AsyncFnOnce(TokenRequest) -> Result<IssuedToken, TokenError>,
    ) -> Result<IssuedToken, TokenError> {
        let Some(turn) = turn else {
            return log_in(request).await;
        };
        let fingerprint = || crate::token::fingerprint_of(source).hashed();
        turn.log_in(request, fingerprint, log_in).await
    }
}

impl TokenSource for InTurn {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        let fingerprint = || self.login.hashed_fingerprint();
        let log_in = async |request| self.login.token(request).await;
        self.turn.log_in(request, fingerprint, log_in).await
    }

    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        self.login.fingerprint(fingerprint);
    }

    async fn sign_out(&self, sign_out: SignOut) -> Result<(), TokenError> {
        self.login.sign_out(sign_out).await
    }
}
