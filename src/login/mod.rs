//! ArcGIS's own login methods, one file each, and the choice of the one that fits a server.

mod answer;
mod automatic;
mod client;
mod credential_fn;
mod discovery;
mod endpoint;
mod generate_token;
mod legacy_token;
mod oauth;
mod oauth_app;
#[cfg(feature = "client")]
mod platform_client;
mod portal;
mod refresh_token;
mod report;
mod server_info;
mod setters;
#[cfg(feature = "sign-in")]
mod sign_in;
mod static_token;

use std::time::Duration;

use http::Uri;

use self::answer::Failure;
#[cfg(feature = "sign-in")]
pub use self::sign_in::{SignIn, SignedIn};
pub(crate) use self::{
    automatic::{Automatic, LoginSettings, Portals},
    credential_fn::{AskedCredential, CredentialFn},
    discovery::{Answers, Discovery},
    endpoint::Endpoint,
    report::{Wanted, report},
};
pub use self::{
    client::TokenClient,
    credential_fn::{Cancelled, CredentialRequest},
    generate_token::GenerateToken,
    legacy_token::LegacyToken,
    oauth::revoke_token,
    oauth_app::OAuthApp,
    portal::{FederatedServer, Portal},
    refresh_token::{RefreshToken, RotatedToken},
    report::{ChosenSource, SiteReport},
    static_token::StaticToken,
};
use crate::{
    credential::{Credential, User},
    error::TokenError,
    guard::LoginAttempt,
    token::{IssuedToken, TokenRequest},
};

/// ArcGIS Server 10.1 and 10.2 refuse a lifetime above their maximum, 60 minutes by default; later versions cut it to
/// that.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// Asks for a token of this lifetime, and once more without one where the server refuses the lifetime.
async fn with_lifetime<F, Fut>(lifetime: Duration, ask: F) -> Result<IssuedToken, Failure>
where
    F: Fn(Option<Duration>) -> Fut,
    Fut: Future<Output = Result<IssuedToken, Failure>>,
{
    match ask(Some(lifetime)).await {
        Err(failure) if failure.is_about_lifetime => ask(None).await,
        token => token,
    }
}

/// The URL that a user's credential goes to, the leave to send it once, and the credential as it is when that is given.
async fn user_attempt(
    endpoint: &Endpoint,
    credential: &Credential,
    request: &TokenRequest,
) -> Result<(Uri, LoginAttempt, User), TokenError> {
    let uri = endpoint.checked()?;
    let read_user = || credential.read_user();
    let (attempt, user) = request
        .attempt_with(&endpoint.origin(), read_user, User::fingerprint)
        .await?;
    Ok((uri, attempt, user))
}

/// A lifetime in the unit of token services: whole minutes, at least one.
fn in_minutes(lifetime: Duration) -> String {
    (lifetime.as_secs() / 60).max(1).to_string()
}
