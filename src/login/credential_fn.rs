//! Asking somebody: a function of the user's own that gets a credential from a person, once a site however many requests
//! wait.

use std::{
    collections::HashMap,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::time::{Instant, timeout};

use crate::{
    credential::Credential,
    error::TokenError,
    identity::Identity,
    lock::lock,
    session::in_time,
    token::{DynTokenSource, IssuedToken, Owner, SignOut, TokenReason, TokenRequest, TokenSource},
};

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

    /// How many answers were refused lately. One given again is refused from memory: the token service is not asked twice.
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
    given: Mutex<Given>,
    refusals: Arc<Refusals>,
}

/// What somebody gave last.
#[derive(Default)]
struct Given {
    /// Not known to work as long as the first login with it runs: whoever signs out meanwhile ends that too.
    source: Option<LogsIn>,
    /// A login that ends after somebody has signed out must not keep what it was given.
    sign_outs: u64,
}

impl Ask {
    pub(crate) fn new(
        function: CredentialFn,
        deadline: Duration,
        login_timeout: Duration,
        refusals: Arc<Refusals>,
        log_in_with: impl Fn(Credential) -> LogsIn + Send + Sync + 'static,
    ) -> Self {
        Self {
            function,
            deadline,
            login_timeout,
            log_in_with: Box::new(log_in_with),
            given: Mutex::default(),
            refusals,
        }
    }

    /// How long all of it may take: every answer, and every login with one.
    pub(crate) fn longest(deadline: Duration, login_timeout: Duration) -> Duration {
        MOST_REFUSALS * (deadline + login_timeout)
    }

    fn given(&self) -> MutexGuard<'_, Given> {
        lock(&self.given)
    }

    /// Keeps `source` for the next login, or keeps none, unless somebody has signed out since `before`.
    fn keep(&self, source: Option<LogsIn>, before: u64) {
        let mut given = self.given();
        if given.sign_outs == before {
            given.source = source;
        }
    }

    async fn ask(&self, wanted: &TokenRequest, refused: u32) -> Result<LogsIn, TokenError> {
        let request = CredentialRequest {
            owner: wanted.owner().clone(),
            reason: wanted.reason(),
            refused,
        };
        let answer = timeout(self.deadline, (self.function.0)(request)).await;
        match answer {
            Ok(Ok(credential)) => Ok((self.log_in_with)(credential)),
            Ok(Err(cancelled)) => Err(TokenError::not_given(
                "nobody gave a credential for the site",
            )
            .with_source(cancelled)),
            Err(_) => Err(TokenError::not_given(format!(
                "nobody gave a credential for the site within {} seconds",
                self.deadline.as_secs()
            ))),
        }
    }
}

impl TokenSource for Ask {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        let sign_outs = self.given().sign_outs;
        let identity = request.identity();
        // Of what was given for this login: the token service was not asked again.
        let mut refused_from_memory = 0;
        let mut last_refusal = None;
        loop {
            let counted = self.refusals.counted(identity);
            if counted.number >= MOST_REFUSALS {
                let refusal = last_refusal.unwrap_or_else(|| {
                    TokenError::refused(
                        "the credentials given lately were refused, and one more might lock the account; try again \
                         in a quarter of an hour",
                    )
                });
                return Err(match counted.oldest {
                    Some(oldest) => refusal.remember_until(oldest + REFUSALS_COUNTED),
                    None => refusal,
                });
            }
            let refused = counted.number + refused_from_memory;
            if let Some(refusal) = last_refusal.filter(|_| refused >= MOST_REFUSALS) {
                return Err(TokenError::not_given(format!(
                    "nobody gave a credential for the site that is not refused: {refusal}"
                )));
            }
            let given = self.given().source.clone();
            let source = match given {
                Some(source) => source,
                None => {
                    let source = self.ask(&request, refused).await?;
                    self.keep(Some(Arc::clone(&source)), sign_outs);
                    source
                }
            };
            let login = request.clone().until(Instant::now() + self.login_timeout);
            // Whoever is asked anew gives another credential.
            login.fate().begin_again();
            let counting = Counting {
                login: &login,
                refusals: &self.refusals,
            };
            let token = in_time(&login, self.login_timeout, source.token(login.clone())).await;
            drop(counting);
            match token {
                Ok(token) => return Ok(token),
                Err(error) if error.is_refused() => {
                    self.keep(None, sign_outs);
                    refused_from_memory += u32::from(error.is_from_memory());
                    last_refusal = Some(error);
                }
                // The credential may be right: it is kept for the next try.
                Err(error) => return Err(error),
            }
        }
    }

    /// Whoever wants a token next is asked.
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

/// A login under way. However it ends, a refusal counts, and is no more than one refused answer.
struct Counting<'a> {
    login: &'a TokenRequest,
    refusals: &'a Refusals,
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        if let Some(refusal) = self.login.fate().refusal() {
            self.login.fate().begin_again();
            if !refusal.is_from_memory() {
                self.refusals.add(self.login.identity());
            }
        }
    }
}

/// The answers refused lately, of all callers of a site: whoever is forgotten and comes again is not a new one to the
/// token service.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<Lately>);

#[derive(Default)]
struct Lately {
    refusals: HashMap<Option<Identity>, Vec<Instant>>,
    added: usize,
}

/// How many are added before those that are long past are looked for.
const LOOK_THROUGH_AFTER: usize = 64;

struct Counted {
    number: u32,
    oldest: Option<Instant>,
}

impl Refusals {
    fn counted(&self, identity: Option<&Identity>) -> Counted {
        let now = Instant::now();
        let lately = self.lock();
        let lately: Vec<Instant> = lately
            .refusals
            .get(&identity.cloned())
            .into_iter()
            .flatten()
            .copied()
            .filter(|at| is_lately(*at, now))
            .collect();
        Counted {
            number: u32::try_from(lately.len()).unwrap_or(u32::MAX),
            oldest: lately.first().copied(),
        }
    }

    fn add(&self, identity: Option<&Identity>) {
        let now = Instant::now();
        let mut lately = self.lock();
        lately.added += 1;
        if lately.added % LOOK_THROUGH_AFTER == 0 {
            lately
                .refusals
                .retain(|_, times| times.iter().any(|at| is_lately(*at, now)));
        }
        let times = lately.refusals.entry(identity.cloned()).or_default();
        times.retain(|at| is_lately(*at, now));
        times.push(now);
    }

    fn lock(&self) -> MutexGuard<'_, Lately> {
        lock(&self.0)
    }
}

fn is_lately(at: Instant, now: Instant) -> bool {
    now.duration_since(at) < REFUSALS_COUNTED
}

impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask")
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
