//! Tokens shared between processes.

mod failures;
mod shared_cache;
