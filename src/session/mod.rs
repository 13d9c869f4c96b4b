//! Sessions: the shared state of one site and identity. A session has a token store, says how its token travels, and
//! remembers the services that no login helps.

mod backoff;
mod budget;
mod events;
#[cfg(feature = "identities")]
mod identities;
mod services;
#[allow(clippy::module_inception, reason = "the file of the type")]
mod session;
mod sessions;
mod state;
mod status;
mod store;

#[cfg(feature = "identities")]
pub(crate) use self::identities::{Identities, IdentityFn, IdentitySettings};
pub use self::status::{SessionState, TokenState};
pub(crate) use self::{
    events::{SiteCounters, SiteEvents},
    services::Standing,
    session::{LayerSettings, Session, Signing},
    sessions::Sessions,
    state::LoginResult,
    store::{Renewal, TokenStore, broken_off},
};
