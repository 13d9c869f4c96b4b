//! Tokens: whose they are, what they are bound to, how long they live.

use std::collections::HashMap;

use tokio::time::Instant;

use crate::binding::{Binding, Caller};
use crate::token_text::TokenTexts;

#[derive(Debug)]
struct Issued {
    user: String,
    binding: Binding,
    /// The refresh token it came from.
    parent: Option<String>,
    expires: Instant,
}

/// What a token is worth.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Good {
        user: String,
    },
    /// Unknown, revoked or expired.
    Dead,
    /// Alive, but bound to another `Referer`.
    WrongReferer,
    /// Alive, but bound to another address.
    WrongAddress,
}

/// All tokens of one server.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    issued: HashMap<String, Issued>,
    texts: TokenTexts,
}

impl Tokens {
    pub(crate) fn issue(&mut self, user: &str, binding: Binding, expires: Instant) -> String {
        self.add(user, binding, None, expires)
    }

    /// A token that dies with the refresh token `parent`.
    pub(crate) fn issue_child(&mut self, user: &str, parent: &str, expires: Instant) -> String {
        self.add(user, Binding::Free, Some(parent.to_owned()), expires)
    }

    fn add(
        &mut self,
        user: &str,
        binding: Binding,
        parent: Option<String>,
        expires: Instant,
    ) -> String {
        let text = self.unused_text();
        self.issued.insert(
            text.clone(),
            Issued {
                user: user.to_owned(),
                binding,
                parent,
                expires,
            },
        );
        text
    }

    /// A token text never given out before.
    pub(crate) fn unused_text(&mut self) -> String {
        self.texts.token()
    }

    pub(crate) fn standing(&self, text: &str, caller: Caller<'_>, now: Instant) -> Standing {
        match self.issued.get(text) {
            Some(token) if now < token.expires => match &token.binding {
                Binding::Referer(bound) if Some(bound.as_str()) != caller.referer => {
                    Standing::WrongReferer
                }
                Binding::Address(bound) if *bound != caller.address => Standing::WrongAddress,
                _ => Standing::Good {
                    user: token.user.clone(),
                },
            },
            _ => Standing::Dead,
        }
    }

    pub(crate) fn revoke(&mut self, text: &str) -> bool {
        self.issued.remove(text).is_some()
    }

    /// Revokes the tokens that came from the refresh token `parent`.
    pub(crate) fn revoke_children(&mut self, parent: &str) {
        self.issued
            .retain(|_, token| token.parent.as_deref() != Some(parent));
    }

    pub(crate) fn revoke_all(&mut self) -> usize {
        let count = self.issued.len();
        self.issued.clear();
        count
    }

    pub(crate) fn expire_all(&mut self, now: Instant) {
        for token in self.issued.values_mut() {
            token.expires = token.expires.min(now);
        }
    }

    pub(crate) fn live(&self, now: Instant) -> usize {
        self.issued
            .values()
            .filter(|token| now < token.expires)
            .count()
    }
}
