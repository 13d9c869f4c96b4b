//! Failed logins never lock an account.

mod attempts;
mod named_sources;
mod shared_logins;
mod unanswered;
