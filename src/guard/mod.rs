//! The lock-out rule, in one place: ArcGIS locks an account after five failed logins in 15 minutes, so every login asks
//! here before it sends a credential, and says here what came of it.
//!
//! Failures count for an *account* (the origin of a token service, and a user name) and for a *credential* (user name and
//! password), whatever the token service: several servers may stand in front of one directory. [`History`] is the rule;
//! the guard keeps one for each user name, lets logins wait for their turn, and asks the history that several processes
//! share where there is one.

mod attempt;
mod history;
mod key;
mod local;
mod polling;
mod sessions;
mod shared_history;

use std::{fmt, pin::pin, sync::Arc};

use tokio::time::{Instant, sleep, timeout_at};

pub use self::attempt::LoginAttempt;
#[cfg(any(test, feature = "shared-cache"))]
pub(crate) use self::history::{History, Login, Millis, Verdict, millis};
use self::local::Local;
#[cfg(feature = "shared-cache")]
pub(crate) use self::shared_history::Boxed;
pub(crate) use self::{
    history::Decision, key::LoginKey, polling::Polling, sessions::SessionId,
    shared_history::SharedHistory,
};
use crate::error::TokenError;

/// Keeps accounts from being locked: at most four logins that fail, or whose outcome is unknown, in any 15 minutes.
///
/// A layer has one by itself. Give several layers the same
/// ([`lockout_guard`](crate::ArcgisAuthLayerBuilder::lockout_guard)) where they log in with the same accounts.
///
/// * A credential that a token service refused is not sent there again for 15 minutes. All refused ones are remembered, so
///   passwords that alternate are not new.
/// * An account gets at most four failures in any 15 minutes, and so does a credential over all token services together. A
///   success clears the count, for ArcGIS counts failures in a row.
/// * A login under way counts as failed. Until a credential has worked, one login is made with it at a time.
/// * Where one credential works, other credentials for the same account get three of the four: a client that guesses
///   passwords must not stop the service's own login.
///
/// Cheap to clone; clones are the same guard. It keeps no secret: user names and passwords are hashed with keys that live
/// as long as the process.
///
/// ```
/// use tower_arcgis_auth::{ArcgisAuthLayer, Credential, LockoutGuard, Site};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let guard = LockoutGuard::new();
/// let site = |root: &str| Site::new(root).credential(Credential::user("reader", "secret"));
/// let maps = ArcgisAuthLayer::builder()
///     .add_site(site("https://gis.example.com/arcgis"))
///     .lockout_guard(guard.clone())
///     .build()?;
/// let images = ArcgisAuthLayer::builder()
///     .add_site(site("https://images.example.com/arcgis"))
///     .lockout_guard(guard)
///     .build()?;
/// # drop((maps, images));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct LockoutGuard {
    local: Arc<Local>,
    shared: Option<Arc<dyn SharedHistory>>,
}

impl LockoutGuard {
    /// A guard that knows of no failure yet.
    pub fn new() -> Self {
        Self {
            local: Arc::new(Local::new()),
            shared: None,
        }
    }

    /// The same guard, whose logins also heed the failures of other processes.
    pub(crate) fn shared_through(&self, shared: Arc<dyn SharedHistory>) -> Self {
        Self {
            local: Arc::clone(&self.local),
            shared: Some(shared),
        }
    }

    /// Waits for the turn of a login with `key`, until two thirds of the time left to `deadline` are over: who begins
    /// later is broken off before the answer, and counts as failed.
    ///
    /// # Errors
    ///
    /// A refusal where this credential was refused at this token service lately; a fault where one failure more might
    /// lock the account, or no turn came in time. Nothing was sent then.
    pub(crate) async fn attempt(
        &self,
        key: LoginKey,
        deadline: Instant,
    ) -> Result<LoginAttempt, TokenError> {
        let turn = self.turn(key, deadline).await;
        turn.map_err(TokenError::withheld)
    }

    async fn turn(&self, key: LoginKey, deadline: Instant) -> Result<LoginAttempt, TokenError> {
        let latest = deadline - deadline.saturating_duration_since(Instant::now()) / 3;
        let key = Arc::new(key);
        let attempt = loop {
            let ended = self.local.ended(&key);
            let mut ended = pin!(ended.notified());
            ended.as_mut().enable();
            match self.local.begin(&key) {
                (Decision::Go, number) => {
                    break LoginAttempt::new(Arc::clone(&self.local), Arc::clone(&key), number);
                }
                (Decision::Wait, _) => timeout_at(latest, ended)
                    .await
                    .map_err(|_| no_turn_in_time())?,
                (Decision::Denied(error), _) => return Err(error),
            }
        };
        let Some(shared) = &self.shared else {
            return Ok(attempt);
        };
        let mut polling = Polling::new();
        loop {
            match shared.begin(&key, attempt.number()).await {
                Some(Decision::Go) => return Ok(attempt.entered_in(Arc::clone(shared))),
                None => return Ok(attempt),
                Some(Decision::Denied(error)) => return Err(error),
                Some(Decision::Wait) if Instant::now() >= latest => return Err(no_turn_in_time()),
                Some(Decision::Wait) => sleep(polling.pause()).await,
            }
        }
    }

    /// Remembers for 15 minutes at most that the login of a session was refused, or that no credential was given for it,
    /// with what the credential is recognised by.
    pub(crate) fn refuse_session(
        &self,
        session: SessionId,
        credential: Option<u64>,
        error: &TokenError,
    ) {
        self.local
            .sessions()
            .add(session, credential, error, Instant::now());
    }

    /// Why a login of this session would be refused, and the credential that was.
    pub(crate) fn refused_session(&self, session: SessionId) -> Option<(TokenError, Option<u64>)> {
        self.local.sessions().get(session, Instant::now())
    }

    /// Lifts the refusal of a session whose credential is another than the one that was `refused`.
    pub(crate) fn lift_refusal(&self, session: SessionId, refused: Option<u64>) {
        self.local
            .sessions()
            .remove_if(session, |_, credential| credential == refused);
    }

    /// Forgets that no credential was given for a session: after a sign-out another person may be asked.
    pub(crate) fn forget_cancelled(&self, session: SessionId) {
        self.local
            .sessions()
            .remove_if(session, |error, _| error.is_not_given());
    }
}

impl Default for LockoutGuard {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for LockoutGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockoutGuard")
            .field("users", &self.local.users())
            .field("is_shared", &self.shared.is_some())
            .finish()
    }
}

fn no_turn_in_time() -> TokenError {
    TokenError::fault(
        "other logins with the same account or credential took all the time there was; nothing was sent; a longer \
         `login_timeout` helps where many log in at once",
    )
}

#[cfg(test)]
mod tests;
