//! Credentials from a function of the user's own, which gets them from a person or a store. It is called once, however many
//! requests wait.

use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::time::{Instant, timeout};

use crate::{
    credential::Credential,
    error::{BoxError, TokenError},
    identity::Identity,
    lock::lock,
    token::{DynTokenSource, IssuedToken, Owner, SignOut, TokenReason, TokenRequest, TokenSource},
};

/// How many answers are tried for one login. One more wrong one might lock the account.
const MOST_ANSWERS: u32 = 4;

/// What a [`credential_fn`](crate::Site::credential_fn) or [`try_credential_fn`](crate::Site::try_credential_fn) gets with
/// each call.
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

    /// The identity whose credential is needed, where the site has a token for each
    /// ([`identity_fn`](crate::Site::identity_fn)).
    pub fn identity(&self) -> Option<&Identity> {
        self.owner.identity.as_ref()
    }

    /// Why a token, and with it a credential, is needed.
    pub fn reason(&self) -> TokenReason {
        self.reason
    }

    /// How many answers to this login were refused before, from 0 to 3. A refused credential that is given again is refused
    /// from memory: the token service does not get it twice.
    pub fn refused(&self) -> u32 {
        self.refused
    }
}

/// The error of a [`credential_fn`](crate::Site::credential_fn) that gives no credential: the person cancelled, or the store
/// has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled;

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no credential was given")
    }
}

impl std::error::Error for Cancelled {}

/// A credential, none, or a failure to look for one.
type Answer = Pin<Box<dyn Future<Output = Result<Option<Credential>, BoxError>> + Send>>;

/// The user's function, behind a pointer.
#[derive(Clone)]
pub(crate) struct CredentialFn {
    function: Arc<dyn Fn(CredentialRequest) -> Answer + Send + Sync>,
    /// It asks a store: one that does not answer in time fails. A person who does not answer gives no credential.
    asks_store: bool,
}

impl CredentialFn {
    pub(crate) fn new<F, Fut>(function: F) -> Self
    where
        F: Fn(CredentialRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Credential, Cancelled>> + Send + 'static,
    {
        let function = move |request| -> Answer {
            let answer = function(request);
            Box::pin(async { Ok(answer.await.ok()) })
        };
        Self {
            function: Arc::new(function),
            asks_store: false,
        }
    }

    /// A function that looks a credential up, and may fail to.
    pub(crate) fn fallible<F, Fut>(function: F) -> Self
    where
        F: Fn(CredentialRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Option<Credential>, BoxError>> + Send + 'static,
    {
        Self {
            function: Arc::new(move |request| Box::pin(function(request))),
            asks_store: true,
        }
    }
}

/// Makes the source that logs in with a credential.
type SourceMaker = Box<dyn Fn(Credential) -> Arc<dyn DynTokenSource> + Send + Sync>;

/// Logs in with the credential that the function gives, and calls it again when that is refused.
pub(crate) struct AskedCredential {
    function: CredentialFn,
    /// How long an answer may take.
    deadline: Duration,
    /// How long the login with each answer may take.
    login_timeout: Duration,
    log_in_with: SourceMaker,
    given: Mutex<Given>,
}

/// The credential that the function gave last, as a source.
#[derive(Default)]
struct Given {
    source: Option<Arc<dyn DynTokenSource>>,
    /// Counted, because a login that ends after a sign-out must not keep its credential.
    sign_outs: u64,
}

impl AskedCredential {
    pub(crate) fn new(
        function: CredentialFn,
        deadline: Duration,
        login_timeout: Duration,
        log_in_with: impl Fn(Credential) -> Arc<dyn DynTokenSource> + Send + Sync + 'static,
    ) -> Self {
        Self {
            function,
            deadline,
            login_timeout,
            log_in_with: Box::new(log_in_with),
            given: Mutex::default(),
        }
    }

    /// How long a login may take in all: every answer, and the login with it.
    pub(crate) fn longest(deadline: Duration, login_timeout: Duration) -> Duration {
        MOST_ANSWERS * (deadline + login_timeout)
    }

    fn given(&self) -> MutexGuard<'_, Given> {
        lock(&self.given)
    }

    /// Keeps `source`, or none, for the next login, unless there was a sign-out since `before`.
    fn keep(&self, source: Option<Arc<dyn DynTokenSource>>, before: u64) {
        let mut given = self.given();
        if given.sign_outs == before {
            given.source = source;
        }
    }

    async fn ask(
        &self,
        wanted: &TokenRequest,
        refused: u32,
    ) -> Result<Arc<dyn DynTokenSource>, TokenError> {
        let request = CredentialRequest {
            owner: wanted.owner().clone(),
            reason: wanted.reason(),
            refused,
        };
        match timeout(self.deadline, (self.function.function)(request)).await {
            Ok(Ok(Some(credential))) => Ok((self.log_in_with)(credential)),
            Ok(Ok(None)) => Err(
                TokenError::not_given("no credential was given for the site")
                    .with_source(Cancelled),
            ),
            Ok(Err(error)) => Err(TokenError::fault(
                "the site's credential could not be looked up; see its cause",
            )
            .with_source(error)),
            Err(_) if self.function.asks_store => Err(TokenError::fault(format!(
                "the site's credential was not found within {} seconds; check where it is looked up, or set a longer \
                 `credential_deadline`",
                self.deadline.as_secs()
            ))
            .timed_out()),
            Err(_) => Err(TokenError::not_given(format!(
                "no credential was given for the site within {} seconds",
                self.deadline.as_secs()
            ))),
        }
    }

    async fn log_in(
        &self,
        source: &dyn DynTokenSource,
        request: &TokenRequest,
    ) -> Result<IssuedToken, TokenError> {
        let limit = self.login_timeout;
        let login = request.clone().until(Instant::now() + limit);
        source.token_within(login, limit).await
    }
}

impl TokenSource for AskedCredential {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        let sign_outs = self.given().sign_outs;
        let mut refused = 0;
        loop {
            let given = self.given().source.clone();
            let source = match given {
                Some(source) => source,
                None => {
                    let source = self.ask(&request, refused).await?;
                    self.keep(Some(Arc::clone(&source)), sign_outs);
                    source
                }
            };
            match self.log_in(&*source, &request).await {
                Err(error) if error.is_about_credential() => {
                    self.keep(None, sign_outs);
                    refused += 1;
                    if refused >= MOST_ANSWERS {
                        // After a sign-out the function is called again; the guard remembers what was sent.
                        return Err(TokenError::not_given(format!(
                            "no credential was given for the site that is not refused: {error}"
                        )));
                    }
                }
                // After any other error the credential may be right: it is kept for the next login.
                token_or_error => return token_or_error,
            }
        }
    }

    /// The next login calls the function again.
    async fn sign_out(&self, sign_out: SignOut) -> Result<(), TokenError> {
        let source = {
            let mut given = self.given();
            given.sign_outs += 1;
            given.source.take()
        };
        match source {
            Some(source) => source.sign_out(sign_out).await,
            None => Ok(()),
        }
    }
}

impl fmt::Debug for AskedCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AskedCredential")
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
