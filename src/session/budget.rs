//! How many logins challenges may cause: a token bucket. It bounds what a server can cost that challenges good tokens,
//! whatever the reason, and asks no question about usefulness.

use std::time::Duration;

use tokio::time::Instant;

/// At once: a server that voids its tokens every second is healed this often.
const MOST: u32 = 20;
/// After that, one in this time: a real revocation meanwhile heals within it.
const EVERY: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(super) struct LoginBudget {
    /// When the bucket is full again.
    full_at: Option<Instant>,
    is_warned_of: bool,
}

impl LoginBudget {
    /// Whether a challenge may cause a login now.
    pub(super) fn is_empty(&self, now: Instant) -> bool {
        self.missing(now) > EVERY * (MOST - 1)
    }

    /// A challenge caused a login.
    pub(super) fn spend(&mut self, now: Instant) {
        self.full_at = Some(now + self.missing(now) + EVERY);
        self.is_warned_of = false;
    }

    /// Logins that challenges may cause now.
    pub(super) fn left(&self, now: Instant) -> u32 {
        let spent = self.missing(now).as_millis().div_ceil(EVERY.as_millis());
        MOST.saturating_sub(u32::try_from(spent).unwrap_or(MOST))
    }

    /// Whether an empty budget is to be warned of: once until the next login.
    pub(super) fn warn(&mut self) -> bool {
        !std::mem::replace(&mut self.is_warned_of, true)
    }

    fn missing(&self, now: Instant) -> Duration {
        self.full_at
            .map_or(Duration::ZERO, |full| full.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_logins_at_once_then_one_in_thirty_seconds() {
        let mut budget = LoginBudget::default();
        let mut now = Instant::now();
        for login in 0..MOST {
            assert!(!budget.is_empty(now), "{login}");
            assert_eq!(budget.left(now), MOST - login);
            budget.spend(now);
        }
        assert!(budget.is_empty(now));
        assert_eq!(budget.left(now), 0);
        for _ in 0..3 {
            now += EVERY - Duration::from_millis(1);
            assert!(budget.is_empty(now));
            now += Duration::from_millis(1);
            assert!(!budget.is_empty(now));
            budget.spend(now);
            assert!(budget.is_empty(now));
        }
    }

    #[test]
    fn a_budget_fills_up_again_and_never_beyond() {
        let mut budget = LoginBudget::default();
        let now = Instant::now();
        for _ in 0..MOST {
            budget.spend(now);
        }
        assert_eq!(budget.left(now + EVERY * MOST), MOST);
        assert_eq!(budget.left(now + EVERY * 10 * MOST), MOST);
    }

    #[test]
    fn an_empty_budget_is_warned_of_once_until_the_next_login() {
        let mut budget = LoginBudget::default();
        assert!(budget.warn());
        assert!(!budget.warn());
        budget.spend(Instant::now());
        assert!(budget.warn());
    }
}
