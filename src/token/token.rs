//! A token: its text in the forms that a request needs, prepared once, and what is known of its life.

use std::{
    fmt,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::HeaderValue;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use tokio::{task::AbortHandle, time::Instant};

use crate::error::TokenError;

/// RFC 3986's unreserved characters stay: ArcGIS makes tokens of them, so that most need no encoding.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A token that is over sooner is one of a clock gone wrong: a login for each request would not help. What counts is
/// whether the server takes it.
const SHORTEST_LIFETIME: Duration = Duration::from_secs(1);

/// What a [`TokenSource`](crate::TokenSource) returns: a token's text, and how long it is valid.
///
/// ```
/// use std::time::Duration;
/// use tower_arcgis_auth::IssuedToken;
///
/// let token = IssuedToken::try_new("G6943LMReKj_kqdAVrAi..").unwrap().valid_for(Duration::from_secs(3600));
/// assert_eq!(token.lifetime(), Some(Duration::from_secs(3600)));
/// // A page is not a token.
/// assert!(IssuedToken::try_new("<html>Sign in</html>").is_err());
/// ```
#[derive(Clone)]
pub struct IssuedToken {
    text: SecretString,
    lifetime: Option<Duration>,
    /// Another process got it, and shared it: it may have died since then.
    is_from_shared_cache: bool,
    takes_esri_header: bool,
}

impl IssuedToken {
    /// A token of this text, trimmed, of unknown lifetime.
    ///
    /// # Errors
    ///
    /// A fault if the text cannot be a token: it is empty, or has white space, control characters, `<`, `>`, `"`, or
    /// anything that is not visible ASCII. ArcGIS makes tokens of `A-Z a-z 0-9 _ - .`; a wrong URL returns a page of HTML.
    pub fn try_new(text: impl Into<String>) -> Result<Self, TokenError> {
        let text = SecretString::from(text.into().trim());
        let exposed = text.expose_secret();
        let is_token = !exposed.is_empty()
            && exposed
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"'));
        if !is_token {
            return Err(TokenError::fault(
                "what the token source gave is not a token: it is empty or has characters no token has; \
                 check the token URL",
            ));
        }
        Ok(Self {
            text,
            lifetime: None,
            is_from_shared_cache: false,
            takes_esri_header: true,
        })
    }

    /// The same token, valid for `lifetime` from now. Leave it out where the server does not say.
    #[must_use]
    pub fn valid_for(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    #[cfg(feature = "shared-cache")]
    pub(crate) fn taken_from_shared_cache(self) -> Self {
        Self {
            is_from_shared_cache: true,
            ..self
        }
    }

    /// For a server older than ArcGIS 10.6, which does not know `X-Esri-Authorization`.
    pub(crate) fn without_esri_header(self) -> Self {
        Self {
            takes_esri_header: false,
            ..self
        }
    }

    /// Whether the server may know `X-Esri-Authorization`.
    #[cfg(feature = "shared-cache")]
    pub(crate) fn takes_esri_header(&self) -> bool {
        self.takes_esri_header
    }

    /// How long the token is valid, counted from its issue, if that is known.
    pub fn lifetime(&self) -> Option<Duration> {
        self.lifetime
    }

    /// The token's text, a secret: never log it.
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }
}

impl fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedToken")
            .field("text", &"[redacted]")
            .field("lifetime", &self.lifetime)
            .finish()
    }
}

/// A token in use. Immutable but for what is learnt about it: whether it expires soon, whether it works.
///
/// A [`TokenSource`](crate::TokenSource) sees it as the token that died
/// ([`previous_token`](crate::TokenRequest::previous_token)) or that is signed out.
pub struct Token {
    text: SecretString,
    generation: u64,
    got_at: Instant,
    expires_at: Option<Instant>,
    /// `token=…`, ready for a query.
    query_pair: Bytes,
    /// `agstoken=…`, ready for a `Cookie` header.
    cookie_pair: HeaderValue,
    /// `Bearer …`, for either header.
    bearer: HeaderValue,
    freshness: AtomicU8,
    proven: AtomicBool,
    rejected: AtomicBool,
    is_from_shared_cache: bool,
    takes_esri_header: bool,
    clock: OnceLock<AbortHandle>,
}

/// How near a token is to its expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Freshness {
    Fresh = 0,
    /// Still valid; time to get the next.
    NearEnd = 1,
    PastEnd = 2,
}

impl Token {
    pub(crate) fn new(
        issued: IssuedToken,
        generation: u64,
        now: Instant,
    ) -> Result<Self, TokenError> {
        let text = issued.expose();
        let encoded = utf8_percent_encode(text, ENCODED).to_string();
        Ok(Self {
            query_pair: Bytes::from(format!("token={encoded}")),
            cookie_pair: sensitive(format!("agstoken={encoded}"))?,
            bearer: sensitive(format!("Bearer {text}"))?,
            generation,
            got_at: now,
            expires_at: issued
                .lifetime
                .filter(|lifetime| *lifetime >= SHORTEST_LIFETIME)
                .and_then(|lifetime| now.checked_add(lifetime)),
            freshness: AtomicU8::new(Freshness::Fresh as u8),
            proven: AtomicBool::new(false),
            rejected: AtomicBool::new(false),
            is_from_shared_cache: issued.is_from_shared_cache,
            takes_esri_header: issued.takes_esri_header,
            clock: OnceLock::new(),
            text: issued.text,
        })
    }

    /// The token's text, a secret: never log it.
    pub fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// Which token of this session it is, counted from 1.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// When it expires by what the server said, and how long it was valid when it was issued.
    pub(crate) fn expiry(&self) -> Option<(Instant, Duration)> {
        let end = self.expires_at?;
        Some((end, end.saturating_duration_since(self.got_at)))
    }

    pub(crate) fn age(&self) -> Duration {
        Instant::now().saturating_duration_since(self.got_at)
    }

    /// How long it is still valid by what the server said: zero after its expiry, `None` where the server did not say.
    pub fn expires_in(&self) -> Option<Duration> {
        let end = self.expires_at?;
        Some(end.saturating_duration_since(Instant::now()))
    }

    #[inline]
    pub(crate) fn query_pair(&self) -> &Bytes {
        &self.query_pair
    }

    #[inline]
    pub(crate) fn cookie_pair(&self) -> &HeaderValue {
        &self.cookie_pair
    }

    #[inline]
    pub(crate) fn bearer(&self) -> &HeaderValue {
        &self.bearer
    }

    /// Whether it is fresh, and nobody has called it invalid: nearly always.
    #[inline]
    pub(crate) fn is_unremarkable(&self) -> bool {
        self.freshness.load(Ordering::Relaxed) == Freshness::Fresh as u8 && !self.is_rejected()
    }

    pub(crate) fn freshness(&self) -> Freshness {
        match self.freshness.load(Ordering::Relaxed) {
            0 => Freshness::Fresh,
            1 => Freshness::NearEnd,
            _ => Freshness::PastEnd,
        }
    }

    pub(crate) fn set_freshness(&self, freshness: Freshness) {
        self.freshness.store(freshness as u8, Ordering::Relaxed);
    }

    /// Whether a request signed with it got an answer that is no challenge.
    #[inline]
    pub(crate) fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn set_proven(&self) {
        // Written once: each writing takes the token's cache line from all other threads.
        if !self.is_proven() {
            self.proven.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a server called it invalid, and no login has answered that yet.
    #[inline]
    pub(crate) fn is_rejected(&self) -> bool {
        self.rejected.load(Ordering::Relaxed)
    }

    pub(crate) fn set_rejected(&self, rejected: bool) {
        self.rejected.store(rejected, Ordering::Relaxed);
    }

    /// Whether another process got it, and shared it: it may have died since then.
    pub(crate) fn is_from_shared_cache(&self) -> bool {
        self.is_from_shared_cache
    }

    /// Whether the server may know `X-Esri-Authorization`.
    #[inline]
    pub(crate) fn takes_esri_header(&self) -> bool {
        self.takes_esri_header
    }

    /// The same text, for as long as it is still valid.
    pub(crate) fn reissue(&self) -> Result<IssuedToken, TokenError> {
        Ok(IssuedToken {
            lifetime: self.expires_in(),
            is_from_shared_cache: self.is_from_shared_cache,
            takes_esri_header: self.takes_esri_header,
            ..IssuedToken::try_new(self.expose())?
        })
    }

    /// Ties the task that watches this token's age to the token's own life.
    pub(crate) fn set_clock(&self, clock: AbortHandle) {
        if let Err(second) = self.clock.set(clock) {
            second.abort();
        }
    }
}

/// A header value that no `Debug` shows and HPACK never indexes. Cloned once here, because the first clone of a value
/// allocates and later ones do not.
fn sensitive(text: String) -> Result<HeaderValue, TokenError> {
    let mut value = HeaderValue::from_maybe_shared(Bytes::from(text)).map_err(|_| {
        TokenError::fault(
            "what the token source gave cannot stand in a header; check the token URL",
        )
    })?;
    value.set_sensitive(true);
    drop(value.clone());
    Ok(value)
}

impl Drop for Token {
    fn drop(&mut self) {
        if let Some(clock) = self.clock.get() {
            clock.abort();
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("text", &"[redacted]")
            .field("generation", &self.generation)
            .field("expires_at", &self.expires_at)
            .field("freshness", &self.freshness())
            .field("proven", &self.is_proven())
            .finish_non_exhaustive()
    }
}
