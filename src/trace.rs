//! What the layer sends to `tracing`: one span for each login, events for failures, nothing per request, never a secret.
//! Without the feature `tracing` every function here does nothing.

#[cfg(feature = "tracing")]
pub(crate) use enabled::{
    got_token, login, login_budget_spent, login_failed, outside_root, service_refused,
    token_service_elsewhere,
};
#[cfg(all(feature = "tracing", feature = "shared-cache"))]
pub(crate) use enabled::{shared_cache_back, shared_cache_unavailable};

#[cfg(not(feature = "tracing"))]
pub(crate) use disabled::{
    got_token, login, login_budget_spent, login_failed, outside_root, service_refused,
    token_service_elsewhere,
};
#[cfg(all(not(feature = "tracing"), feature = "shared-cache"))]
pub(crate) use disabled::{shared_cache_back, shared_cache_unavailable};

#[cfg(feature = "tracing")]
mod enabled {
    use std::{error::Error, time::Duration};

    use tracing::{Instrument, instrument::Instrumented};

    use crate::{
        challenge::Challenge,
        error::TokenError,
        token::{Token, TokenReason},
    };

    /// Users filter by this name, so it does not depend on the names of modules.
    const TARGET: &str = "tower_arcgis_auth";

    /// `login` in a root span of its own: it outlives the request that began it and serves many others.
    pub(crate) fn login<F: Future>(site: &str, reason: TokenReason, login: F) -> Instrumented<F> {
        let reason = reason.as_str();
        login.instrument(
            tracing::info_span!(target: TARGET, parent: None, "arcgis_login", site, reason),
        )
    }

    pub(crate) fn got_token(token: &Token, took: Duration) {
        tracing::info!(
            target: TARGET,
            generation = token.generation(),
            // Another process logged in.
            from_shared_cache = token.is_from_shared_cache(),
            valid_for_seconds = token.expires_in().map(|left| left.as_secs()),
            took_milliseconds = took.as_millis() as u64,
            "got a token"
        );
    }

    pub(crate) fn login_failed(site: &str, error: &TokenError) {
        let cause = error.source().map(chain);
        tracing::warn!(
            target: TARGET,
            site,
            refused = error.is_refused(),
            %error,
            // What reaches no server is in here: a name that is not found, a certificate that is not trusted.
            cause,
            "login failed"
        );
    }

    /// An error with all that led to it, on one line.
    fn chain(error: &(dyn Error + 'static)) -> String {
        let mut words = error.to_string();
        let mut next = error.source();
        while let Some(cause) = next {
            words.push_str(": ");
            words.push_str(&cause.to_string());
            next = cause.source();
        }
        words
    }

    /// Once for each discovery.
    pub(crate) fn token_service_elsewhere(site: &str, named: &str, asked: &str) {
        tracing::info!(
            target: TARGET,
            site,
            named,
            asked,
            "the server names a token service on another host, which is not trusted; the one below the site's own root is \
             asked in its place (`trust_token_service` lists the other)"
        );
    }

    /// Once for each session.
    pub(crate) fn outside_root(site: &str, expected: &str) {
        tracing::warn!(
            target: TARGET,
            site,
            expected,
            "a service below another root than the site's was challenged; give the root that is expected, so that its token \
             service is found"
        );
    }

    pub(crate) fn login_budget_spent(site: &str) {
        tracing::warn!(
            target: TARGET,
            site,
            "challenges have caused 20 logins in a short time, and cause one every 30 seconds from now on; see which service \
             challenges requests with a good token"
        );
    }

    pub(crate) fn service_refused(site: &str, service: &str, challenge: Challenge) {
        tracing::warn!(
            target: TARGET,
            site,
            service,
            challenge = challenge.as_str(),
            "the service challenged a freshly signed request; its challenges are returned to the caller for a while; see whether the account may \
             use it, and whether the token is bound to another Referer"
        );
    }

    /// Once for each outage.
    #[cfg(feature = "shared-cache")]
    pub(crate) fn shared_cache_unavailable(error: &crate::TokenCacheError) {
        tracing::warn!(target: TARGET, %error, "the shared cache cannot be asked: this process logs in by itself until it can");
    }

    #[cfg(feature = "shared-cache")]
    pub(crate) fn shared_cache_back() {
        tracing::info!(target: TARGET, "the shared cache answers again: logins are shared");
    }
}

#[cfg(not(feature = "tracing"))]
mod disabled {
    use std::time::Duration;

    use crate::{
        challenge::Challenge,
        error::TokenError,
        token::{Token, TokenReason},
    };

    pub(crate) fn login<F: Future>(_site: &str, _reason: TokenReason, login: F) -> F {
        login
    }

    pub(crate) fn got_token(_token: &Token, _took: Duration) {}

    pub(crate) fn login_failed(_site: &str, _error: &TokenError) {}

    pub(crate) fn login_budget_spent(_site: &str) {}

    pub(crate) fn token_service_elsewhere(_site: &str, _named: &str, _asked: &str) {}

    pub(crate) fn outside_root(_site: &str, _expected: &str) {}

    pub(crate) fn service_refused(_site: &str, _service: &str, _challenge: Challenge) {}

    #[cfg(feature = "shared-cache")]
    pub(crate) fn shared_cache_unavailable(_error: &crate::TokenCacheError) {}

    #[cfg(feature = "shared-cache")]
    pub(crate) fn shared_cache_back() {}
}
