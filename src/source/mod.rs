//! Where tokens come from: the one open trait, and what a source is told.

mod answer;
mod ask;
mod automatic;
mod client;
mod credential;
mod discovery;
mod endpoint;
mod generate_token;
mod legacy_token;
mod oauth;
#[cfg(feature = "client")]
mod platform_client;
mod portal;
mod ready_token;
mod secret;
#[cfg(feature = "sign-in")]
mod sign_in;

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

#[cfg(feature = "sign-in")]
pub use self::sign_in::{SignIn, SignedIn, begin_sign_in, redeem_code};
pub(crate) use self::{
    ask::{Ask, CredentialFn},
    automatic::{Automatic, Portals, Recipe},
    discovery::Discovery,
    endpoint::Endpoint,
};
pub use self::{
    ask::{Cancelled, CredentialRequest},
    client::TokenClient,
    credential::Credential,
    generate_token::{ClientBinding, GenerateToken},
    legacy_token::LegacyToken,
    oauth::{OAuthApp, RefreshToken, RotatedToken, revoke_token},
    portal::{FederatedServer, Portal},
    ready_token::{ReadyToken, ReadyTokenOrElse},
    secret::Secret,
};
use crate::{
    error::TokenError,
    token::{IssuedToken, Token},
};

/// ArcGIS Server 10.1 and 10.2 refuse a lifetime above their maximum, 60 minutes where nobody changed it; later ones
/// cut it to that.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// A lifetime as token services are asked for it: in whole minutes, at least one.
fn in_minutes(lifetime: Duration) -> String {
    (lifetime.as_secs() / 60).max(1).to_string()
}

/// A way of getting tokens: one of ArcGIS's own, or yours. Sources compose: one may wrap another.
///
/// The layer calls it from a task of its own, once at a time per site, with a time limit
/// ([`login_timeout`](crate::ArcgisAuthLayerBuilder::login_timeout)), and remembers what it says: a
/// [refusal](TokenError::refused) for 15 minutes, a [fault](TokenError::fault) for a pause that grows.
///
/// A source must not send its own requests through the layer it serves: a login that waits for itself never ends.
///
/// ```
/// use tower_arcgis_auth::{ArcgisAuthLayer, IssuedToken, Site, TokenError, TokenRequest, TokenSource};
///
/// /// A token somebody else keeps fresh, in a file.
/// struct FromFile(std::path::PathBuf);
///
/// impl TokenSource for FromFile {
///     async fn token(&self, _request: TokenRequest) -> Result<IssuedToken, TokenError> {
///         let text = tokio::fs::read_to_string(&self.0).await.map_err(|error| {
///             TokenError::fault("the token file cannot be read; check that it is there").with_source(error)
///         })?;
///         IssuedToken::new(text)
///     }
/// }
///
/// let site = Site::new("https://gis.example.com/arcgis").token_source(FromFile("/run/token".into()));
/// let layer = ArcgisAuthLayer::new(site).unwrap();
/// # drop(layer);
/// ```
pub trait TokenSource: Send + Sync + 'static {
    /// Gets a token, for the reason `request` gives.
    ///
    /// # Errors
    ///
    /// [`TokenError::refused`] where trying again with the same credential is useless or harmful, else
    /// [`TokenError::fault`].
    fn token(
        &self,
        request: TokenRequest,
    ) -> impl Future<Output = Result<IssuedToken, TokenError>> + Send;

    /// A number that changes when the credential does, so that a remembered refusal can be lifted; `None` while it
    /// cannot be told, which is no change. Asked at most once a second, and only while a refusal is remembered; must not
    /// block for long. `None` unless you say otherwise: then a refusal lasts its 15 minutes.
    fn fingerprint(&self) -> Option<u64> {
        None
    }
}

impl<T: TokenSource> TokenSource for Arc<T> {
    fn token(
        &self,
        request: TokenRequest,
    ) -> impl Future<Output = Result<IssuedToken, TokenError>> + Send {
        T::token(self, request)
    }

    fn fingerprint(&self) -> Option<u64> {
        T::fingerprint(self)
    }
}

/// A source made of an async closure.
///
/// ```
/// use tower_arcgis_auth::{IssuedToken, Site, token_source_fn};
///
/// let site = Site::new("https://gis.example.com/arcgis")
///     .token_source(token_source_fn(|request| async move {
///         println!("a token is wanted: {}", request.reason());
///         IssuedToken::new("aGVsbG8td29ybGQ.")
///     }));
/// # drop(site);
/// ```
pub fn token_source_fn<F, Fut>(function: F) -> TokenSourceFn<F>
where
    F: Fn(TokenRequest) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<IssuedToken, TokenError>> + Send,
{
    TokenSourceFn { function }
}

/// The source [`token_source_fn`] makes.
#[derive(Clone)]
pub struct TokenSourceFn<F> {
    function: F,
}

impl<F, Fut> TokenSource for TokenSourceFn<F>
where
    F: Fn(TokenRequest) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<IssuedToken, TokenError>> + Send,
{
    fn token(
        &self,
        request: TokenRequest,
    ) -> impl Future<Output = Result<IssuedToken, TokenError>> + Send {
        (self.function)(request)
    }
}

impl<F> fmt::Debug for TokenSourceFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSourceFn").finish_non_exhaustive()
    }
}

/// Why a token is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenReason {
    /// There is none yet.
    Missing,
    /// The current one nears its end, and still works.
    Expiring,
    /// The current one is past its end by the clock.
    Expired,
    /// A server called the current one invalid.
    Rejected,
    /// A server asked for a token though it had the current one: a dead one may be treated like none, and so may an
    /// account that lacks a right.
    RejectedAsMissing,
}

impl TokenReason {
    /// The reason as one lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Expiring => "expiring",
            Self::Expired => "expired",
            Self::Rejected => "rejected",
            Self::RejectedAsMissing => "rejected as missing",
        }
    }
}

impl fmt::Display for TokenReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a [`TokenSource`] is told.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    reason: TokenReason,
    dead: Option<Arc<Token>>,
}

impl TokenRequest {
    pub(crate) fn new(reason: TokenReason, dead: Option<Arc<Token>>) -> Self {
        Self { reason, dead }
    }

    /// Why a token is wanted.
    pub fn reason(&self) -> TokenReason {
        self.reason
    }

    /// The token that died or is about to. A source that keeps tokens must not hand this one out again.
    pub fn dead(&self) -> Option<&Token> {
        self.dead.as_deref()
    }
}

/// [`TokenSource`] behind a pointer. Boxes a future a login, never one a request.
pub(crate) trait DynTokenSource: Send + Sync {
    fn token(
        &self,
        request: TokenRequest,
    ) -> Pin<Box<dyn Future<Output = Result<IssuedToken, TokenError>> + Send + '_>>;

    fn fingerprint(&self) -> Option<u64>;
}

impl<T: TokenSource> DynTokenSource for T {
    fn token(
        &self,
        request: TokenRequest,
    ) -> Pin<Box<dyn Future<Output = Result<IssuedToken, TokenError>> + Send + '_>> {
        Box::pin(TokenSource::token(self, request))
    }

    fn fingerprint(&self) -> Option<u64> {
        TokenSource::fingerprint(self)
    }
}
