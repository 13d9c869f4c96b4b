//! Tokens, and the open trait for where they come from.

mod fate;
mod request;
mod source;
#[allow(clippy::module_inception, reason = "the file of the type")]
mod token;

#[cfg(feature = "shared-cache")]
pub(crate) use self::request::vault_time::VaultTime;
pub(crate) use self::{
    fate::Fate,
    request::Owner,
    source::{DynTokenSource, fingerprint_of},
    token::Freshness,
};
pub use self::{
    request::{SignOut, TokenReason, TokenRequest},
    source::{TokenSource, TokenSourceFn, token_source_fn},
    token::{IssuedToken, Token},
};
