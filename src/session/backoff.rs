//! How long a token source that is down is left alone: exponential back-off.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::TokenError;

const FIRST: Duration = Duration::from_secs(1);
/// A token service that was down for an hour is found well again within this.
const LONGEST: Duration = Duration::from_secs(2 * 60);

#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    /// The last failure, which says when the source is asked again.
    last: Option<TokenError>,
}

impl Backoff {
    /// The source failed. `jitter`, from 0 to 1, lengthens the pause by up to a quarter, but never beyond the longest, so
    /// that many machines do not ask again at once. Returns the error that those get who want a login meanwhile.
    pub(super) fn failed(&mut self, error: TokenError, jitter: f64, now: Instant) -> &TokenError {
        let pause = doubled(FIRST, self.failures, LONGEST);
        self.failures = self.failures.saturating_add(1);
        let pause = pause
            .mul_f64(1.0 + 0.25 * jitter.clamp(0.0, 1.0))
            .min(LONGEST);
        self.last.insert(error.tried_again_at(now + pause))
    }

    /// The source answered.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Why the source is left alone now, if it is.
    pub(super) fn error(&self, now: Instant) -> Option<&TokenError> {
        let is_over = |error: &&TokenError| error.next_try().is_none_or(|at| at <= now);
        self.last.as_ref().filter(|error| !is_over(error))
    }
}

/// `first`, doubled `times` times, at most `longest`.
pub(super) fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    1u32.checked_shl(times)
        .and_then(|factor| first.checked_mul(factor))
        .map_or(longest, |pause| pause.min(longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_longest() {
        let pauses: Vec<u64> = [0, 1, 2, 6, 7, 31, 32, u32::MAX]
            .iter()
            .map(|times| doubled(FIRST, *times, LONGEST).as_secs())
            .collect();
        assert_eq!(pauses, [1, 2, 4, 64, 120, 120, 120, 120]);
    }

    #[test]
    fn jitter_only_lengthens_a_pause() {
        for (jitter, pause) in [(0.0, 1000), (1.0, 1250), (-3.0, 1000), (9.0, 1250)] {
            let (mut backoff, now) = (Backoff::default(), Instant::now());
            backoff.failed(TokenError::fault("down"), jitter, now);
            let end = now + Duration::from_millis(pause);
            assert!(backoff.error(end - Duration::from_millis(1)).is_some());
            assert!(backoff.error(end).is_none());
        }
    }

    #[test]
    fn jitter_makes_no_pause_longer_than_the_longest() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        for _ in 0..10 {
            backoff.failed(TokenError::fault("down"), 1.0, now);
        }
        let end = now + LONGEST;
        assert!(backoff.error(end - Duration::from_millis(1)).is_some());
        assert!(backoff.error(end).is_none());
    }

    #[test]
    fn an_answer_begins_the_pauses_anew() {
        let (mut backoff, now) = (Backoff::default(), Instant::now());
        for _ in 0..5 {
            backoff.failed(TokenError::fault("down"), 0.0, now);
        }
        backoff.reset();
        assert!(backoff.error(now).is_none());
        backoff.failed(TokenError::fault("down"), 0.0, now);
        assert!(backoff.error(now + FIRST).is_none());
    }
}
