//! API keys: tokens that need no login and do not expire, but may be locked to `Referer`s.

use std::collections::HashMap;

use crate::binding::Caller;
use crate::prefixes::covers;
use crate::tokens::Standing;

#[derive(Debug)]
struct Key {
    user: String,
    /// None: good with any `Referer` and without.
    referers: Vec<String>,
}

/// All API keys of one portal.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    keys: HashMap<String, Key>,
    count: u64,
}

impl Keys {
    /// Adds or changes a key. Returns the user that requests with it count as.
    pub(crate) fn set(&mut self, text: &str, referers: Vec<String>) -> String {
        let known = self.keys.get(text).map(|key| key.user.clone());
        let user = known.unwrap_or_else(|| {
            self.count += 1;
            format!("api-key-{}", self.count)
        });
        self.keys.insert(
            text.to_owned(),
            Key {
                user: user.clone(),
                referers,
            },
        );
        user
    }

    pub(crate) fn remove(&mut self, text: &str) -> bool {
        self.keys.remove(text).is_some()
    }

    pub(crate) fn standing(&self, text: &str, caller: Caller<'_>) -> Standing {
        let Some(key) = self.keys.get(text) else {
            return Standing::Dead;
        };
        let allowed = key.referers.is_empty()
            || caller.referer.is_some_and(|referer| {
                let mut locked_to = key.referers.iter();
                locked_to.any(|allowed| covers(allowed.trim_end_matches('/'), referer))
            });
        if allowed {
            Standing::Good {
                user: key.user.clone(),
            }
        } else {
            Standing::WrongReferer
        }
    }
}
