//! Failed logins never lock an account.

mod named_sources;
mod own_sources;
mod pauses;
mod refusals;
mod shared_logins;
mod unanswered;
