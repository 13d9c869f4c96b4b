//! What a challenge that could not be answered becomes, if it is not to go up as it is: a status, or an error.

mod as_error;
mod as_status;
#[allow(clippy::module_inception, reason = "the file of the type")]
mod failure;
mod judged;

pub use self::{
    as_error::{FailureAsError, FailureAsErrorFuture, FailureAsErrorLayer},
    as_status::{FailureAsStatus, FailureAsStatusFuture, FailureAsStatusLayer},
    failure::AuthFailure,
};
