//! What the layer tells `tracing`: one span a login, events for what goes wrong, nothing per request, never a secret.
//! Without the feature `tracing` every function here does nothing.

#[cfg(feature = "tracing")]
pub(crate) use enabled::{in_span, logged_in, login_failed, login_span, service_refused};

#[cfg(not(feature = "tracing"))]
pub(crate) use disabled::{in_span, logged_in, login_failed, login_span, service_refused};

#[cfg(feature = "tracing")]
mod enabled {
    use std::time::Duration;

    use tracing::{Instrument, Span, instrument::Instrumented};

    use crate::{challenge::Challenge, error::TokenError, source::TokenReason, token::Token};

    /// What users filter by, whatever the modules are called.
    const TARGET: &str = "tower_arcgis_auth";

    /// A root span: a login outlives the request that began it and serves many others.
    pub(crate) fn login_span(site: &str, reason: TokenReason) -> Span {
        tracing::info_span!(target: TARGET, parent: None, "arcgis_login", site, reason = reason.as_str())
    }

    pub(crate) fn in_span<F: Future>(span: Span, login: F) -> Instrumented<F> {
        login.instrument(span)
    }

    pub(crate) fn logged_in(token: &Token, took: Duration) {
        tracing::info!(
            target: TARGET,
            generation = token.generation(),
            valid_for_seconds = token.expires_at().map(|at| at
                .saturating_duration_since(tokio::time::Instant::now())
                .as_secs()),
            took_milliseconds = took.as_millis() as u64,
            "logged in"
        );
    }

    pub(crate) fn login_failed(site: &str, error: &TokenError) {
        tracing::warn!(target: TARGET, site, refused = error.is_refused(), %error, "login failed");
    }

    pub(crate) fn service_refused(site: &str, service: &str, challenge: Challenge) {
        tracing::warn!(
            target: TARGET,
            site,
            service,
            challenge = challenge.as_str(),
            "the service challenged a freshly signed request; its challenges go up for a while"
        );
    }
}

#[cfg(not(feature = "tracing"))]
mod disabled {
    use std::time::Duration;

    use crate::{challenge::Challenge, error::TokenError, source::TokenReason, token::Token};

    pub(crate) fn login_span(_site: &str, _reason: TokenReason) {}

    pub(crate) fn in_span<F: Future>((): (), login: F) -> F {
        login
    }

    pub(crate) fn logged_in(_token: &Token, _took: Duration) {}

    pub(crate) fn login_failed(_site: &str, _error: &TokenError) {}

    pub(crate) fn service_refused(_site: &str, _service: &str, _challenge: Challenge) {}
}
