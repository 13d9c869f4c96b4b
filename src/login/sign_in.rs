//! A person's sign-in at a portal, as two plain functions: make the URL to send the person to, redeem the code the
//! person comes back with. OAuth 2.0's authorization code with PKCE.
//!
//! Codes, verifiers and the URL are the `oauth2` crate's; the portal's answer is not, since it tells errors under HTTP
//! 200 in an object and has fields of its own.

use std::{fmt, time::Duration};

use oauth2::{
    AuthUrl, AuthorizationCode, ClientId, CsrfToken, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, basic::BasicClient,
};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    error::{ConfigError, TokenError},
    login::{
        TokenClient,
        oauth::{ask, oauth_endpoint},
    },
    token::IssuedToken,
};

/// Where to send a person to sign in, and what to keep until the person comes back.
pub struct SignIn {
    /// The portal's sign-in page, to redirect the person's browser to.
    pub url: String,
    /// To compare with the `state` parameter the browser comes back with: it must be the same.
    pub state: CsrfToken,
    /// To redeem the code with.
    pub verifier: PkceCodeVerifier,
}

impl fmt::Debug for SignIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL holds the state.
        f.debug_struct("SignIn").finish_non_exhaustive()
    }
}

/// What a person's sign-in gives.
#[derive(Debug)]
pub struct SignedIn {
    /// The first access token.
    pub access: IssuedToken,
    /// For [`RefreshToken`](crate::RefreshToken), where the portal gave one.
    pub refresh_token: Option<SecretString>,
    /// How long the refresh token is good for.
    pub refresh_lifetime: Option<Duration>,
    /// Who signed in.
    pub user: Option<String>,
}

/// Begins a sign-in of the application `client_id` at the portal at `portal`, the part before `/sharing`.
///
/// # Errors
///
/// If `portal` or `redirect_uri` is no URL.
///
/// ```
/// let sign_in = tower_arcgis_auth::begin_sign_in(
///     "https://www.arcgis.com",
///     "aClientId",
///     "https://app.example.com/signed-in",
/// )
/// .unwrap();
/// assert!(sign_in.url.starts_with("https://www.arcgis.com/sharing/rest/oauth2/authorize?"));
/// assert!(sign_in.url.contains("code_challenge_method=S256"));
/// ```
pub fn begin_sign_in(
    portal: &str,
    client_id: &str,
    redirect_uri: &str,
) -> Result<SignIn, ConfigError> {
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
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, state) = client
        .authorize_url(CsrfToken::new_random)
        .set_pkce_challenge(challenge)
        .url();
    Ok(SignIn {
        url: url.into(),
        state,
        verifier,
    })
}

/// Redeems the `code` a person came back with. Compare the `state` first.
///
/// # Errors
///
/// A refusal where the code is wrong, used or too old; a fault where the portal cannot be asked.
pub async fn redeem_code(
    portal: &str,
    client_id: &str,
    redirect_uri: &str,
    code: AuthorizationCode,
    verifier: &PkceCodeVerifier,
    client: &TokenClient,
) -> Result<SignedIn, TokenError> {
    let endpoint =
        oauth_endpoint(portal, "token").map_err(|error| TokenError::fault(error.to_string()))?;
    let parameters = [
        ("grant_type", "authorization_code"),
        ("client_id", client_id),
        ("redirect_uri", redirect_uri),
        ("code", code.secret().as_str()),
        ("code_verifier", verifier.secret().as_str()),
    ];
    let grant = ask(&endpoint, client, &parameters).await?;
    Ok(SignedIn {
        access: grant.access,
        refresh_token: grant
            .refresh
            .map(|token| SecretString::from(token.expose_secret().to_owned())),
        refresh_lifetime: grant.refresh_lifetime,
        user: grant.user,
    })
}
