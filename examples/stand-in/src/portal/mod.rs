//! A portal: logins, tokens for the servers federated with it, OAuth, and a few things that want a token.

mod apps;
mod builder;
mod content;
mod control;
mod counters;
mod exchange;
mod handle;
mod keys;
mod login;
mod oauth;
mod pkce;
mod reply;
mod router;
mod sha256;
mod state;

pub use builder::PortalBuilder;
pub use counters::PortalCounters;
pub use handle::Portal;

pub(crate) use state::PortalState;
