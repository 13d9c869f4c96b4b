//! Without the feature `metrics` nothing is recorded.

use std::time::Duration;

use tokio::time::Instant;

#[cfg(feature = "shared-cache")]
use super::outcomes::Lookup;
use super::outcomes::Resent;
use crate::{
    challenge::Challenge,
    error::TokenError,
    outcome::SkipReason,
    token::{Owner, Token, TokenReason},
};

#[derive(Debug)]
pub(crate) struct SiteMetrics;

impl SiteMetrics {
    pub(crate) fn of(_owner: &Owner) -> Self {
        Self
    }

    pub(crate) fn register(&self, _login_budget: u32) {}

    pub(crate) fn challenged(&self, _challenge: Challenge) {}

    pub(crate) fn challenge_returned(&self, _reason: Option<&SkipReason>) {}

    pub(crate) fn resent(&self, _resent: Resent) {}

    pub(crate) fn login_started(&self, _reason: TokenReason) {}

    pub(crate) fn login_gave(&self, _token: &Token, _took: Duration) {}

    pub(crate) fn login_failed(&self, _error: &TokenError, _took: Duration) {}

    pub(crate) fn login_signed_out(&self) {}

    pub(crate) fn login_withheld(&self, _reason: &SkipReason) {}

    pub(crate) fn login_budget(
        &self,
        _left: u32,
        _full_at: Instant,
        _refills: impl Iterator<Item = (Instant, u32)> + Send + 'static,
    ) {
    }

    pub(crate) fn signed_out(&self) {}

    pub(crate) fn token_forgotten(&self) {}

    pub(crate) fn waiting(&self) -> Waiting {
        Waiting
    }
}

pub(crate) struct Waiting;

#[cfg(feature = "shared-cache")]
pub(crate) fn shared_cache_asked(_owner: &Owner, _lookup: Lookup) {}
