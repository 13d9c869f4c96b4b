//! Tokens for a person who signed in once, from the refresh token of that sign-in, and its exchange for the next.

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    time::{Instant, timeout},
};

use super::{
    answer::Failure,
    client::TokenClient,
    endpoint::Endpoint,
    oauth::{ask, oauth_endpoint, revoke},
};
use crate::{
    credential::{Fingerprint, Secret},
    error::{ConfigError, TokenError},
    identity::Identity,
    token::{IssuedToken, SignOut, TokenRequest, TokenSource},
};

/// The next refresh, or a sign-out, waits no longer for one without an answer.
const LONGEST_REFRESH: Duration = Duration::from_secs(60);

type Stored = Pin<Box<dyn Future<Output = ()> + Send>>;
type Store = Arc<dyn Fn(RotatedToken) -> Stored + Send + Sync>;

/// A refresh token that replaces another. Store it: the old one is void.
pub struct RotatedToken {
    refresh_token: SecretString,
    lifetime: Option<Duration>,
    identity: Option<Identity>,
}

impl RotatedToken {
    /// The new refresh token, a secret: never log it.
    pub fn expose(&self) -> &str {
        self.refresh_token.expose_secret()
    }

    /// How long it is valid from now, if the portal said so.
    pub fn lifetime(&self) -> Option<Duration> {
        self.lifetime
    }

    /// The identity that it belongs to, where the site has a token for each ([`identity_fn`](crate::Site::identity_fn)).
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }
}

impl fmt::Debug for RotatedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RotatedToken")
            .field("refresh_token", &"[redacted]")
            .field("lifetime", &self.lifetime)
            .field("identity", &self.identity)
            .finish()
    }
}

/// Gets tokens for a person who signed in once, from the refresh token of that sign-in.
///
/// A refresh token expires, after two weeks at most portals. With a [`redirect_uri`](Self::redirect_uri) it is exchanged for
/// the next after nine tenths of that time, and [`on_rotation`](Self::on_rotation) gets the new one: unless it is stored,
/// the sign-in is lost with the process.
///
/// ```
/// use std::time::Duration;
/// use tower_arcgis_auth::{RefreshToken, Secret, TokenClient};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let client = TokenClient::new(tower::service_fn(|_: http::Request<http_body_util::Full<bytes::Bytes>>| async {
/// #     Ok::<_, std::io::Error>(http::Response::new(http_body_util::Full::<bytes::Bytes>::default()))
/// # }));
/// let source = RefreshToken::try_new("https://www.arcgis.com", "aClientId", Secret::file("/var/lib/app/refresh"), client)?
///     .valid_for(Duration::from_secs(14 * 24 * 3600))
///     .redirect_uri("https://app.example.com/signed-in")
///     .on_rotation(|rotated| async move {
///         let _ = tokio::fs::write("/var/lib/app/refresh", rotated.expose()).await;
///     });
/// # drop(source);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RefreshToken {
    endpoint: Endpoint,
    revocation: Endpoint,
    client_id: String,
    given: Secret,
    /// Locked during a login: the store makes one at a time anyway.
    kept: Arc<Mutex<Kept>>,
    redirect_uri: Option<String>,
    on_rotation: Option<Store>,
    client: TokenClient,
}

/// What is known of the refresh token in use.
#[derive(Default)]
struct Kept {
    /// The given refresh token that rotation began with, and the one that replaced it last.
    rotated: Option<(SecretString, SecretString)>,
    lifetime: Option<Duration>,
    /// When it is exchanged for the next: after nine tenths of its lifetime.
    rotate_at: Option<Instant>,
}

impl Kept {
    /// The rotated one, unless a new sign-in has given another since.
    fn newest(&self, given: SecretString) -> SecretString {
        match &self.rotated {
            Some((began_with, rotated))
                if began_with.expose_secret() == given.expose_secret()
                    || rotated.expose_secret() == given.expose_secret() =>
            {
                rotated.clone()
            }
            _ => given,
        }
    }

    fn set_lifetime(&mut self, lifetime: Option<Duration>) {
        // Where the portal does not say, the next lives as long as the last.
        self.lifetime = lifetime.or(self.lifetime);
        self.rotate_at = self
            .lifetime
            .and_then(|lifetime| Instant::now().checked_add(lifetime.mul_f64(0.9)));
    }
}

impl RefreshToken {
    /// A refresh token of the application `client_id` at the portal at `portal`, the part before `/sharing`.
    ///
    /// # Errors
    ///
    /// If `portal` is no absolute http or https URL.
    pub fn try_new(
        portal: &str,
        client_id: impl Into<String>,
        refresh_token: impl Into<Secret>,
        client: TokenClient,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            endpoint: oauth_endpoint(portal, "token")?,
            revocation: oauth_endpoint(portal, "revokeToken")?,
            client_id: client_id.into(),
            given: refresh_token.into(),
            kept: Arc::default(),
            redirect_uri: None,
            on_rotation: None,
            client,
        })
    }

    /// The same settings with another refresh token, such as another person's. Its lifetime is unknown.
    #[must_use]
    pub fn refresh_token(self, refresh_token: impl Into<Secret>) -> Self {
        Self {
            given: refresh_token.into(),
            kept: Arc::default(),
            ..self
        }
    }

    /// How long the given refresh token is valid from now, if you know.
    #[must_use]
    pub fn valid_for(self, lifetime: Duration) -> Self {
        let mut kept = Kept::default();
        kept.set_lifetime(Some(lifetime));
        Self {
            kept: Arc::new(Mutex::new(kept)),
            ..self
        }
    }

    /// The redirect URI of the sign-in, which the portal requires for an exchange. Without it the refresh token is not
    /// exchanged.
    #[must_use]
    pub fn redirect_uri(mut self, redirect_uri: impl Into<String>) -> Self {
        self.redirect_uri = Some(redirect_uri.into());
        self
    }

    /// Stores a new refresh token; [`RotatedToken::identity`] says whose it is. It runs to its end in a task of its own, even
    /// if the login is cancelled.
    #[must_use]
    pub fn on_rotation<F, Fut>(mut self, store: F) -> Self
    where
        F: Fn(RotatedToken) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.on_rotation = Some(Arc::new(move |rotated| Box::pin(store(rotated))));
        self
    }

    /// Lets the refresh token travel over plain http, where everyone on the path can read it.
    #[must_use]
    pub fn allow_insecure_http(mut self) -> Self {
        self.endpoint = self.endpoint.allow_insecure_http();
        self.revocation = self.revocation.allow_insecure_http();
        self
    }

    /// Asks with the newest refresh token. The new one is kept before anything can cancel this: the old one is void by then.
    async fn ask(
        self,
        mut kept: OwnedMutexGuard<Kept>,
        given: SecretString,
        identity: Option<Identity>,
    ) -> Result<IssuedToken, TokenError> {
        let refresh_token = kept.newest(given.clone());
        let plain = [
            ("client_id", self.client_id.as_str()),
            ("refresh_token", refresh_token.expose_secret()),
            ("grant_type", "refresh_token"),
        ];
        let is_near_its_end = kept.rotate_at.is_some_and(|at| Instant::now() >= at);
        let exchanged = match &self.redirect_uri {
            Some(redirect_uri) if is_near_its_end => {
                let exchange = [
                    plain[0],
                    plain[1],
                    ("grant_type", "exchange_refresh_token"),
                    ("redirect_uri", redirect_uri),
                ];
                match ask(&self.endpoint, &self.client, &exchange).await {
                    Ok(grant) => Some(grant),
                    // 498 is about the refresh token itself: the plain grant would fail the same way.
                    Err(failure) if failure.code == Some(498) => {
                        return Err(sign_in_again(failure));
                    }
                    Err(failure) if !failure.error.is_refused() => return Err(failure.error),
                    // Refused for another reason, such as its redirect URI: the refresh token is still valid.
                    Err(_) => None,
                }
            }
            _ => None,
        };
        let grant = match exchanged {
            Some(grant) => grant,
            None => ask(&self.endpoint, &self.client, &plain)
                .await
                .map_err(sign_in_again)?,
        };
        if let Some(refresh) = grant.refresh {
            let began_with = match kept.rotated.take() {
                Some((began_with, _)) if refresh_token.expose_secret() != given.expose_secret() => {
                    began_with
                }
                _ => given,
            };
            kept.rotated = Some((began_with, refresh.clone()));
            kept.set_lifetime(grant.refresh_lifetime);
            if let Some(store) = &self.on_rotation {
                tokio::spawn(store(RotatedToken {
                    refresh_token: refresh,
                    lifetime: grant.refresh_lifetime,
                    identity,
                }));
            }
        }
        Ok(grant.access)
    }
}

impl TokenSource for RefreshToken {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        let kept = Arc::clone(&self.kept).lock_owned().await;
        let given = self.given.read()?;
        let identity = request.identity().cloned();
        // A task of its own: a login that is cancelled half-way must not lose the token that replaces the old one.
        let asking = timeout(LONGEST_REFRESH, self.clone().ask(kept, given, identity));
        match tokio::spawn(asking).await {
            Ok(Ok(token)) => token,
            Ok(Err(_)) => Err(TokenError::fault(format!(
                "{:?} did not answer within {} seconds; check that the portal is up",
                self.endpoint,
                LONGEST_REFRESH.as_secs()
            ))),
            Err(_) => Err(TokenError::fault("the refresh of a token broke off")),
        }
    }

    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        fingerprint.account(&self.client_id);
        // The application is the same for all people who sign in.
        fingerprint.token_of(&self.given);
    }

    /// Revokes the refresh token at the portal. After that the person has to sign in again.
    async fn sign_out(&self, _sign_out: SignOut) -> Result<(), TokenError> {
        let given = self.given.read()?;
        let kept = self.kept.lock().await;
        let newest = kept.newest(given);
        revoke(
            &self.revocation,
            &self.client_id,
            newest.expose_secret(),
            &self.client,
        )
        .await
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshToken")
            .field("endpoint", &self.endpoint)
            .field("client_id", &self.client_id)
            .field("refresh_token", &self.given)
            .field("redirect_uri", &self.redirect_uri)
            .finish_non_exhaustive()
    }
}

/// On this end point 498 is about the refresh token, and only a new sign-in gives another.
fn sign_in_again(failure: Failure) -> TokenError {
    if failure.code == Some(498) {
        return TokenError::refused(
            "the portal calls the refresh token invalid or expired; the person has to sign in again",
        )
        // Another process may have the one that replaced it.
        .only_here();
    }
    failure.error
}
