//! What the token service was asked, and how often.

use std::sync::atomic::Ordering;

use tower_arcgis_auth::TokenReason;

use super::{Asked, TokenService, Tokens};

impl TokenService {
    /// The tokens that it has issued, and that were not revoked.
    pub(crate) fn tokens(&self) -> Tokens {
        self.shared.tokens.clone()
    }

    pub(crate) fn revoke_all(&self) {
        self.shared.tokens.revoke_all();
    }

    /// How often it was asked for a token.
    pub(crate) fn attempts(&self) -> usize {
        self.shared.attempts.load(Ordering::SeqCst)
    }

    /// How often it was asked for a token by this user, or for this identity.
    pub(crate) fn attempts_of(&self, name: &str) -> usize {
        let attempts = self.shared.attempts_of.lock().unwrap();
        attempts.get(name).copied().unwrap_or(0)
    }

    /// How many attempts came to their end.
    pub(crate) fn answered(&self) -> usize {
        self.shared.answered.load(Ordering::SeqCst)
    }

    /// All requests over HTTP.
    pub(crate) fn requests(&self) -> Vec<Asked> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// All attempts over HTTP.
    pub(crate) fn asked_for_tokens(&self) -> Vec<Asked> {
        let mut asked = self.requests();
        asked.retain(|asked| !asked.is_for_info());
        asked
    }

    /// How many attempts over HTTP had a password.
    pub(crate) fn passwords(&self) -> usize {
        let mut asked = self.requests();
        asked.retain(|asked| asked.field("password").is_some());
        asked.len()
    }

    /// How often it was asked what the server is.
    pub(crate) fn infos(&self) -> usize {
        let requests = self.shared.requests.lock().unwrap();
        requests.iter().filter(|asked| asked.is_for_info()).count()
    }

    /// Why the source was asked.
    pub(crate) fn reasons(&self) -> Vec<TokenReason> {
        self.shared.reasons.lock().unwrap().clone()
    }

    /// How often the source was told of a sign-out.
    pub(crate) fn sign_outs(&self) -> usize {
        self.shared.sign_outs.load(Ordering::SeqCst)
    }

    /// Waits for an attempt that was not waited for before.
    pub(crate) async fn begun(&self) {
        self.shared.begun.acquire().await.unwrap().forget();
    }
}
