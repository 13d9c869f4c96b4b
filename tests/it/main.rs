//! The tests of the layer in one program: what it does, a folder or file a subject.

mod detection;
mod lock_out;
mod placement;
mod redaction;
mod replay;
mod response_body;
mod scrubbing;
mod service;
mod sites;
mod support;
mod token_store;
