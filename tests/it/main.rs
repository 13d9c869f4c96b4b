//! What the layer does, seen from outside: a module for each subject.

mod detection;
mod end_to_end;
mod handle;
mod house;
#[cfg(feature = "identities")]
mod identities;
mod lock_out;
mod logins;
mod placement;
mod redaction;
mod replay;
mod response_body;
mod scrubbing;
mod service;
#[cfg(feature = "shared-cache")]
mod sharing;
mod sites;
mod support;
mod token_store;
