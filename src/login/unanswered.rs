//! Logins that were not answered. The token service may have counted each as a failure, and five of these in 15 minutes
//! lock an account.

use tokio::time::Instant;

use crate::{error::TokenError, session::REFUSAL_REMEMBERED};

/// One of the five may come from elsewhere.
pub(crate) const MOST_UNANSWERED: usize = 4;

/// Logins that nobody knows the outcome of, by their numbers, and when that was clear.
#[derive(Debug, Default)]
pub(crate) struct Unanswered(Vec<(u64, Instant)>);

impl Unanswered {
    /// Counts the login of this number, once.
    pub(crate) fn add(&mut self, login: u64, now: Instant) {
        self.0.retain(|(_, at)| counts(*at, now));
        if self.0.iter().all(|(number, _)| *number != login) {
            self.0.push((login, now));
        }
    }

    /// A login that began at `began` was granted: those before it did not fail.
    pub(crate) fn granted(&mut self, began: Instant) {
        self.0.retain(|(_, at)| *at >= began);
    }

    /// Whether any still counts.
    pub(crate) fn is_any(&self, now: Instant) -> bool {
        self.0.iter().any(|(_, at)| counts(*at, now))
    }

    /// Why there must be no more of them.
    pub(crate) fn denial(&self, now: Instant) -> Option<TokenError> {
        let lately = self.0.iter().filter(|(_, at)| counts(*at, now));
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
