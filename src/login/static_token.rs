//! A token made elsewhere: an API key, or one from a portal's page.

use secrecy::ExposeSecret;

use crate::{
    credential::{Fingerprint, Secret},
    error::TokenError,
    token::{IssuedToken, Token, TokenReason, TokenRequest, TokenSource},
};

/// Returns a token made elsewhere. Asked for another, as after a challenge, it refuses, because it cannot renew the token;
/// unless the [`Secret`] has changed meanwhile.
///
/// [`or_else`](TokenSource::or_else) asks another source then:
///
/// ```
/// use tower_arcgis_auth::{IssuedToken, StaticToken, Secret, Site, TokenSource, token_source_fn};
///
/// let renewing = token_source_fn(|_| async { IssuedToken::try_new("fresh") });
/// let site = Site::new("https://gis.example.com/arcgis")
///     .token_source(StaticToken::new(Secret::env("ARCGIS_TOKEN")).or_else(renewing));
/// # drop(site);
/// ```
#[derive(Clone, Debug)]
pub struct StaticToken {
    token: Secret,
}

impl StaticToken {
    /// The token, or the place that it is read from.
    pub fn new(token: impl Into<Secret>) -> Self {
        Self {
            token: token.into(),
        }
    }
}

impl TokenSource for StaticToken {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        let text = self.token.read()?;
        let text = text.expose_secret();
        let is_same = |previous: &Token| previous.expose() == text;
        // A forced renewal says nothing against the token.
        if request.previous_token().is_some_and(is_same) && request.reason() != TokenReason::Forced
        {
            return Err(TokenError::refused(
                "the API key or token is not accepted any more, and only its maker can renew it; replace it, and \
                 check the referers it is limited to",
            ));
        }
        IssuedToken::try_new(text)
    }

    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        fingerprint.token_of(&self.token);
    }
}
