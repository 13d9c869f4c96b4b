//! What can go wrong outside the request itself: a configuration that cannot work, a source that gives no token.

use std::{borrow::Cow, error::Error, fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

/// A boxed error, as tower and hyper use it.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Why a token source gave no token.
///
/// A *refusal* is the token service's answer about this account: another try changes nothing and, at ArcGIS, five of them
/// in 15 minutes lock the account. It is remembered for 15 minutes. A *fault* is a token service that is down, slow,
/// unreachable or answers nonsense, or a login that was not made because it might lock the account: it is tried again, with
/// pauses that double from 1 s to 2 minutes.
///
/// Cheap to clone, because all requests that waited for a login get the same error. Never holds a secret.
///
/// ```
/// use tower_arcgis_auth::TokenError;
///
/// let refused = TokenError::refused("the token service knows no such user; check the user name");
/// assert!(refused.is_refused());
/// let fault = TokenError::fault("the token service answered 503").with_source(std::io::Error::other("closed"));
/// assert!(!fault.is_refused());
/// ```
#[derive(Clone)]
pub struct TokenError {
    // One pointer: every request carries the room for an error.
    inner: Arc<TokenErrorInner>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Refused,
    /// A refusal that no other credential changes.
    RefusedToAll,
    /// A `credential_fn` gave no credential: no token service was asked.
    NotGiven,
    Fault,
}

#[derive(Clone)]
struct TokenErrorInner {
    kind: Kind,
    remembered_until: Option<Instant>,
    is_only_here: bool,
    is_withheld: bool,
    has_timed_out: bool,
    tried_again_at: Option<Instant>,
    message: Cow<'static, str>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl TokenError {
    /// The token service looked at the credential and refused it: it is not tried again until it changes, or 15 minutes have
    /// passed.
    ///
    /// `message` reaches users and logs: it says what failed and what to do, and holds no secret.
    pub fn refused(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Refused, message.into())
    }

    /// The token service could not be asked, or gave no usable answer: tried again after a pause.
    ///
    /// `message` reaches users and logs: it says what failed and what to do, and holds no secret.
    pub fn fault(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Fault, message.into())
    }

    /// A token service refused, and would refuse any other credential as well: none is asked for.
    pub(crate) fn refused_to_all(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::RefusedToAll, message.into())
    }

    /// A `credential_fn` gave no credential. It counts as a refusal until a sign-out.
    pub(crate) fn not_given(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::NotGiven, message.into())
    }

    fn new(kind: Kind, message: Cow<'static, str>) -> Self {
        Self {
            inner: Arc::new(TokenErrorInner {
                kind,
                remembered_until: None,
                is_only_here: false,
                is_withheld: false,
                has_timed_out: false,
                tried_again_at: None,
                message,
                source: None,
            }),
        }
    }

    /// The same refusal, remembered for no longer than `duration` instead of 15 minutes: for a source that knew of it before.
    #[must_use]
    pub fn remember_for(self, duration: Duration) -> Self {
        match Instant::now().checked_add(duration) {
            Some(until) => self.remember_until(until),
            None => self,
        }
    }

    pub(crate) fn remember_until(mut self, until: Instant) -> Self {
        Arc::make_mut(&mut self.inner).remembered_until = Some(until);
        self
    }

    pub(crate) fn remembered_until(&self) -> Option<Instant> {
        self.inner.remembered_until
    }

    /// The same refusal, which is about this process or machine and not about the credential, as where a web server in front
    /// of ArcGIS refuses by address. It is not shared: other processes with the same shared cache
    /// ([`Site::shared_token_cache`](crate::Site)) may try.
    ///
    /// ```
    /// use tower_arcgis_auth::TokenError;
    ///
    /// let refused = TokenError::refused("the licence file of this machine has run out; replace it").only_here();
    /// assert!(refused.is_refused());
    /// ```
    #[must_use]
    pub fn only_here(mut self) -> Self {
        Arc::make_mut(&mut self.inner).is_only_here = true;
        self
    }

    /// Whether it is about this process or machine, and does not concern others.
    pub(crate) fn is_only_here(&self) -> bool {
        self.inner.is_only_here
    }

    /// The same error of a login that the lock-out guard did not let be made: nothing was sent.
    pub(crate) fn withheld(mut self) -> Self {
        Arc::make_mut(&mut self.inner).is_withheld = true;
        self
    }

    /// Whether the lock-out guard did not let the login be made.
    #[cfg(feature = "metrics")]
    pub(crate) fn is_withheld(&self) -> bool {
        self.inner.is_withheld
    }

    /// The same fault, of a login that was given up because it took too long.
    pub(crate) fn timed_out(mut self) -> Self {
        Arc::make_mut(&mut self.inner).has_timed_out = true;
        self
    }

    /// Whether the token service gave no wrong answer: it was not asked, or has not answered yet.
    pub(crate) fn is_unanswered(&self) -> bool {
        self.inner.is_withheld || self.inner.has_timed_out || self.next_try().is_some()
    }

    /// The same fault, of a login that is not made again before `at`.
    pub(crate) fn tried_again_at(mut self, at: Instant) -> Self {
        Arc::make_mut(&mut self.inner).tried_again_at = Some(at);
        self
    }

    /// When the login is made again, where it is not made before that.
    pub(crate) fn next_try(&self) -> Option<Instant> {
        self.inner.tried_again_at
    }

    /// The same error with its cause. The cause is printed by error reporters: it must hold no secret either.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        Arc::make_mut(&mut self.inner).source = Some(source.into().into());
        self
    }

    /// The same error, with `more` behind its words.
    pub(crate) fn and(mut self, more: &str) -> Self {
        let inner = Arc::make_mut(&mut self.inner);
        inner.message = format!("{}; {more}", inner.message).into();
        self
    }

    /// Whether it is a refusal, and no fault.
    pub fn is_refused(&self) -> bool {
        self.inner.kind != Kind::Fault
    }

    /// Whether another credential may be accepted where this one was refused.
    pub(crate) fn is_about_credential(&self) -> bool {
        self.inner.kind == Kind::Refused
    }

    pub(crate) fn is_not_given(&self) -> bool {
        self.inner.kind == Kind::NotGiven
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)
    }
}

impl fmt::Debug for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenError")
            .field("kind", &self.inner.kind)
            .field("message", &self.inner.message)
            .field("is_withheld", &self.inner.is_withheld)
            .field("source", &self.inner.source)
            .finish()
    }
}

impl Error for TokenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.inner
            .source
            .as_ref()
            .map(|source| source.as_ref() as &(dyn Error + 'static))
    }
}

/// Why a layer, a token source or a shared cache could not be built from its settings. Names the setting, and holds no
/// secret.
///
/// ```
/// use tower_arcgis_auth::{ArcgisAuthLayer, Site};
///
/// let error = ArcgisAuthLayer::try_new(Site::new("gis.example.com/arcgis")).unwrap_err();
/// assert!(error.to_string().contains("gis.example.com/arcgis"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    message: String,
}

impl ConfigError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for ConfigError {}
