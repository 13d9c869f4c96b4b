//! The circuit breaker in front of a shared cache: one that fails or is slow is not asked for a while.

use std::{sync::Mutex, time::Duration};

use tokio::time::{Instant, timeout};

use crate::{lock::lock, shared_cache::TokenCacheError, trace};

/// How long logins do without a cache that failed or was slow.
pub(super) const OPEN_FOR: Duration = Duration::from_secs(3);
/// What an answer may take, of the time limit. A login asks at most ten times one after the other, its portal's login and
/// the guard's history included: so a cache costs it two time limits at most.
const SLOW: u32 = 5;

/// The shared cache did not answer, or is not asked just now: go on without it.
#[derive(Debug)]
pub(super) struct Unavailable;

#[derive(Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Default)]
struct State {
    /// `None` once the cache has answered in time.
    open_until: Option<Instant>,
    /// It has answered since it last failed. The first answer may be slow: it takes a connection.
    is_connected: bool,
}

impl Breaker {
    pub(super) fn is_open(&self) -> bool {
        let open_until = lock(&self.0).open_until;
        open_until.is_some_and(|until| Instant::now() < until)
    }

    /// The answer to `question`, if it comes within `limit`.
    pub(super) async fn ask<T>(
        &self,
        limit: Duration,
        question: impl Future<Output = Result<T, TokenCacheError>>,
    ) -> Result<T, Unavailable> {
        let started = Instant::now();
        let answer = timeout(limit, question).await.unwrap_or_else(|_| {
            Err(TokenCacheError::new(format!(
                "the shared cache did not answer within {} ms",
                limit.as_millis()
            )))
        });
        let took = started.elapsed();
        match answer {
            Ok(answer) => {
                let was_connected = std::mem::replace(&mut lock(&self.0).is_connected, true);
                if was_connected && took > limit / SLOW {
                    self.open(&TokenCacheError::new(format!(
                        "the shared cache took {} ms to answer; {} ms is what a login can wait",
                        took.as_millis(),
                        (limit / SLOW).as_millis()
                    )));
                } else {
                    self.close();
                }
                Ok(answer)
            }
            Err(error) => {
                lock(&self.0).is_connected = false;
                self.open(&error);
                Err(Unavailable)
            }
        }
    }

    fn open(&self, error: &TokenCacheError) {
        let until = Instant::now() + OPEN_FOR;
        if lock(&self.0).open_until.replace(until).is_none() {
            trace::shared_cache_unavailable(error);
        }
    }

    fn close(&self) {
        if lock(&self.0).open_until.take().is_some() {
            trace::shared_cache_back();
        }
    }
}
