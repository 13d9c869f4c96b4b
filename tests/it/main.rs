//! What the layer does, seen from outside: a module for each subject.

mod contract;
mod detection;
mod end_to_end;
mod handle;
mod house;
mod identities;
mod lock_out;
mod logins;
mod placement;
mod redaction;
mod replay;
mod response_body;
mod scrubbing;
#[cfg(feature = "shared-cache")]
mod sharing;
mod sites;
mod support;
mod urls_and_signing;
