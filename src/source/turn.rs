//! One credential at one token service, whatever the number of sites and callers that log in with it: what was refused to
//! one is not tried for the next. ArcGIS counts failures by account.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::{sync::Semaphore, time::Instant};

use super::{DynTokenSource, Fingerprint, SignOut, TokenRequest, TokenSource};
use crate::{
    error::TokenError,
    registry,
    store::{MOST_UNANSWERED, REFUSAL_REMEMBERED},
    token::IssuedToken,
};

/// Logins at once with a credential that worked last time. Should it have changed since, these are all that fail, and an
/// account takes four failures.
const AT_ONCE: u32 = 3;

/// What the logins with one credential have in common.
pub(super) struct Turn {
    /// Held by who is next, and all through a login with a credential not known to work.
    next: tokio::sync::Mutex<()>,
    permits: Semaphore,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// The fingerprint of the credential that worked last.
    works: Option<u64>,
    refused: Option<Refused>,
    /// When logins were broken off after the credential had gone out.
    unanswered: Vec<Instant>,
}

struct Refused {
    until: Instant,
    fingerprint: Option<u64>,
    error: TokenError,
}

impl Default for Turn {
    fn default() -> Self {
        Self {
            next: tokio::sync::Mutex::default(),
            permits: Semaphore::new(AT_ONCE as usize),
            known: Mutex::default(),
        }
    }
}

impl registry::Shared for Arc<Turn> {
    fn is_needed(&self, now: Instant) -> bool {
        Arc::strong_count(self) > 1 || self.known().denial(None, now).is_some()
    }
}

impl Turn {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Why no login with the credential of this fingerprint is made now.
    fn denial(&mut self, fingerprint: Option<u64>, now: Instant) -> Option<TokenError> {
        if let Some(refused) = &self.refused {
            // A credential that cannot be told just now has not changed.
            let is_another = matches!((refused.fingerprint, fingerprint), (Some(then), Some(now)) if then != now);
            if now < refused.until && !is_another {
                return Some(refused.error.clone().remember_until(refused.until));
            }
        }
        self.unanswered.retain(|at| *at + REFUSAL_REMEMBERED > now);
        (self.unanswered.len() >= MOST_UNANSWERED).then(unanswered)
    }
}

/// Why no login is made after so many that were not answered.
pub(crate) fn unanswered() -> TokenError {
    TokenError::fault(
        "the token service left several logins unanswered and may have counted them as failures; one more might lock the \
         account, so the next is made a quarter of an hour after the first",
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

/// A login under way. Dropped before its end, it counts as unanswered, if the credential had gone out.
struct UnderWay<'a> {
    turn: &'a Turn,
    request: TokenRequest,
    is_answered: bool,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if !self.is_answered && self.request.is_credential_sent() {
            self.turn.known().unanswered.push(Instant::now());
        }
    }
}

impl TokenSource for InTurn {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        let fingerprint = self.login.hashed_fingerprint();
        let next = self.turn.next.lock().await;
        let works = self.turn.known().works;
        let is_known_to_work = works.is_some() && works == fingerprint;
        let permits = if is_known_to_work { 1 } else { AT_ONCE };
        // Closed by nobody.
        let _permits = self.turn.permits.acquire_many(permits).await;
        let _alone = (!is_known_to_work).then_some(next);
        let denial = self.turn.known().denial(fingerprint, Instant::now());
        if let Some(error) = denial {
            return Err(error);
        }
        let mut under_way = UnderWay {
            turn: &self.turn,
            request: request.clone(),
            is_answered: false,
        };
        let token = self.login.token(request).await;
        under_way.is_answered = true;
        let mut known = self.turn.known();
        match &token {
            Ok(_) => {
                *known = Known {
                    works: fingerprint,
                    ..Known::default()
                };
            }
            Err(error) if error.is_refused() => {
                let longest = Instant::now() + REFUSAL_REMEMBERED;
                known.works = None;
                known.refused = Some(Refused {
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
        drop(known);
        token
    }

    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        self.login.fingerprint(fingerprint);
    }

    async fn sign_out(&self, sign_out: SignOut) -> Result<(), TokenError> {
        self.login.sign_out(sign_out).await
    }
}
