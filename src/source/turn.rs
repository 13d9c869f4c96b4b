//! One credential at one token service, whatever the number of sites and callers that log in with it: what was refused to
//! one is not tried for the next. ArcGIS counts failures by account.

use std::{
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use super::{DynTokenSource, Fingerprint, SignOut, TokenRequest, TokenSource, Unanswered};
use crate::{error::TokenError, registry, store::REFUSAL_REMEMBERED, token::IssuedToken};

/// Logins at once with a credential that worked last time. Should it have changed since, these are all that fail, and an
/// account takes four failures.
const AT_ONCE: u32 = 3;
/// How long a login may take where its request does not say.
const PATIENCE: Duration = Duration::from_secs(30);
/// A login that has not ended by itself this long after its time is on a runtime that nobody drives.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(1);

/// What the logins with one credential have in common.
#[derive(Default)]
pub(super) struct Turn {
    gate: Mutex<Arc<Gate>>,
    known: Mutex<Known>,
}

/// Lets so many log in at once as the credential allows, in the order they came.
struct Gate {
    /// Whoever is next.
    next: Places,
    logins: Places,
}

/// Places that are taken in turn.
struct Places {
    free: Arc<Semaphore>,
    /// When the last of those who took one will have given up.
    until: Mutex<Instant>,
}

/// What a login holds that was let in.
struct LetIn {
    _login: OwnedSemaphorePermit,
}

#[derive(Default)]
struct Known {
    /// The fingerprint of the credential that worked last.
    works: Option<u64>,
    refused: Option<Refused>,
    unanswered: Unanswered,
}

struct Refused {
    until: Instant,
    fingerprint: Option<u64>,
    error: TokenError,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            next: Places::new(1),
            logins: Places::new(AT_ONCE),
        }
    }
}

impl Places {
    fn new(number: u32) -> Self {
        Self {
            free: Arc::new(Semaphore::new(number as usize)),
            until: Mutex::new(Instant::now()),
        }
    }

    /// So many of them; `None` if those who have them should long have given up.
    async fn wait_for(&self, number: u32) -> Option<OwnedSemaphorePermit> {
        let mut places = pin!(Arc::clone(&self.free).acquire_many_owned(number));
        loop {
            let until = *lock(&self.until) + GIVEN_UP_AFTER;
            match timeout_at(until, places.as_mut()).await {
                // Closed by nobody.
                Ok(places) => return places.ok(),
                // Others may have taken them since.
                Err(_) if Instant::now() < *lock(&self.until) + GIVEN_UP_AFTER => {}
                Err(_) => return None,
            }
        }
    }

    /// Whoever has taken some gives up at `until`.
    fn taken_until(&self, until: Instant) {
        let mut latest = lock(&self.until);
        *latest = until.max(*latest);
    }
}

impl Gate {
    async fn enter(&self, turn: &Turn, fingerprint: Option<u64>, until: Instant) -> Option<LetIn> {
        let _next = self.next.wait_for(1).await?;
        self.next.taken_until(until);
        loop {
            let number = turn.known().places(fingerprint);
            let mut login = self.logins.wait_for(number).await?;
            // A login that has ended since may have shown that the credential works, or does not any more.
            let needed = turn.known().places(fingerprint);
            if needed <= number {
                drop(login.split((number - needed) as usize));
                self.logins.taken_until(until);
                return Some(LetIn { _login: login });
            }
        }
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
            if let Some(let_in) = gate.enter(self, fingerprint, until).await {
                return let_in;
            }
            let mut current = lock(&self.gate);
            if Arc::ptr_eq(&current, &gate) {
                *current = Arc::default();
            }
        }
    }
}

impl Known {
    /// How many places a login with the credential of this fingerprint takes: all, unless it is known to work.
    fn places(&self, fingerprint: Option<u64>) -> u32 {
        let is_known_to_work = self.works.is_some() && self.works == fingerprint;
        if is_known_to_work && !self.unanswered.is_any(Instant::now()) {
            1
        } else {
            AT_ONCE
        }
    }

    /// Why no login with the credential of this fingerprint is made now.
    fn denial(&self, fingerprint: Option<u64>, now: Instant) -> Option<TokenError> {
        if let Some(refused) = &self.refused {
            // A credential that cannot be told just now has not changed.
            let is_another = matches!((refused.fingerprint, fingerprint), (Some(then), Some(now)) if then != now);
            if now < refused.until && !is_another {
                let error = refused.error.clone();
                return Some(error.remember_until(refused.until).remembered());
            }
        }
        self.unanswered.denial(now)
    }

    fn learn(&mut self, fingerprint: Option<u64>, login: &Result<IssuedToken, TokenError>) {
        match login {
            Ok(_) => {
                *self = Self {
                    works: fingerprint,
                    ..Self::default()
                };
            }
            Err(error) if error.is_refused() => {
                let longest = Instant::now() + REFUSAL_REMEMBERED;
                self.works = None;
                self.refused = Some(Refused {
                    // What another process has known for a while is not remembered for longer by being handed on.
                    until: error
                        .remembered_until()
                        .map_or(longest, |until| until.min(longest)),
                    fingerprint,
                    error: error.clone(),
                });
            }
            // It says nothing of the credential.
            Err(_) => {}
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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

/// A login under way. However it ends, it counts if nobody knows what the token service made of its credential.
struct UnderWay<'a> {
    turn: &'a Turn,
    request: TokenRequest,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if self.request.is_unanswered() {
            self.turn.known().unanswered.add(Instant::now());
        }
    }
}

impl TokenSource for InTurn {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        let fingerprint = self.login.hashed_fingerprint();
        let until = request
            .deadline()
            .unwrap_or_else(|| Instant::now() + PATIENCE);
        let _let_in = self.turn.let_in(fingerprint, until + GIVEN_UP_AFTER).await;
        let denial = self.turn.known().denial(fingerprint, Instant::now());
        if let Some(error) = denial {
            return Err(error);
        }
        let _under_way = UnderWay {
            turn: &self.turn,
            request: request.clone(),
        };
        let token = request.concluded(self.login.token(request.clone()).await);
        self.turn.known().learn(fingerprint, &token);
        token
    }

    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        self.login.fingerprint(fingerprint);
    }

    async fn sign_out(&self, sign_out: SignOut) -> Result<(), TokenError> {
        self.login.sign_out(sign_out).await
    }
}
