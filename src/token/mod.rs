//! Tokens, and the open trait for where they come from.

mod binding;
mod request;
mod source;
#[allow(clippy::module_inception, reason = "the file of the type")]
mod token;

pub use self::{
    binding::TokenBinding,
    request::{SignOut, TokenReason, TokenRequest},
    source::{BoxTokenSource, OrElse, TokenSource, TokenSourceFn, token_source_fn},
    token::{IssuedToken, Token},
};
pub(crate) use self::{request::Owner, source::DynTokenSource, token::Freshness};
