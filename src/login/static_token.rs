//! A token made elsewhere: an API key, or one somebody pastes.

use secrecy::ExposeSecret;

use crate::{
    credential::{Fingerprint, Secret},
    error::TokenError,
    token::{IssuedToken, SignOut, TokenRequest, TokenSource},
};

/// Hands out a token made elsewhere. When a server refuses it, it is refused here too: nobody can renew it but whoever
/// made it.
///
/// Wrap it to ask another source then:
///
/// ```
/// use tower_arcgis_auth::{IssuedToken, StaticToken, Secret, Site, token_source_fn};
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

    /// The same, and `next` once the token has died. They are one credential: while `next`
    /// [cannot tell](Fingerprint::cannot_tell) what its own is, a refusal lasts its 15 minutes though the token was
    /// replaced meanwhile. A closure never tells; a [`TokenSource`] of your own may.
    pub fn or_else<S: TokenSource>(self, next: S) -> OrElse<S> {
        OrElse { ready: self, next }
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

/// What [`StaticToken::or_else`] makes.
#[derive(Clone, Debug)]
pub struct OrElse<S> {
    ready: StaticToken,
    next: S,
}

impl<S: TokenSource> TokenSource for OrElse<S> {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        match self.ready.token(request.clone()).await {
            Ok(token) => Ok(token),
            Err(_) => self.next.token(request).await,
        }
    }

    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        self.ready.fingerprint(fingerprint);
        fingerprint.also(|next| self.next.fingerprint(next));
    }

    async fn sign_out(&self, sign_out: SignOut) -> Result<(), TokenError> {
        self.next.sign_out(sign_out).await
    }
}
