//! What happens at a site, made known in one place: counted for handles, traced, and recorded as metrics.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

use super::budget::LoginBudget;
use crate::{
    challenge::Challenge,
    error::TokenError,
    metrics::{Resent, SiteMetrics, Waiting},
    outcome::{AuthOutcome, SkipReason},
    token::{Owner, Token, TokenReason},
    trace,
};

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counted by a site's sessions together.
#[derive(Debug, Default)]
pub(crate) struct SiteCounters {
    pub(crate) logins: Counter,
    pub(crate) refused_logins: Counter,
    pub(crate) failed_logins: Counter,
    pub(crate) challenges: Counter,
    pub(crate) sent_again: Counter,
    pub(crate) sign_outs: Counter,
}

/// Makes known what happens at a site, in all its sessions.
#[derive(Debug)]
pub(crate) struct SiteEvents {
    owner: Owner,
    pub(crate) counters: SiteCounters,
    metrics: SiteMetrics,
}

impl SiteEvents {
    /// Of a site, or of the login at a portal.
    pub(crate) fn of(owner: Owner) -> Self {
        Self {
            metrics: SiteMetrics::of(&owner),
            counters: SiteCounters::default(),
            owner,
        }
    }

    /// The site has a session: its metrics appear before anything happens.
    pub(crate) fn begin(&self) {
        self.metrics.register(LoginBudget::MOST);
    }

    pub(crate) fn challenged(&self, challenge: Challenge) {
        self.counters.challenges.add_one();
        self.metrics.challenged(challenge);
    }

    pub(crate) fn sent_again(&self) {
        self.counters.sent_again.add_one();
    }

    /// A request that was challenged has its last answer.
    pub(crate) fn answered(&self, outcome: &AuthOutcome) {
        let is_challenge = outcome.returned_challenge().is_some();
        if outcome.resent() {
            self.metrics.resent(if is_challenge {
                Resent::Challenged
            } else {
                Resent::Answered
            });
        }
        if is_challenge {
            // Neither sent again nor a reason why: the copy was lost on the way.
            let lost = (!outcome.resent()).then_some(&SkipReason::BodyNotReplayable);
            self.metrics
                .challenge_returned(outcome.skip_reason().or(lost));
        }
    }

    /// The inner service failed under a request that was sent again.
    pub(crate) fn resend_failed(&self) {
        self.metrics.resent(Resent::Failed);
    }

    pub(crate) fn login_started(&self, reason: TokenReason) {
        self.metrics.login_started(reason);
    }

    pub(crate) fn login_gave(&self, token: &Token, took: Duration) {
        self.counters.logins.add_one();
        trace::got_token(token, took);
        self.metrics.login_gave(token, took);
    }

    pub(crate) fn login_failed(&self, error: &TokenError, took: Duration) {
        let counter = if error.is_refused() {
            &self.counters.refused_logins
        } else {
            &self.counters.failed_logins
        };
        counter.add_one();
        trace::login_failed(&self.owner.site, error);
        self.metrics.login_failed(error, took);
    }

    /// A sign-out ended a login under way.
    pub(crate) fn login_signed_out(&self) {
        self.metrics.login_signed_out();
    }

    /// A login was wanted, and is not made for this reason.
    pub(crate) fn login_withheld(&self, reason: &SkipReason) {
        self.metrics.login_withheld(reason);
    }

    /// Once until the next login.
    pub(crate) fn login_budget_is_empty(&self) {
        trace::login_budget_spent(&self.owner.site);
    }

    /// A challenge caused a login, and this is left of the session's budget.
    pub(super) fn login_budget_spent(&self, budget: LoginBudget) {
        let now = Instant::now();
        if let Some(full_at) = budget.full_at() {
            self.metrics
                .login_budget(budget.left(now), full_at, budget.refills(now));
        }
    }

    /// A session signed out of its token, if it had one.
    pub(crate) fn signed_out(&self, owner: &Owner, token: Option<&Token>) {
        self.counters.sign_outs.add_one();
        self.metrics.signed_out();
        // Others go on with theirs.
        if token.is_some() && owner.identity.is_none() {
            self.metrics.token_forgotten();
        }
    }

    /// A service challenged a freshly signed request to this path.
    pub(crate) fn service_refused(&self, path: &str, challenge: Challenge) {
        trace::service_refused(&self.owner.site, path, challenge);
    }

    /// A service below this other root was challenged. Once for each session.
    pub(crate) fn outside_root(&self, expected: &str) {
        trace::outside_root(&self.owner.site, expected);
    }

    /// A request waits for a login from now on, until this is dropped.
    pub(crate) fn waiting(&self) -> Waiting {
        self.metrics.waiting()
    }
}
