//! Warnings that anyone can cause, at most one a second.

use std::sync::Mutex;

use tokio::time::{Duration, Instant};

const AT_MOST_EVERY: Duration = Duration::from_secs(1);

/// Lets one of several warnings through.
#[derive(Debug, Default)]
pub(super) struct Seldom(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    left_out: u64,
}

impl Seldom {
    /// How many were left out since the last one, if one may be given now.
    pub(super) fn now(&self) -> Option<u64> {
        let mut state = match self.0.lock() {
            Ok(state) => state,
            // Nothing panics while it is held; counts are no reason to stop.
            Err(poisoned) => poisoned.into_inner(),
        };
        let now = Instant::now();
        if state.last.is_some_and(|last| now - last < AT_MOST_EVERY) {
            state.left_out += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_a_second_is_let_through() {
        let seldom = Seldom::default();
        assert_eq!(seldom.now(), Some(0));
        assert_eq!(seldom.now(), None);
        assert_eq!(seldom.now(), None);
        tokio::time::advance(AT_MOST_EVERY).await;
        assert_eq!(seldom.now(), Some(2));
    }
}
