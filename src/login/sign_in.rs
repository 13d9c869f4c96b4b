//! A person's sign-in at a portal: a URL to send the person to, and a code that the person comes back with. OAuth 2.0's
//! authorization code with PKCE.
//!
//! The `oauth2` crate makes codes, verifiers and the URL. It cannot read the portal's answer, which has errors under HTTP 200
//! in an object, and fields of its own.

use std::{fmt, time::Duration};

use oauth2::{
    AuthUrl, ClientId, CsrfToken, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl,
    basic::BasicClient,
};
use secrecy::{ExposeSecret, SecretString};

use super::{
    client::TokenClient,
    endpoint::Endpoint,
    oauth::{ask, oauth_endpoint},
};
use crate::{
    error::{ConfigError, TokenError},
    token::IssuedToken,
};

/// A person's sign-in at a portal, from the redirect to the portal to the person's return: the URL to send the person to, and
/// what to keep until the person comes back.
///
/// ```no_run
/// use tower_arcgis_auth::{SignIn, TokenClient};
///
/// # async fn signed_in(code: &str, state: &str, client: TokenClient) -> Result<(), Box<dyn std::error::Error>> {
/// let (portal, id, back) = ("https://www.arcgis.com", "aClientId", "https://app.example.com/signed-in");
/// let sign_in = SignIn::try_new(portal, id, back)?;
/// // Redirect the browser to `sign_in.url()`. It comes back with `code` and `state`:
/// let signed_in = sign_in.redeem(code, state, &client).await?;
/// println!("{:?} signed in", signed_in.user);
/// # Ok(())
/// # }
/// ```
///
/// ```
/// use tower_arcgis_auth::SignIn;
///
/// let sign_in =
///     SignIn::try_new("https://www.arcgis.com", "aClientId", "https://app.example.com/signed-in").unwrap();
/// assert!(sign_in.url().starts_with("https://www.arcgis.com/sharing/rest/oauth2/authorize?"));
/// assert!(sign_in.url().contains("code_challenge_method=S256"));
/// ```
pub struct SignIn {
    endpoint: Endpoint,
    client_id: String,
    redirect_uri: String,
    url: String,
    state: SecretString,
    verifier: SecretString,
}

impl SignIn {
    /// Begins a sign-in of the application `client_id` at the portal at `portal`, the part before `/sharing`.
    ///
    /// # Errors
    ///
    /// If `portal` or `redirect_uri` is no URL.
    pub fn try_new(portal: &str, client_id: &str, redirect_uri: &str) -> Result<Self, ConfigError> {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let state = CsrfToken::new_random();
        Self::begun(
            portal,
            client_id,
            redirect_uri,
            challenge,
            &state,
            &verifier,
        )
    }

    /// A sign-in that began before, possibly in another process, from what was kept of it: its [`state`](Self::state) and
    /// its [`verifier`](Self::verifier).
    ///
    /// # Errors
    ///
    /// If `portal` or `redirect_uri` is no URL.
    ///
    /// ```
    /// use tower_arcgis_auth::SignIn;
    ///
    /// let (portal, id, back) = ("https://www.arcgis.com", "aClientId", "https://app.example.com/signed-in");
    /// let begun = SignIn::try_new(portal, id, back).unwrap();
    /// // Kept in the person's session.
    /// let (state, verifier) = (begun.state().to_owned(), begun.verifier().to_owned());
    /// let resumed = SignIn::resume(portal, id, back, &state, &verifier).unwrap();
    /// assert_eq!(resumed.url(), begun.url());
    /// ```
    pub fn resume(
        portal: &str,
        client_id: &str,
        redirect_uri: &str,
        state: &str,
        verifier: &str,
    ) -> Result<Self, ConfigError> {
        let verifier = PkceCodeVerifier::new(verifier.to_owned());
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&verifier);
        let state = CsrfToken::new(state.to_owned());
        Self::begun(
            portal,
            client_id,
            redirect_uri,
            challenge,
            &state,
            &verifier,
        )
    }

    fn begun(
        portal: &str,
        client_id: &str,
        redirect_uri: &str,
        challenge: PkceCodeChallenge,
        state: &CsrfToken,
        verifier: &PkceCodeVerifier,
    ) -> Result<Self, ConfigError> {
        let unusable = |what: &str| {
            ConfigError::new(format!(
                "the {what} of a sign-in is no URL; write it like https://portal.example.com/portal"
            ))
        };
        let authorize = format!(
            "{}/sharing/rest/oauth2/authorize",
            portal.trim_end_matches('/')
        );
        let client = BasicClient::new(ClientId::new(client_id.to_owned()))
            .set_auth_uri(AuthUrl::new(authorize).map_err(|_| unusable("portal"))?)
            .set_redirect_uri(
                RedirectUrl::new(redirect_uri.to_owned()).map_err(|_| unusable("redirect URI"))?,
            );
        let (url, _) = client
            .authorize_url(|| state.clone())
            .set_pkce_challenge(challenge)
            .url();
        Ok(Self {
            endpoint: oauth_endpoint(portal, "token")?,
            client_id: client_id.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            url: url.into(),
            state: state.secret().as_str().into(),
            verifier: verifier.secret().as_str().into(),
        })
    }

    /// The URL of the portal's sign-in page, to redirect the person's browser to. It holds the state.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The value that the browser comes back with in the parameter `state`: keep it with the person's session.
    pub fn state(&self) -> &str {
        self.state.expose_secret()
    }

    /// The secret that redeems the code: keep it with the person's session, and do not show it.
    pub fn verifier(&self) -> &str {
        self.verifier.expose_secret()
    }

    /// Redeems the `code` that the person came back with; `state` is the parameter beside it.
    ///
    /// # Errors
    ///
    /// A refusal where the state is not this sign-in's, or the code is wrong, used or too old; a fault where the portal
    /// cannot be asked.
    pub async fn redeem(
        &self,
        code: &str,
        state: &str,
        client: &TokenClient,
    ) -> Result<SignedIn, TokenError> {
        if state != self.state() {
            return Err(TokenError::refused(
                "the `state` that came back is not this sign-in's; begin a new one",
            ));
        }
        let parameters = [
            ("grant_type", "authorization_code"),
            ("client_id", self.client_id.as_str()),
            ("redirect_uri", self.redirect_uri.as_str()),
            ("code", code),
            ("code_verifier", self.verifier()),
        ];
        let grant = ask(&self.endpoint, client, &parameters).await?;
        Ok(SignedIn {
            access: grant.access,
            refresh_token: grant
                .refresh
                .map(|token| SecretString::from(token.expose_secret().to_owned())),
            refresh_lifetime: grant.refresh_lifetime,
            user: grant.user,
        })
    }
}

impl fmt::Debug for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL holds the state.
        f.debug_struct("SignIn")
            .field("endpoint", &self.endpoint)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// The tokens of a person's sign-in.
#[derive(Debug)]
pub struct SignedIn {
    /// The first access token.
    pub access: IssuedToken,
    /// For [`RefreshToken`](crate::RefreshToken), where the portal gave one.
    pub refresh_token: Option<SecretString>,
    /// How long the refresh token is valid from now, where the portal said so.
    pub refresh_lifetime: Option<Duration>,
    /// The user name of the person, where the portal said so.
    pub user: Option<String>,
}
