//! ArcGIS's own ways of issuing tokens, one file each, and finding the one that fits a server.

mod answer;
mod automatic;
mod client;
mod credential_fn;
mod discovery;
mod endpoint;
mod explore;
mod gate;
mod generate_token;
mod legacy_token;
mod oauth;
#[cfg(feature = "client")]
mod platform_client;
mod portal;
#[cfg(feature = "sign-in")]
mod sign_in;
mod static_token;
mod told;
mod turn;
mod unanswered;
mod way;

use std::time::Duration;

#[cfg(feature = "sign-in")]
pub use self::sign_in::{SignIn, SignedIn, begin_sign_in, redeem_code};
#[cfg(feature = "shared-cache")]
pub(crate) use self::unanswered::{MOST_UNANSWERED, too_many_unanswered};
pub(crate) use self::{
    automatic::{Automatic, Portals, Recipe},
    credential_fn::{Ask, CredentialFn, Refusals},
    discovery::Discovery,
    endpoint::Endpoint,
    told::Answers,
    unanswered::Unanswered,
};
pub use self::{
    client::TokenClient,
    credential_fn::{Cancelled, CredentialRequest},
    explore::{ChosenSource, SiteReport},
    generate_token::{GenerateToken, TokenBinding},
    legacy_token::LegacyToken,
    oauth::{OAuthApp, RefreshToken, RotatedToken, revoke_token},
    portal::{FederatedServer, Portal},
    static_token::{OrElse, StaticToken},
};

/// ArcGIS Server 10.1 and 10.2 refuse a lifetime above their maximum, 60 minutes where nobody changed it; later ones
/// cut it to that.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// A lifetime as token services are asked for it: in whole minutes, at least one.
fn in_minutes(lifetime: Duration) -> String {
    (lifetime.as_secs() / 60).max(1).to_string()
}
