//! What happened to a request, for the code above the layer.

use std::{error::Error, fmt};

use crate::{challenge::Challenge, error::TokenError};

/// What the layer did with a request: signed or not, the challenge, sent again or why not. Never holds a secret.
///
/// It is in the response's extensions where there is something to report: a challenge, or a request to a site that went
/// out unsigned for a reason. Every answer's [`ResponseBody::outcome`](crate::ResponseBody::outcome) has it too, and
/// [`outcome_in_every_response`](crate::ArcgisAuthLayerBuilder::outcome_in_every_response) puts it into the extensions
/// of all answers (an extension costs allocations, so the common case, signed and clean, has none).
///
/// ```
/// use tower_arcgis_auth::AuthOutcome;
///
/// fn log(response: &http::Response<String>) {
///     if let Some(outcome) = response.extensions().get::<AuthOutcome>() {
///         if outcome.returned_challenge().is_some() {
///             println!("still a login: {outcome}");
///         }
///     }
/// }
/// # log(&http::Response::new(String::new()));
/// ```
#[derive(Clone, Debug, Default)]
pub struct AuthOutcome {
    pub(crate) signed: bool,
    pub(crate) challenge: Option<Challenge>,
    pub(crate) resent: bool,
    pub(crate) returned_challenge: Option<Challenge>,
    pub(crate) skip_reason: Option<SkipReason>,
}

impl AuthOutcome {
    /// Whether the request this answer belongs to carried the site's token.
    pub fn signed(&self) -> bool {
        self.signed
    }

    /// The first challenge that the request met, whether it was acted on or not.
    pub fn challenge(&self) -> Option<Challenge> {
        self.challenge
    }

    /// Whether the request was sent a second time.
    pub fn resent(&self) -> bool {
        self.resent
    }

    /// The challenge that this answer itself is; `None` if the answer is what was asked for.
    pub fn returned_challenge(&self) -> Option<Challenge> {
        self.returned_challenge
    }

    /// Why the request was not signed, or not sent again.
    pub fn skip_reason(&self) -> Option<&SkipReason> {
        self.skip_reason.as_ref()
    }

    pub(crate) fn is_worth_telling(&self) -> bool {
        self.challenge.is_some() || self.skip_reason.is_some()
    }
}

impl fmt::Display for AuthOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.signed { "signed" } else { "not signed" })?;
        if let Some(challenge) = self.challenge {
            write!(f, ", challenged ({challenge})")?;
        }
        if self.resent {
            f.write_str(", sent again")?;
        }
        if let Some(challenge) = self.returned_challenge {
            write!(f, ", the answer is a challenge ({challenge})")?;
        }
        if let Some(skip_reason) = &self.skip_reason {
            write!(f, ": {skip_reason}")?;
        }
        Ok(())
    }
}

/// Why a request was not signed, or not sent again after a challenge.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SkipReason {
    /// The site has no credential.
    NoCredential,
    /// The caller placed a token itself, and the site keeps it ([`CallerToken::Keep`](crate::CallerToken::Keep)) or has no
    /// credential.
    CallersToken,
    /// A token, sign-in or information end point: never signed.
    Exempt,
    /// The request's body is longer than the replay limit, broke off, or is no longer known to the layer.
    BodyNotReplayable,
    /// This service challenged a request with a fresh token; for 5 minutes at most its challenges are returned to the caller.
    ServiceRefused,
    /// The token service refused the credential; it is not tried again for 15 minutes, or until it changes.
    LoginRefused(TokenError),
    /// The token service is down or cannot be reached, or a login might lock the account; tried again after a pause of 1 s to
    /// 2 minutes.
    LoginFailed(TokenError),
    /// A sign-out ended the login that the request waited for.
    SignedOut,
    /// The site has a token for each identity, and nothing says for which one the request is made.
    NoIdentity,
    /// Challenges have caused 20 logins in a short time; from then on they cause one every 30 seconds.
    LoginBudgetSpent,
    /// The service called a fresh token invalid, and answers without one: for 5 minutes its requests are not signed.
    ServiceIsOpen,
}

impl SkipReason {
    /// The token source's own error, if that is the reason.
    pub fn token_error(&self) -> Option<&TokenError> {
        match self {
            Self::LoginRefused(error) | Self::LoginFailed(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCredential => f.write_str("the site has no credential"),
            Self::CallersToken => f.write_str("the caller placed a token itself"),
            Self::Exempt => f.write_str("a token or sign-in end point is never signed"),
            Self::BodyNotReplayable => f.write_str("the request's body cannot be sent again"),
            Self::ServiceRefused => f.write_str(
                "this service refused the account after a fresh login; check what it is shared with",
            ),
            Self::LoginRefused(error) => write!(f, "login refused: {error}"),
            Self::LoginFailed(error) => write!(f, "login failed: {error}"),
            Self::SignedOut => f.write_str("a sign-out came meanwhile"),
            Self::NoIdentity => f.write_str("nothing says which caller the request is made for"),
            Self::LoginBudgetSpent => f.write_str(
                "challenges have caused too many logins in a short time; the next is made within 30 seconds",
            ),
            Self::ServiceIsOpen => {
                f.write_str("the service refuses tokens, and answers without one")
            }
        }
    }
}

impl Error for SkipReason {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // `Display` has its own words already.
        self.token_error()?.source()
    }
}

/// Why [`SiteHandle::renew`](crate::SiteHandle::renew) got no new token. An older one stays in use.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RenewError {
    /// The site has no credential.
    NoCredential,
    /// The site has a token for each identity, and the call names none; or it has one token for all, and the call names one.
    NoSuchIdentity,
    /// The token service refused the credential; it is not tried again for 15 minutes.
    Refused(TokenError),
    /// The token service is down or cannot be reached, or the login might lock the account.
    Failed(TokenError),
    /// A sign-out ended the login.
    SignedOut,
}

impl From<SkipReason> for RenewError {
    fn from(reason: SkipReason) -> Self {
        match reason {
            SkipReason::LoginRefused(error) => Self::Refused(error),
            SkipReason::LoginFailed(error) => Self::Failed(error),
            SkipReason::SignedOut => Self::SignedOut,
            // No other reason prevents a forced login.
            other => Self::Failed(TokenError::fault(other.to_string())),
        }
    }
}

impl fmt::Display for RenewError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCredential => f.write_str("the site has no credential; give it one"),
            Self::NoSuchIdentity => f.write_str(
                "the site tells identities apart by its `identity_fn`, or has none: renew for an identity there, and \
                 without one elsewhere",
            ),
            Self::Refused(error) => write!(f, "login refused: {error}"),
            Self::Failed(error) => write!(f, "login failed: {error}"),
            Self::SignedOut => f.write_str("a sign-out ended the login"),
        }
    }
}

impl Error for RenewError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            // `Display` has its own words already.
            Self::Refused(error) | Self::Failed(error) => error.source(),
            _ => None,
        }
    }
}
