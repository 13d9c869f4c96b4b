//! Token sources: the one open trait, and sources made of closures.

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use tokio::time::timeout;

use crate::{
    credential::Fingerprint,
    error::TokenError,
    token::{IssuedToken, SignOut, TokenRequest},
};

/// A source of tokens: one of ArcGIS's own login methods, or yours. Sources compose: one may wrap another.
///
/// The layer calls it from a task of its own, one call at a time for each session, with a time limit
/// ([`login_timeout`](crate::ArcgisAuthLayerBuilder::login_timeout)), and remembers its errors: a
/// [refusal](TokenError::refused) for 15 minutes, a [fault](TokenError::fault) for a pause that doubles from 1 s to 2
/// minutes.
///
/// A source that sends a name and a secret calls [`TokenRequest::login_attempt`] first, so that no account is locked.
///
/// A source must not send its own requests through the layer it serves: that login would wait for itself until its time
/// limit.
///
/// ```
/// use tower_arcgis_auth::{ArcgisAuthLayer, IssuedToken, Site, TokenError, TokenRequest, TokenSource};
///
/// /// A token in a file, which another program keeps fresh.
/// struct FromFile(std::path::PathBuf);
///
/// impl TokenSource for FromFile {
///     async fn token(&self, _request: TokenRequest) -> Result<IssuedToken, TokenError> {
///         let text = tokio::fs::read_to_string(&self.0).await.map_err(|error| {
///             TokenError::fault("the token file cannot be read; check that it is there").with_source(error)
///         })?;
///         IssuedToken::try_new(text)
///     }
/// }
///
/// let site = Site::new("https://gis.example.com/arcgis").token_source(FromFile("/run/token".into()));
/// let layer = ArcgisAuthLayer::try_new(site).unwrap();
/// # drop(layer);
/// ```
pub trait TokenSource: Send + Sync + 'static {
    /// Gets a token; `request` says why, and for which site and identity.
    ///
    /// # Errors
    ///
    /// [`TokenError::refused`] where another try with the same credential is useless or harmful, else
    /// [`TokenError::fault`].
    fn token(
        &self,
        request: TokenRequest,
    ) -> impl Future<Output = Result<IssuedToken, TokenError>> + Send;

    /// Writes what the credential is recognised by, so that a change of the credential lifts a remembered refusal. Called
    /// with every login, and at most once a second while a refusal is remembered; must not block for long. By default it is
    /// [unknown](Fingerprint::cannot_tell): then a refusal lasts its 15 minutes.
    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        fingerprint.cannot_tell();
    }

    /// Signs a session out: forgets what the source keeps of it, and revokes tokens where a server has to know. The layer has
    /// forgotten the token itself before. Does nothing by default. It may take 15 seconds.
    ///
    /// # Errors
    ///
    /// A [`TokenError`] where a server did not confirm the sign-out.
    fn sign_out(&self, sign_out: SignOut) -> impl Future<Output = Result<(), TokenError>> + Send {
        let _ = sign_out;
        std::future::ready(Ok(()))
    }

    /// This source, and `next` where this one gives no token. They count as one credential: while the
    /// [fingerprint](Self::fingerprint) of either is unknown, a refusal lasts its 15 minutes, even if the other credential has
    /// changed. A closure's is always unknown; a [`TokenSource`] of your own may have one. The error is that of `next`.
    ///
    /// ```
    /// use tower_arcgis_auth::{IssuedToken, Secret, Site, StaticToken, TokenSource, token_source_fn};
    ///
    /// let renewing = token_source_fn(|_| async { IssuedToken::try_new("fresh") });
    /// let site = Site::new("https://gis.example.com/arcgis")
    ///     .token_source(StaticToken::new(Secret::env("ARCGIS_TOKEN")).or_else(renewing));
    /// # drop(site);
    /// ```
    fn or_else<S: TokenSource>(self, next: S) -> OrElse<Self, S>
    where
        Self: Sized,
    {
        OrElse::new(self, next)
    }

    /// This source behind a pointer, so that sources of different types have one.
    ///
    /// ```
    /// use tower_arcgis_auth::{BoxTokenSource, IssuedToken, Secret, Site, StaticToken, TokenSource, token_source_fn};
    ///
    /// fn source(key: Option<&str>) -> BoxTokenSource {
    ///     match key {
    ///         Some(key) => StaticToken::new(Secret::value(key)).boxed(),
    ///         None => token_source_fn(|_| async { IssuedToken::try_new("fresh") }).boxed(),
    ///     }
    /// }
    /// let site = Site::new("https://gis.example.com/arcgis").token_source(source(None));
    /// # drop(site);
    /// ```
    fn boxed(self) -> BoxTokenSource
    where
        Self: Sized,
    {
        BoxTokenSource {
            source: Arc::new(self),
        }
    }
}

impl<T: TokenSource> TokenSource for Box<T> {
    fn token(
        &self,
        request: TokenRequest,
    ) -> impl Future<Output = Result<IssuedToken, TokenError>> + Send {
        T::token(self, request)
    }

    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        T::fingerprint(self, fingerprint);
    }

    fn sign_out(&self, sign_out: SignOut) -> impl Future<Output = Result<(), TokenError>> + Send {
        T::sign_out(self, sign_out)
    }
}

impl<T: TokenSource> TokenSource for Arc<T> {
    fn token(
        &self,
        request: TokenRequest,
    ) -> impl Future<Output = Result<IssuedToken, TokenError>> + Send {
        T::token(self, request)
    }

    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        T::fingerprint(self, fingerprint);
    }

    fn sign_out(&self, sign_out: SignOut) -> impl Future<Output = Result<(), TokenError>> + Send {
        T::sign_out(self, sign_out)
    }
}

/// A source whose type is forgotten: for a choice between sources at run time, and for fields. Made by
/// [`TokenSource::boxed`]. Clones are the same source.
#[derive(Clone)]
pub struct BoxTokenSource {
    source: Arc<dyn DynTokenSource>,
}

impl TokenSource for BoxTokenSource {
    fn token(
        &self,
        request: TokenRequest,
    ) -> impl Future<Output = Result<IssuedToken, TokenError>> + Send {
        self.source.token(request)
    }

    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        self.source.fingerprint(fingerprint);
    }

    fn sign_out(&self, sign_out: SignOut) -> impl Future<Output = Result<(), TokenError>> + Send {
        self.source.sign_out(sign_out)
    }
}

impl fmt::Debug for BoxTokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxTokenSource").finish_non_exhaustive()
    }
}

/// Two sources, of which the second is asked where the first gives no token. Made by [`TokenSource::or_else`].
#[derive(Clone, Debug)]
pub struct OrElse<A, B> {
    first: A,
    next: B,
}

impl<A, B> OrElse<A, B> {
    fn new(first: A, next: B) -> Self {
        Self { first, next }
    }
}

impl<A: TokenSource, B: TokenSource> TokenSource for OrElse<A, B> {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        match self.first.token(request.clone()).await {
            Ok(token) => Ok(token),
            Err(_) => self.next.token(request).await,
        }
    }

    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        self.first.fingerprint(fingerprint);
        fingerprint.also(|next| self.next.fingerprint(next));
    }

    async fn sign_out(&self, sign_out: SignOut) -> Result<(), TokenError> {
        let first = self.first.sign_out(sign_out.clone()).await;
        self.next.sign_out(sign_out).await.and(first)
    }
}

/// A source made of an async closure. Its credential is unknown, so a refusal lasts its 15 minutes.
///
/// ```
/// use tower_arcgis_auth::{IssuedToken, Site, token_source_fn};
///
/// let site = Site::new("https://gis.example.com/arcgis")
///     .token_source(token_source_fn(|request| async move {
///         println!("a token is needed: {}", request.reason());
///         IssuedToken::try_new("aGVsbG8td29ybGQ.")
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

/// [`TokenSource`] behind a pointer. Boxes one future for each login, never one for a request.
pub(crate) trait DynTokenSource: Send + Sync {
    fn token(&self, request: TokenRequest) -> Boxed<'_, Result<IssuedToken, TokenError>>;

    fn fingerprint(&self, fingerprint: &mut Fingerprint);

    fn sign_out(&self, sign_out: SignOut) -> Boxed<'_, Result<(), TokenError>>;
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl<T: TokenSource> DynTokenSource for T {
    fn token(&self, request: TokenRequest) -> Boxed<'_, Result<IssuedToken, TokenError>> {
        Box::pin(TokenSource::token(self, request))
    }

    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        TokenSource::fingerprint(self, fingerprint);
    }

    fn sign_out(&self, sign_out: SignOut) -> Boxed<'_, Result<(), TokenError>> {
        Box::pin(TokenSource::sign_out(self, sign_out))
    }
}

impl dyn DynTokenSource + '_ {
    /// The credential's fingerprint as this process compares it.
    pub(crate) fn hashed_fingerprint(&self) -> Option<u64> {
        let mut fingerprint = Fingerprint::empty();
        self.fingerprint(&mut fingerprint);
        fingerprint.hashed()
    }

    /// A token, or a fault where the login takes longer than `limit`.
    pub(crate) async fn token_within(
        &self,
        request: TokenRequest,
        limit: Duration,
    ) -> Result<IssuedToken, TokenError> {
        timeout(limit, self.token(request))
            .await
            .unwrap_or_else(|_| {
                Err(TokenError::fault(format!(
                    "the login did not end within {} seconds; check that the token service answers",
                    limit.as_secs()
                ))
                .timed_out())
            })
    }
}
