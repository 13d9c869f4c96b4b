//! Asking somebody: a function of the user's own that gets a credential from a person, once a site however many requests
//! wait.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, timeout};

use super::{Credential, DynTokenSource, Owner, SignOut, TokenReason, TokenRequest, TokenSource};
use crate::{error::TokenError, identity::Identity, token::IssuedToken};

/// ArcGIS locks an account after 5 failed logins in 15 minutes. One of them may come from elsewhere.
const MOST_REFUSALS: u32 = 4;
const REFUSALS_COUNTED: Duration = Duration::from_secs(15 * 60);

/// What a [`credential_fn`](crate::Site::credential_fn) is told.
#[derive(Clone, Debug)]
pub struct CredentialRequest {
    owner: Owner,
    reason: TokenReason,
    refused: u32,
}

impl CredentialRequest {
    /// The site's first root.
    pub fn site(&self) -> &str {
        &self.owner.site
    }

    /// Whose credential is wanted, where the site has a token for each caller
    /// ([`identity_fn`](crate::Site::identity_fn)).
    pub fn identity(&self) -> Option<&Identity> {
        self.owner.identity.as_ref()
    }

    /// Why a token, and with it a credential, is wanted.
    pub fn reason(&self) -> TokenReason {
        self.reason
    }

    /// How many answers the token service has refused lately.
    pub fn refused(&self) -> u32 {
        self.refused
    }
}

/// The person asked for a credential gave none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled;

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no credential was given")
    }
}

impl std::error::Error for Cancelled {}

/// What logs in with a credential somebody gave.
type LogsIn = Arc<dyn DynTokenSource>;
type Asked = Pin<Box<dyn Future<Output = Result<Credential, Cancelled>> + Send>>;

/// The user's function, behind a pointer.
#[derive(Clone)]
pub(crate) struct CredentialFn(Arc<dyn Fn(CredentialRequest) -> Asked + Send + Sync>);

impl CredentialFn {
    pub(crate) fn new<F, Fut>(function: F) -> Self
    where
        F: Fn(CredentialRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Credential, Cancelled>> + Send + 'static,
    {
        Self(Arc::new(move |request| Box::pin(function(request))))
    }
}

/// Logs in with what somebody is asked for, and asks again when that is refused.
pub(crate) struct Ask {
    function: CredentialFn,
    /// How long somebody may take to answer.
    deadline: Duration,
    /// How long each login with an answer may take.
    login_timeout: Duration,
    /// Makes the source that logs in with a credential.
    log_in_with: Box<dyn Fn(Credential) -> LogsIn + Send + Sync>,
    given: Mutex<Option<LogsIn>>,
    refusals: Mutex<Vec<Instant>>,
}

impl Ask {
    pub(crate) fn new(
        function: CredentialFn,
        deadline: Duration,
        login_timeout: Duration,
        log_in_with: impl Fn(Credential) -> LogsIn + Send + Sync + 'static,
    ) -> Self {
        Self {
            function,
            deadline,
            login_timeout,
            log_in_with: Box::new(log_in_with),
            given: Mutex::new(None),
            refusals: Mutex::new(Vec::new()),
        }
    }

    /// How long all of it may take: every answer, and every login with one.
    pub(crate) fn longest(deadline: Duration, login_timeout: Duration) -> Duration {
        MOST_REFUSALS * (deadline + login_timeout)
    }

    fn given(&self) -> Option<LogsIn> {
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.clone()
    }

    fn set_given(&self, source: Option<LogsIn>) {
        *self.given.lock().unwrap_or_else(PoisonError::into_inner) = source;
    }

    /// Counts one more, or none, and returns how many there were lately.
    fn refusals(&self, one_more: bool) -> u32 {
        let now = Instant::now();
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.retain(|at| now.duration_since(*at) < REFUSALS_COUNTED);
        if one_more {
            refusals.push(now);
        }
        u32::try_from(refusals.len()).unwrap_or(u32::MAX)
    }

    async fn ask(&self, wanted: &TokenRequest) -> Result<LogsIn, TokenError> {
        let refused = self.refusals(false);
        let request = CredentialRequest {
            owner: wanted.owner().clone(),
            reason: wanted.reason(),
            refused,
        };
        let answer = timeout(self.deadline, (self.function.0)(request)).await;
        match answer {
            Ok(Ok(credential)) => Ok((self.log_in_with)(credential)),
            Ok(Err(cancelled)) => {
                Err(TokenError::refused("nobody gave a credential for the site")
                    .with_source(cancelled))
            }
            Err(_) => Err(TokenError::refused(format!(
                "nobody gave a credential for the site within {} seconds",
                self.deadline.as_secs()
            ))),
        }
    }
}

impl TokenSource for Ask {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        loop {
            let source = match self.given() {
                Some(source) => source,
                None => self.ask(&request).await?,
            };
            let login = timeout(self.login_timeout, source.token(request.clone())).await;
            let login = login.unwrap_or_else(|_| {
                Err(TokenError::unanswered(format!(
                    "the login did not end within {} seconds; check that the token service answers",
                    self.login_timeout.as_secs()
                )))
            });
            match login {
                Ok(token) => {
                    self.set_given(Some(source));
                    return Ok(token);
                }
                Err(error) if error.is_refused() => {
                    self.set_given(None);
                    if self.refusals(true) >= MOST_REFUSALS {
                        return Err(error);
                    }
                }
                Err(error) => {
                    // The credential may be right: it is kept for the next try.
                    self.set_given(Some(source));
                    return Err(error);
                }
            }
        }
    }

    /// Whoever wants a token next is asked.
    async fn sign_out(&self, sign_out: SignOut) -> Result<(), TokenError> {
        let given = self.given();
        self.set_given(None);
        match given {
            Some(source) => source.sign_out(sign_out).await,
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask")
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
