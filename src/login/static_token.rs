//! A token made elsewhere: an API key, or one somebody pastes.

use secrecy::ExposeSecret;

use crate::{
    credential::{Fingerprint, Secret},
    error::TokenError,
    token::{IssuedToken, TokenRequest, TokenSource},
};

/// Hands out a token made elsewhere. When a server refuses it, it is refused here too: nobody can renew it but whoever
/// made it.
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
    /// The token, wherever it is read from.
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
        if request
            .previous_token()
            .is_some_and(|dead| dead.expose() == text)
        {
            return Err(TokenError::refused(
                "the API key or ready token is not taken any more, and only its maker can renew it; replace it, and \
                 check the referers it is limited to",
            ));
        }
        IssuedToken::try_new(text)
    }

    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        // Whose it is, too: nothing else tells.
        fingerprint.account_of(&self.token);
        fingerprint.secret_of(&self.token);
    }
}
