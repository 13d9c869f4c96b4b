//! Signing: where a token goes on a request, whether the caller placed one, and what must not go back up.

pub(crate) mod cache_control;
pub(crate) mod callers_token;
mod cookies;
mod pairs;
pub(crate) mod placement;
pub(crate) mod scrub;

pub(crate) use self::callers_token::CallersHeaders;
pub(crate) use self::pairs::QueryToken;
pub use self::{callers_token::CallerToken, placement::TokenPlacement};
