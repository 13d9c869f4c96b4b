//! Signing: where a token goes on a request, whether the caller placed one, and what must not go back up.

pub(crate) mod cache_control;
pub(crate) mod callers_token;
pub(crate) mod placement;
pub(crate) mod scrub;

pub(crate) use self::placement::Placed;
pub use self::placement::{CallerToken, TokenPlacement};
