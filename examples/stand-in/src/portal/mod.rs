//! A portal: logins, tokens for the servers federated with it, and a few things that want a token.

mod builder;
mod content;
mod counters;
mod exchange;
mod handle;
mod keys;
mod login;
mod reply;
mod router;
mod state;

pub use builder::PortalBuilder;
pub use counters::PortalCounters;
pub use handle::Portal;

pub(crate) use state::PortalState;
