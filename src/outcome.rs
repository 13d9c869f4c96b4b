//! What happened to a request, for those above the layer.

use std::{error::Error, fmt};

use crate::{challenge::Challenge, error::TokenError};

/// What the layer did with a request: signed or not, challenge seen, re-sent or why not. Never holds a secret.
///
/// Found in the response's extensions whenever there is something to tell: a challenge was seen, or a request to a
/// site went out unsigned for a reason. Every answer's [`ResponseBody::outcome`](crate::ResponseBody::outcome) has it
/// too, and
/// [`outcome_in_every_response`](crate::ArcgisAuthLayerBuilder::outcome_in_every_response) puts it into the extensions
/// of all answers (an extension costs allocations, which is why the common case, signed and clean, goes without).
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

    /// The first challenge met on the way, answered or not.
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

/// Why a request was not signed, or not sent again after a challenge, or why there is no new token.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SkipReason {
    /// The site has no credential.
    NoCredential,
    /// The caller placed a token itself, and the site lets it keep it.
    CallersToken,
    /// A token, sign-in or information end point: never signed.
    Exempt,
    /// The request's body is longer than the replay limit, broke off, or is unknown to the layer by now.
    BodyNotReplayable,
    /// This service refused the account after a fresh login; for some minutes its challenges go up.
    ServiceRefused,
    /// The token service refused the credential; not tried again for 15 minutes.
    LoginRefused(TokenError),
    /// The token service is broken or out of reach; tried again after a pause.
    LoginFailed(TokenError),
    /// Somebody signed out while the request waited for a login.
    SignedOut,
    /// The site has a token for each caller, and the request does not say whose it is.
    NoIdentity,
    /// Challenges have caused 20 logins in a short time; from then on one every 30 seconds is made for them.
    LoginBudgetSpent,
    /// The service called a fresh token invalid, and answers without one: for 5 minutes its requests are not signed.
    ServiceIsOpen,
}

impl SkipReason {
    /// The token source's own error, if it is what stood in the way.
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
            Self::SignedOut => f.write_str("somebody signed out meanwhile"),
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
        // Its own words are told already.
        self.token_error()?.source()
    }
}

/// Why [`SiteHandle::renew`](crate::SiteHandle::renew) got no new token. An older one stays in use.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RenewError {
    /// The site has no credential.
    NoCredential,
    /// The site has a token for each identity, and none was named; or it has one for all, and one was.
    NoSuchIdentity,
    /// The token service refused the credential; it is not tried again for 15 minutes.
    Refused(TokenError),
    /// The token service is broken or out of reach.
    Failed(TokenError),
    /// Somebody signed out meanwhile.
    SignedOut,
}

impl From<SkipReason> for RenewError {
    fn from(reason: SkipReason) -> Self {
        match reason {
            SkipReason::LoginRefused(error) => Self::Refused(error),
            SkipReason::LoginFailed(error) => Self::Failed(error),
            SkipReason::SignedOut => Self::SignedOut,
            // No other stands in the way of a login that is forced.
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
            // Its own words are told already.
            Self::Refused(error) | Self::Failed(error) => error.source(),
            _ => None,
        }
    }
}
