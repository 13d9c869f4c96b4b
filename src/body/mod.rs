//! The layer's bodies: what a request can be sent again from, what a peeked answer goes up as.

mod replay;
mod response;

pub(crate) use self::{replay::KeptBody, response::Peek};
pub use self::{replay::ReplayBody, response::ResponseBody};
