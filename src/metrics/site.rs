//! Records what happens at one site. Every recording looks its metric up anew, so that a recorder that is installed after
//! the layer was built gets what happens from then on; only what is rare is recorded.

use std::{
    sync::Mutex,
    time::{Duration, SystemTime},
};

use ::metrics::{Gauge, SharedString, counter, gauge, histogram};
use tokio::{
    runtime::Handle,
    task::AbortHandle,
    time::{Instant, sleep_until},
};

#[cfg(feature = "shared-cache")]
use super::{names::SHARED_CACHE_LOOKUPS, outcomes::Lookup};
use super::{
    names::{
        AFTER_RESEND, CHALLENGES, CHALLENGES_RETURNED, COUNTERS, FAILED, LOCKOUT_GUARD,
        LOGIN_BUDGET, LOGIN_DURATION, LOGINS, LOGINS_STARTED, LOGINS_WITHHELD, REFUSED,
        REQUESTS_WAITING, RESENDS, SHARED, SIGN_OUTS, SIGNED_OUT, SUCCEEDED, TOKEN_EXPIRY,
        TOKEN_OBTAINED, WITHHELD, skipped_because, started_because, withheld_because,
    },
    outcomes::Resent,
};
use crate::{
    challenge::Challenge,
    error::TokenError,
    lock::lock,
    outcome::SkipReason,
    token::{Owner, Token, TokenReason},
    url::redact,
};

/// The metrics of one site, or of the login at a portal.
#[derive(Debug)]
pub(crate) struct SiteMetrics {
    site: SharedString,
    refill: Mutex<Option<Refill>>,
}

/// The login budget that is the site's lowest, as it fills up.
#[derive(Debug)]
struct Refill {
    full_at: Instant,
    task: AbortHandle,
}

/// What a site is called. A portal may be a site as well, and its login is another than that site's.
fn label(owner: &Owner) -> SharedString {
    let mut site = redact(&owner.site);
    if owner.is_portal {
        site.push_str("/sharing/rest");
    }
    site.into()
}

impl SiteMetrics {
    pub(crate) fn of(owner: &Owner) -> Self {
        Self {
            site: label(owner),
            refill: Mutex::default(),
        }
    }

    /// Lets counters begin with zero: Prometheus sees no increase from nothing to one.
    pub(crate) fn register(&self, login_budget: u32) {
        for (name, label, values) in COUNTERS {
            for value in values {
                self.count(name, label, value, 0);
            }
        }
        counter!(SIGN_OUTS, "site" => self.site.clone()).increment(0);
        self.gauge(REQUESTS_WAITING).increment(0.0);
        self.gauge(LOGIN_BUDGET).set(login_budget);
    }

    pub(crate) fn challenged(&self, challenge: Challenge) {
        self.count(CHALLENGES, "kind", challenge.as_str(), 1);
    }

    /// The answer to a request is a challenge, for this reason or because its re-send was challenged.
    pub(crate) fn challenge_returned(&self, reason: Option<&SkipReason>) {
        let reason = reason.map_or(AFTER_RESEND, skipped_because);
        self.count(CHALLENGES_RETURNED, "reason", reason, 1);
    }

    pub(crate) fn resent(&self, resent: Resent) {
        let outcome = match resent {
            Resent::Answered => "answered",
            Resent::Challenged => "challenged",
            Resent::Failed => "failed",
        };
        self.count(RESENDS, "outcome", outcome, 1);
    }

    pub(crate) fn login_started(&self, reason: TokenReason) {
        self.count(LOGINS_STARTED, "reason", started_because(reason), 1);
    }

    pub(crate) fn login_gave(&self, token: &Token, took: Duration) {
        let outcome = if token.is_from_shared_cache() {
            SHARED
        } else {
            SUCCEEDED
        };
        self.login_ended(outcome, took);
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let expiry = token
            .expires_in()
            .map_or(f64::INFINITY, |left| (now + left).as_secs_f64());
        self.gauge(TOKEN_OBTAINED).set(now.as_secs_f64());
        self.gauge(TOKEN_EXPIRY).set(expiry);
    }

    pub(crate) fn login_failed(&self, error: &TokenError, took: Duration) {
        let outcome = if error.is_withheld() {
            self.count(LOGINS_WITHHELD, "reason", LOCKOUT_GUARD, 1);
            WITHHELD
        } else if error.is_refused() {
            REFUSED
        } else {
            FAILED
        };
        self.login_ended(outcome, took);
    }

    /// A sign-out ended a login under way.
    pub(crate) fn login_signed_out(&self) {
        self.count(LOGINS, "outcome", SIGNED_OUT, 1);
    }

    pub(crate) fn login_withheld(&self, reason: &SkipReason) {
        self.count(LOGINS_WITHHELD, "reason", withheld_because(reason), 1);
    }

    /// A session's login budget is down to `left`, and has more at each of `refills`, the last of which is `full_at`.
    pub(crate) fn login_budget(
        &self,
        left: u32,
        full_at: Instant,
        refills: impl Iterator<Item = (Instant, u32)> + Send + 'static,
    ) {
        let mut lowest = lock(&self.refill);
        if lowest.as_ref().is_some_and(|other| other.full_at > full_at) {
            return;
        }
        let gauge = self.gauge(LOGIN_BUDGET);
        gauge.set(left);
        // Nobody asks for a gauge's value before it is read, so a task keeps it right: for ten minutes at most.
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let task = runtime.spawn(async move {
            for (at, left) in refills {
                sleep_until(at).await;
                gauge.set(left);
            }
        });
        let task = task.abort_handle();
        if let Some(earlier) = lowest.replace(Refill { full_at, task }) {
            earlier.task.abort();
        }
    }

    pub(crate) fn signed_out(&self) {
        counter!(SIGN_OUTS, "site" => self.site.clone()).increment(1);
    }

    /// The site has no token any more.
    pub(crate) fn token_forgotten(&self) {
        self.gauge(TOKEN_OBTAINED).set(f64::NAN);
        self.gauge(TOKEN_EXPIRY).set(f64::NAN);
    }

    /// A request waits for a login from now on, until this is dropped.
    pub(crate) fn waiting(&self) -> Waiting {
        let gauge = self.gauge(REQUESTS_WAITING);
        gauge.increment(1.0);
        Waiting(gauge)
    }

    fn login_ended(&self, outcome: &'static str, took: Duration) {
        self.count(LOGINS, "outcome", outcome, 1);
        histogram!(LOGIN_DURATION, "site" => self.site.clone(), "outcome" => outcome).record(took);
    }

    fn count(&self, name: &'static str, label: &'static str, value: &'static str, increment: u64) {
        counter!(name, "site" => self.site.clone(), label => value).increment(increment);
    }

    fn gauge(&self, name: &'static str) -> Gauge {
        gauge!(name, "site" => self.site.clone())
    }
}

/// Counts a request that waits. It keeps its gauge: a recorder that is installed meanwhile sees no request leave that it
/// has not seen come.
pub(crate) struct Waiting(Gauge);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// A token of `owner` was looked for in the shared cache.
#[cfg(feature = "shared-cache")]
pub(crate) fn shared_cache_asked(owner: &Owner, lookup: Lookup) {
    let result = match lookup {
        Lookup::Hit => "hit",
        Lookup::Miss => "miss",
        Lookup::Error => "error",
    };
    counter!(SHARED_CACHE_LOOKUPS, "site" => label(owner), "result" => result).increment(1);
}
