//! What is a challenge, and what only looks like one.

mod codes;
mod codings;
mod corpus;
mod downloads;
mod identity_providers;
mod pages;
mod peeking;
mod portal_pages;
mod properties;
mod through_the_layer;

use crate::support::received::{Received, received};

fn ok(body: impl AsRef<[u8]>) -> Received {
    received(200, body)
}
