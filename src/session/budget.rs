//! How many logins challenges may cause: a token bucket. It bounds what a server can cost that challenges good tokens,
//! whatever the reason, and asks no question about usefulness.

use std::time::Duration;

use tokio::time::Instant;

/// After that, one in this time: a real revocation meanwhile heals within it.
const EVERY: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LoginBudget {
    /// When the bucket is full again.
    full_at: Option<Instant>,
    is_warned_of: bool,
}

impl LoginBudget {
    /// At once: a server that voids its tokens every second is healed this often.
    pub(super) const MOST: u32 = 20;

    /// Whether a challenge may cause a login now.
    pub(super) fn is_empty(&self, now: Instant) -> bool {
        self.missing(now) > EVERY * (Self::MOST - 1)
    }

    /// A challenge caused a login.
    pub(super) fn spend(&mut self, now: Instant) {
        self.full_at = Some(now + self.missing(now) + EVERY);
        self.is_warned_of = false;
    }

    /// Logins that challenges may cause now.
    pub(super) fn left(&self, now: Instant) -> u32 {
        let spent = self.missing(now).as_millis().div_ceil(EVERY.as_millis());
        Self::MOST.saturating_sub(u32::try_from(spent).unwrap_or(Self::MOST))
    }

    /// When it is full again; `None` where nothing was ever spent.
    pub(super) fn full_at(&self) -> Option<Instant> {
        self.full_at
    }

    /// When there is more than now, and how much, until it is full.
    pub(super) fn refills(self, now: Instant) -> impl Iterator<Item = (Instant, u32)> + Send {
        let full_at = self.full_at.unwrap_or(now);
        let more = self.left(now) + 1..=Self::MOST;
        more.map(move |left| (full_at - EVERY * (Self::MOST - left), left))
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

    const MOST: u32 = LoginBudget::MOST;

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
    fn a_refill_comes_when_one_more_is_left() {
        let mut budget = LoginBudget::default();
        let now = Instant::now();
        for _ in 0..3 {
            budget.spend(now);
        }
        let later = now + EVERY / 2;
        let refills: Vec<(Instant, u32)> = budget.refills(later).collect();
        assert_eq!(
            refills,
            [
                (now + EVERY, MOST - 2),
                (now + 2 * EVERY, MOST - 1),
                (now + 3 * EVERY, MOST)
            ]
        );
        for (at, left) in refills {
            assert_eq!(budget.left(at), left);
            assert_eq!(budget.left(at - Duration::from_millis(1)), left - 1);
        }
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
