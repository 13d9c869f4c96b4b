//! Logins that were not answered. The token service may have counted each as a failure, and five of these in 15 minutes
//! lock an account.

use tokio::time::Instant;

use crate::{error::TokenError, store::REFUSAL_REMEMBERED};

/// One of the five may come from elsewhere.
pub(crate) const MOST_UNANSWERED: usize = 4;

/// When logins were made that nobody knows the outcome of.
#[derive(Debug, Default)]
pub(crate) struct Unanswered(Vec<Instant>);

impl Unanswered {
    pub(crate) fn add(&mut self, now: Instant) {
        self.0.retain(|at| counts(*at, now));
        self.0.push(now);
    }

    /// Whether any still counts.
    pub(crate) fn is_any(&self, now: Instant) -> bool {
        self.0.iter().any(|at| counts(*at, now))
    }

    /// Why there must be no more of them.
    pub(crate) fn denial(&self, now: Instant) -> Option<TokenError> {
        let lately = self.0.iter().filter(|at| counts(**at, now));
        (lately.count() >= MOST_UNANSWERED).then(too_many_unanswered)
    }
}

fn counts(at: Instant, now: Instant) -> bool {
    now < at + REFUSAL_REMEMBERED
}

/// Why no login is made after so many that were not answered.
pub(crate) fn too_many_unanswered() -> TokenError {
    TokenError::fault(
        "the token service left several logins unanswered and may have counted them as failures; one more might lock the \
         account, so the next is made a quarter of an hour after the first",
    )
}
