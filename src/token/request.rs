//! What a source gets with each request: why a token is needed, for which site and identity, and which one died.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

#[cfg(feature = "shared-cache")]
use crate::guard::SharedHistory;
use crate::{
    credential::Fingerprint,
    error::TokenError,
    guard::{LockoutGuard, LoginAttempt, LoginKey},
    identity::Identity,
    lock::lock,
    token::Token,
    url::Origin,
};

/// How long a login may wait and take where its request does not say.
const DEFAULT_PATIENCE: Duration = Duration::from_secs(30);

/// Why a token is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenReason {
    /// There is none yet.
    Missing,
    /// The current one expires soon, and still works.
    Expiring,
    /// The current one has expired by the clock.
    Expired,
    /// A server called the current one invalid.
    Rejected,
    /// A server asked for a token though the request carried the current one: servers may answer so to a dead token, and to
    /// an account that lacks a right.
    RequiredDespiteToken,
    /// The user's code asked for a new one ([`SiteHandle::renew`](crate::SiteHandle::renew)).
    Forced,
}

impl TokenReason {
    /// Whether a challenge to a signed request is the reason.
    pub(crate) fn is_challenge(self) -> bool {
        matches!(self, Self::Rejected | Self::RequiredDespiteToken)
    }

    /// The reason in lower-case words, fit for a log field.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Expiring => "expiring",
            Self::Expired => "expired",
            Self::Rejected => "rejected",
            Self::RequiredDespiteToken => "required despite token",
            Self::Forced => "forced",
        }
    }
}

impl fmt::Display for TokenReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whose token it is: a site, and the identity where the site has a token for each.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    /// The site's first root.
    pub(crate) site: Arc<str>,
    pub(crate) identity: Option<Identity>,
    /// It is the login at a portal. A site at the same URL waits for it, and is another owner.
    pub(crate) is_portal: bool,
}

impl Owner {
    pub(crate) fn site(site: Arc<str>, identity: Option<Identity>) -> Self {
        Self {
            site,
            identity,
            is_portal: false,
        }
    }

    /// The login at the portal at `url`.
    pub(crate) fn portal(url: &str) -> Self {
        Self {
            site: url.into(),
            identity: None,
            is_portal: true,
        }
    }
}

/// What a [`TokenSource`](crate::TokenSource) gets with each request for a token.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    owner: Owner,
    reason: TokenReason,
    previous: Option<Arc<Token>>,
    guard: LockoutGuard,
    deadline: Option<Instant>,
    /// A credential was sent for this request.
    credential_sent: Arc<AtomicBool>,
    /// The hashed fingerprint of the credential that the last attempt was made with; it may differ from the one that the login
    /// began with.
    attempted: Arc<Mutex<Option<u64>>>,
}

impl TokenRequest {
    pub(crate) fn new(
        owner: Owner,
        reason: TokenReason,
        previous: Option<Arc<Token>>,
        guard: LockoutGuard,
    ) -> Self {
        Self {
            owner,
            reason,
            previous,
            guard,
            deadline: None,
            credential_sent: Arc::default(),
            attempted: Arc::default(),
        }
    }

    /// The same, cancelled at `deadline`.
    pub(crate) fn until(self, deadline: Instant) -> Self {
        Self {
            deadline: Some(deadline),
            ..self
        }
    }

    /// When the login is cancelled, where that is known.
    #[cfg(feature = "shared-cache")]
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The site's first root.
    pub fn site(&self) -> &str {
        &self.owner.site
    }

    /// The identity whose token is needed, where the site has one for each ([`identity_fn`](crate::Site::identity_fn)).
    pub fn identity(&self) -> Option<&Identity> {
        self.owner.identity.as_ref()
    }

    /// Why a token is needed.
    pub fn reason(&self) -> TokenReason {
        self.reason
    }

    /// The token that died or expires soon, if there was one. A source that keeps tokens must not return this one again.
    pub fn previous_token(&self) -> Option<&Token> {
        self.previous.as_deref()
    }

    /// Asks the [`LockoutGuard`] for permission to send a credential to a token service, and waits for it: ArcGIS locks an
    /// account after five failed logins in 15 minutes, and the guard counts those of all sites together. Call it in sources
    /// of your own before each login with a name and a secret; the sources of this crate do so by themselves.
    ///
    /// `token_service` is its URL, of which the origin counts; `user` is the name that the token service counts failures for,
    /// `secret` what proves it. Both are hashed, and not kept. The wait ends after two thirds of the time that the login has
    /// left (30 seconds where the request has no deadline).
    ///
    /// # Errors
    ///
    /// Return the error as it is, and send nothing. A refusal where this credential was refused there in the last 15 minutes;
    /// a fault where the account or the credential has had four failures in 15 minutes, or where other logins took all the
    /// time.
    ///
    /// ```
    /// use tower_arcgis_auth::{IssuedToken, TokenError, token_source_fn};
    /// # async fn post_login() -> std::io::Result<(u16, String)> { Ok((200, String::from("token"))) }
    ///
    /// let source = token_source_fn(|request| async move {
    ///     let mut attempt = request.login_attempt("https://gis.example.com/login", "robot", "secret").await?;
    ///     attempt.sent();
    ///     match post_login().await {
    ///         Ok((200, text)) => {
    ///             attempt.succeeded();
    ///             IssuedToken::try_new(text)
    ///         }
    ///         Ok((401, _)) => {
    ///             let error = TokenError::refused("the robot's secret is not taken; replace it");
    ///             attempt.refused(&error);
    ///             Err(error)
    ///         }
    ///         Ok((status, _)) => {
    ///             attempt.no_verdict();
    ///             Err(TokenError::fault(format!("the token service answered {status}")))
    ///         }
    ///         // Dropped here, the attempt counts as one whose outcome is unknown.
    ///         Err(error) => Err(TokenError::fault("the token service broke off").with_source(error)),
    ///     }
    /// });
    /// # drop(source);
    /// ```
    pub async fn login_attempt(
        &self,
        token_service: &str,
        user: &str,
        secret: &str,
    ) -> Result<LoginAttempt, TokenError> {
        let origin = token_service.parse().ok().and_then(|uri| Origin::of(&uri));
        let service = origin.map_or_else(
            || token_service.to_ascii_lowercase(),
            |origin| origin.to_url(),
        );
        self.attempt(&service, Fingerprint::of_login(user, secret))
            .await
    }

    /// As [`login_attempt`](Self::login_attempt), for the credential of this fingerprint at the token service of this
    /// canonical origin.
    pub(crate) async fn attempt(
        &self,
        service: &str,
        fingerprint: Fingerprint,
    ) -> Result<LoginAttempt, TokenError> {
        *lock(&self.attempted) = fingerprint.hashed();
        let deadline = self
            .deadline
            .unwrap_or_else(|| Instant::now() + DEFAULT_PATIENCE);
        let attempt = self
            .guard
            .attempt(LoginKey::new(service, fingerprint), deadline)
            .await?;
        Ok(attempt.reporting_to(Arc::clone(&self.credential_sent)))
    }

    /// The same, whose login also counts the failures of other processes.
    #[cfg(feature = "shared-cache")]
    pub(crate) fn heeding(self, shared: Arc<dyn SharedHistory>) -> Self {
        Self {
            guard: self.guard.shared_through(shared),
            ..self
        }
    }

    /// Waits for the turn of a login with the credential that `read` gives. It is read anew once the turn has come: it may
    /// have changed meanwhile, and then it has another turn.
    pub(crate) async fn attempt_with<C>(
        &self,
        service: &str,
        read: impl Fn() -> Result<C, TokenError>,
        fingerprint: impl Fn(&C) -> Fingerprint,
    ) -> Result<(LoginAttempt, C), TokenError> {
        let mut credential = read()?;
        loop {
            let attempt = self.attempt(service, fingerprint(&credential)).await?;
            let now = read()?;
            if fingerprint(&now).hashed() == fingerprint(&credential).hashed() {
                return Ok((attempt, now));
            }
            credential = now;
        }
    }

    /// The guard that the login of this request asks.
    pub(crate) fn guard(&self) -> &LockoutGuard {
        &self.guard
    }

    /// The hashed fingerprint of the credential that the last attempt was made with.
    pub(crate) fn attempted_credential(&self) -> Option<u64> {
        *lock(&self.attempted)
    }

    /// Whether a credential was sent for this request.
    pub(crate) fn is_credential_sent(&self) -> bool {
        self.credential_sent.load(Ordering::Relaxed)
    }

    pub(crate) fn owner(&self) -> &Owner {
        &self.owner
    }
}

/// What a [`TokenSource`](crate::TokenSource) gets with a sign-out.
#[derive(Clone, Debug)]
pub struct SignOut {
    owner: Owner,
    token: Option<Arc<Token>>,
}

impl SignOut {
    pub(crate) fn new(owner: Owner, token: Option<Arc<Token>>) -> Self {
        Self { owner, token }
    }

    /// The site's first root.
    pub fn site(&self) -> &str {
        &self.owner.site
    }

    /// The identity that signs out, where the site has a token for each.
    pub fn identity(&self) -> Option<&Identity> {
        self.owner.identity.as_ref()
    }

    #[cfg(feature = "shared-cache")]
    pub(crate) fn owner(&self) -> &Owner {
        &self.owner
    }

    /// The token used until now, if there was one.
    pub fn token(&self) -> Option<&Token> {
        self.token.as_deref()
    }
}
