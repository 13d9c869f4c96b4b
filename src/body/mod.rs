//! The layer's bodies: what a request can be sent again from, forms that are looked into, and what a peeked answer goes up
//! as.

mod form;
mod frames;
mod length;
mod replay;
mod response;

pub(crate) use self::{
    form::{FormReader, ReadForm},
    length::BodyLength,
    replay::KeptBody,
    response::{Begun, Peek},
};
pub use self::{replay::ReplayBody, response::ResponseBody};
