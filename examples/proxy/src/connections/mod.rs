//! The callers' side: connections in, how many there may be, and how long each may keep the proxy waiting.

mod caller;
mod connection;
mod places;
mod seldom;
mod serve;
mod stop;
mod stream;

use std::time::Duration;

pub(crate) use self::{
    caller::{Caller, UnderWay},
    places::Places,
    serve::serve,
    stop::StopSignals,
};

/// How long a caller may keep the proxy waiting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// For a new connection's first request, and for any request's headers.
    pub(crate) headers: Duration,
    /// Between two requests.
    pub(crate) idle: Duration,
    /// With a part of an answer that is not taken.
    pub(crate) bodies: Duration,
}
