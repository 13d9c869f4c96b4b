//! A challenge that could not be answered, as an error and as an answer.

use std::{error::Error, fmt, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER},
};
use serde_json::json;
use tokio::time::Instant;

use crate::{
    challenge::Challenge,
    error::TokenError,
    outcome::{AuthOutcome, SkipReason},
};

/// What a server is asked again after where nothing says when it is worth it.
const SOON: Duration = Duration::from_secs(1);
/// An empty login budget has one login more within this.
const BUDGET_REFILLED: Duration = Duration::from_secs(30);

/// A challenge that could not be answered: what is wrong, in HTTP's terms and in words.
///
/// [`failures_as_status`](crate::ArcgisAuthLayer::failures_as_status) answers with it, and
/// [`failures_as_errors`](crate::ArcgisAuthLayer::failures_as_errors) fails with it. Without either it can be read from the
/// [`AuthOutcome`] of an answer.
///
/// | status | what happened |
/// | --- | --- |
/// | 401 | no credential: the site has none, the request is made for no identity, or a `credential_fn` gave none; or the token service refused it |
/// | 403 | the account may not use this service: it asks for a token again after a fresh login |
/// | 502 | the token service cannot be reached or answered wrongly, or the server calls fresh tokens invalid |
/// | 503 | no token now, and one later: the pause after a failed login, a login that might lock the account or takes too long, an empty login budget, a sign-out, a body that cannot be sent again; [`retry_after`](Self::retry_after) says when |
///
/// ```
/// use tower_arcgis_auth::{AuthFailure, AuthOutcome};
///
/// /// For the code above a layer that returns challenges as they are.
/// fn check(outcome: &AuthOutcome) -> Result<(), AuthFailure> {
///     AuthFailure::of(outcome).map_or(Ok(()), Err)
/// }
/// assert!(check(&AuthOutcome::default()).is_ok());
/// ```
#[derive(Clone, Debug)]
pub struct AuthFailure {
    challenge: Challenge,
    outcome: AuthOutcome,
}

/// What is wrong, as far as a caller has to know.
#[derive(Clone, Copy)]
enum Fault {
    NoCredential,
    Refused,
    Forbidden,
    TokenService,
    TokensNotTaken,
    Later(Option<Duration>),
}

impl AuthFailure {
    /// The failure that an answer with this outcome is; `None` if it is no challenge.
    pub fn of(outcome: &AuthOutcome) -> Option<Self> {
        let challenge = outcome.returned_challenge()?;
        let outcome = outcome.clone();
        Some(Self { challenge, outcome })
    }

    /// What the server asked for.
    pub fn challenge(&self) -> Challenge {
        self.challenge
    }

    /// All that the layer did with the request.
    pub fn outcome(&self) -> &AuthOutcome {
        &self.outcome
    }

    /// Why there was no token; `None` where there was one that the server does not take.
    pub fn skip_reason(&self) -> Option<&SkipReason> {
        self.outcome.skip_reason()
    }

    /// 401, 403, 502 or 503.
    pub fn status(&self) -> StatusCode {
        match self.fault() {
            Fault::NoCredential | Fault::Refused => StatusCode::UNAUTHORIZED,
            Fault::Forbidden => StatusCode::FORBIDDEN,
            Fault::TokenService | Fault::TokensNotTaken => StatusCode::BAD_GATEWAY,
            Fault::Later(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// How long it takes until another try may succeed, a second at least; `None` but with 503.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.fault() {
            Fault::Later(after) => Some(after.unwrap_or_default().max(SOON)),
            _ => None,
        }
    }

    /// The answer for a caller: the status, and ArcGIS's JSON error body with the status as its code. The message names no
    /// server and quotes none; what `Display` prints is for your log.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http_body_util::Full;
    /// use tower_arcgis_auth::AuthFailure;
    ///
    /// fn answer(failure: &AuthFailure) -> http::Response<Full<Bytes>> {
    ///     eprintln!("{failure}");
    ///     failure.to_response().map(Full::new)
    /// }
    /// # let _ = answer;
    /// ```
    pub fn to_response(&self) -> Response<Bytes> {
        let status = self.status();
        let error = json!({ "error": { "code": status.as_u16(), "message": self.message(), "details": [] } });
        let mut response = Response::new(Bytes::from(error.to_string()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/json;charset=utf-8");
        headers.insert(CONTENT_TYPE, json);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(after) = self.retry_after() {
            let seconds = after.as_millis().div_ceil(1000);
            let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    fn message(&self) -> &'static str {
        match self.fault() {
            Fault::NoCredential => "A token is required, and there is no login to get one with.",
            Fault::Refused => "A token is required, and the login was refused.",
            Fault::Forbidden => "The account may not use this service.",
            Fault::TokenService => {
                "A token is required, and none could be got; the reason is in the log."
            }
            Fault::TokensNotTaken => "The server does not take the tokens that it is sent.",
            Fault::Later(_) => "A token is required, and none is to be had now. Try again later.",
        }
    }

    fn fault(&self) -> Fault {
        match self.skip_reason() {
            Some(SkipReason::NoCredential | SkipReason::NoIdentity) => Fault::NoCredential,
            Some(SkipReason::LoginRefused(error)) if error.is_not_given() => Fault::NoCredential,
            Some(SkipReason::LoginRefused(_)) => Fault::Refused,
            Some(SkipReason::LoginFailed(error)) if error.is_unanswered() => {
                Fault::Later(until_next_try(error))
            }
            Some(SkipReason::LoginFailed(_)) => Fault::TokenService,
            Some(SkipReason::LoginBudgetSpent) => Fault::Later(Some(BUDGET_REFILLED)),
            Some(SkipReason::SignedOut | SkipReason::BodyNotReplayable) => Fault::Later(None),
            Some(SkipReason::ServiceRefused) | None
                if self.outcome.resent() || self.outcome.signed() =>
            {
                self.of_token()
            }
            // An answer with one of these is no challenge, or a body was lost on the way to its second sending.
            Some(_) | None => Fault::Later(None),
        }
    }

    /// There was a token, and the server does not take it.
    fn of_token(&self) -> Fault {
        let calls_it_invalid = self.challenge == Challenge::TokenInvalid || !self.outcome.signed();
        if calls_it_invalid {
            Fault::TokensNotTaken
        } else {
            Fault::Forbidden
        }
    }
}

fn until_next_try(error: &TokenError) -> Option<Duration> {
    let at = error.next_try()?;
    Some(at.saturating_duration_since(Instant::now()))
}

/// [`to_response`](AuthFailure::to_response), for handlers that fail with it.
///
/// ```
/// use axum::{Router, routing::get};
/// use tower_arcgis_auth::{AuthFailure, AuthOutcome};
///
/// async fn roads() -> Result<String, AuthFailure> {
///     let outcome = AuthOutcome::default(); // of the answer to a request of yours
///     AuthFailure::of(&outcome).map_or(Ok("roads".to_owned()), Err)
/// }
/// let app: Router = Router::new().route("/roads", get(roads));
/// # drop(app);
/// ```
#[cfg(feature = "axum")]
impl axum_core::response::IntoResponse for AuthFailure {
    fn into_response(self) -> axum_core::response::Response {
        self.to_response().map(axum_core::body::Body::from)
    }
}

impl fmt::Display for AuthFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server asks for a login ({})", self.challenge)?;
        match self.skip_reason() {
            Some(reason) => write!(f, ": {reason}"),
            None => write!(f, ": {}", self.message()),
        }
    }
}

impl Error for AuthFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // `Display` has the reason's own words already.
        self.skip_reason()?.source()
    }
}
