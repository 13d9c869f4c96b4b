//! Two sources: the second is asked where the first gives no token.

use super::{IssuedToken, SignOut, TokenRequest, TokenSource};
use crate::{credential::Fingerprint, error::TokenError};

/// Two sources, of which the second is asked where the first gives no token. Made by [`TokenSource::or_else`].
#[derive(Clone, Debug)]
pub struct OrElse<A, B> {
    first: A,
    next: B,
}

impl<A, B> OrElse<A, B> {
    pub(super) fn new(first: A, next: B) -> Self {
        Self { first, next }
    }
}

impl<A: TokenSource, B: TokenSource> TokenSource for OrElse<A, B> {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        match self.first.token(request.clone()).await {
            Ok(token) => Ok(token),
            Err(_) => self.next.token(request).await,
        }
    }

    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        self.first.fingerprint(fingerprint);
        fingerprint.also(|next| self.next.fingerprint(next));
    }

    async fn sign_out(&self, sign_out: SignOut) -> Result<(), TokenError> {
        let first = self.first.sign_out(sign_out.clone()).await;
        self.next.sign_out(sign_out).await.and(first)
    }
}
