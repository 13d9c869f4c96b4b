//! Sessions: the shared state of one site and identity.

mod account;
mod counters;
#[cfg(feature = "identities")]
mod identities;
mod state;
mod store;

#[cfg(feature = "identities")]
pub(crate) use self::identities::{CallerSettings, Callers, IdentityFn};
pub(crate) use self::{
    account::{Account, Accounts, Signing},
    counters::Tally,
    state::{LoginResult, REFUSAL_REMEMBERED},
    store::{Renewal, TokenStore, broken_off, in_time},
};
