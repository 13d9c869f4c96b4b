//! OAuth apps, the codes made for them, and their refresh tokens.

use std::collections::HashMap;

use tokio::time::Instant;

use crate::portal::pkce::Challenge;
use crate::token_text::TokenTexts;

/// How long real refresh tokens are, about.
const REFRESH_TOKEN: usize = 432;
const CODE: usize = 43;

/// What a person agreed to by signing in.
#[derive(Debug, Clone)]
pub(crate) struct Code {
    pub(crate) client_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) challenge: Option<Challenge>,
    pub(crate) user: String,
    pub(crate) expires: Instant,
}

/// A sign-in that lasts.
#[derive(Debug, Clone)]
pub(crate) struct Refresh {
    pub(crate) client_id: String,
    pub(crate) user: String,
    pub(crate) expires: Instant,
}

/// All apps of one portal.
#[derive(Debug, Default)]
pub(crate) struct Apps {
    secrets: HashMap<String, String>,
    codes: HashMap<String, Code>,
    refresh_tokens: HashMap<String, Refresh>,
    texts: TokenTexts,
}

impl Apps {
    pub(crate) fn set(&mut self, client_id: &str, secret: &str) {
        self.secrets.insert(client_id.to_owned(), secret.to_owned());
    }

    pub(crate) fn secret(&self, client_id: &str) -> Option<&str> {
        self.secrets.get(client_id).map(String::as_str)
    }

    pub(crate) fn add_code(&mut self, code: Code) -> String {
        let text = self.texts.of_length(CODE);
        self.codes.insert(text.clone(), code);
        text
    }

    pub(crate) fn code(&self, text: &str) -> Option<Code> {
        self.codes.get(text).cloned()
    }

    /// Whether it was still to be used.
    pub(crate) fn use_code_up(&mut self, text: &str) -> bool {
        self.codes.remove(text).is_some()
    }

    pub(crate) fn add_refresh_token(&mut self, refresh: Refresh) -> String {
        let text = self.texts.of_length(REFRESH_TOKEN);
        self.refresh_tokens.insert(text.clone(), refresh);
        text
    }

    pub(crate) fn refresh_token(&self, text: &str) -> Option<Refresh> {
        self.refresh_tokens.get(text).cloned()
    }

    pub(crate) fn revoke_refresh_token(&mut self, text: &str) -> bool {
        self.refresh_tokens.remove(text).is_some()
    }

    pub(crate) fn revoke_all_refresh_tokens(&mut self) -> Vec<String> {
        self.refresh_tokens.drain().map(|(text, _)| text).collect()
    }

    pub(crate) fn expire_all_refresh_tokens(&mut self, now: Instant) {
        for refresh in self.refresh_tokens.values_mut() {
            refresh.expires = refresh.expires.min(now);
        }
    }
}
