//! The trait through which several processes keep to one history.

use std::{pin::Pin, sync::Arc};

use super::{
    history::{Decision, Verdict},
    key::LoginKey,
};

pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The histories that several processes share. Implemented by the shared token cache.
pub(crate) trait SharedHistory: Send + Sync {
    /// Decides, and enters the attempt `number` where it may go. `None` where the shared history cannot be asked: the
    /// process goes on by its own.
    fn begin<'a>(&'a self, key: &'a LoginKey, number: u64) -> Boxed<'a, Option<Decision>>;

    /// Writes down what came of the attempt `number`. Runs in a task of its own.
    fn end(
        self: Arc<Self>,
        key: Arc<LoginKey>,
        number: u64,
        verdict: Verdict,
    ) -> Boxed<'static, ()>;
}
