//! What is recorded for the `metrics` facade, and what never is. A program of its own, with a recorder for each test.

#[allow(dead_code, unused_imports, reason = "the other tests use the rest")]
#[path = "../it/support/mod.rs"]
mod support;

mod challenges;
mod gauges;
mod labels;
mod logins;
mod recorder;
#[cfg(feature = "shared-cache")]
mod shared_cache;
