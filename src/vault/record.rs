//! What is kept of a login: the token or the refusal, as JSON, before it is sealed and after it is opened.

use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};
use serde_json::{Map, Value};

use crate::{error::TokenError, store::REFUSAL_REMEMBERED, token::IssuedToken};

/// How long a token is kept that the server set no end to.
const KEPT_WITHOUT_END: Duration = Duration::from_secs(24 * 60 * 60);
/// Less of its life left, and a token is not worth handing out: it would end on its way.
const LEAST_LEFT: Duration = Duration::from_secs(30);
/// Nobody's words are longer.
const LONGEST_MESSAGE: usize = 1024;

/// Milliseconds since 1970, by the machine's own clock.
pub(super) type Millis = u64;

#[derive(Clone, Default)]
pub(super) struct Record {
    pub(super) token: Option<KeptToken>,
    pub(super) refusal: Option<KeptRefusal>,
}

#[derive(Clone)]
pub(super) struct KeptToken {
    text: SecretString,
    end: Option<End>,
}

#[derive(Clone, Copy)]
struct End {
    at: Millis,
    /// How long the token was good for when it was new.
    lifetime: Millis,
}

#[derive(Clone)]
pub(super) struct KeptRefusal {
    message: String,
    until: Millis,
    /// Of the credential that was refused.
    digest: Option<u32>,
}

impl Record {
    /// How long it is of use.
    pub(super) fn keep_for(&self, now: Millis) -> Duration {
        let token = self.token.as_ref().map(|token| match token.end {
            Some(end) => left(end.at, now),
            None => KEPT_WITHOUT_END,
        });
        let refusal = self
            .refusal
            .as_ref()
            .map(|refusal| left(refusal.until, now));
        token.max(refusal).unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.token.is_none() && self.refusal.is_none()
    }

    /// Written in one go into a buffer that is wiped; a serializer would leave copies of the token behind.
    pub(super) fn to_json(&self) -> Zeroizing<Vec<u8>> {
        let token = self
            .token
            .as_ref()
            .map_or(0, |token| token.text.expose_secret().len());
        let refusal = self
            .refusal
            .as_ref()
            .map_or(0, |refusal| refusal.message.len());
        // Escapes make a character up to six times as long.
        let mut json = Zeroizing::new(Vec::with_capacity(256 + 6 * (token + refusal)));
        json.extend(b"{");
        if let Some(token) = &self.token {
            json.extend(b"\"token\":{\"text\":");
            // Writing into memory does not fail.
            let _ = serde_json::to_writer(&mut *json, token.text.expose_secret());
            if let Some(end) = token.end {
                json.extend(
                    format!(",\"expires_at\":{},\"lifetime\":{}", end.at, end.lifetime).as_bytes(),
                );
            }
            json.extend(b"}");
        }
        if let Some(refusal) = &self.refusal {
            if self.token.is_some() {
                json.extend(b",");
            }
            json.extend(b"\"refusal\":{\"message\":");
            let _ = serde_json::to_writer(&mut *json, &refusal.message);
            json.extend(format!(",\"until\":{}", refusal.until).as_bytes());
            if let Some(digest) = refusal.digest {
                json.extend(format!(",\"credential\":{digest}").as_bytes());
            }
            json.extend(b"}");
        }
        json.extend(b"}");
        json
    }

    /// What can be made out; what cannot is as good as not there.
    pub(super) fn from_json(json: &[u8]) -> Self {
        let Ok(Value::Object(mut fields)) = serde_json::from_slice(json) else {
            return Self::default();
        };
        let mut part = |name: &str| match fields.remove(name) {
            Some(Value::Object(part)) => Some(part),
            _ => None,
        };
        Self {
            token: part("token").and_then(KeptToken::from_fields),
            refusal: part("refusal").and_then(KeptRefusal::from_fields),
        }
    }
}

impl KeptToken {
    pub(super) fn new(issued: &IssuedToken, now: Millis) -> Self {
        Self {
            text: SecretString::from(issued.expose()),
            end: issued.lifetime().map(|lifetime| {
                let lifetime = millis(lifetime);
                End {
                    at: now.saturating_add(lifetime),
                    lifetime,
                }
            }),
        }
    }

    fn from_fields(mut fields: Map<String, Value>) -> Option<Self> {
        let number = |fields: &Map<String, Value>, name| fields.get(name).and_then(Value::as_u64);
        let end = number(&fields, "expires_at").map(|at| End {
            at,
            lifetime: number(&fields, "lifetime").unwrap_or(Millis::MAX),
        });
        let Some(Value::String(text)) = fields.remove("text") else {
            return None;
        };
        let text = Zeroizing::new(text);
        Some(Self {
            text: SecretString::from(text.as_str()),
            end,
        })
    }

    pub(super) fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// The token with what is left of its life, if that is worth it.
    pub(super) fn issue(&self, now: Millis) -> Option<IssuedToken> {
        let issued = IssuedToken::new(self.text.expose_secret()).ok()?.kept();
        let Some(end) = self.end else {
            return Some(issued);
        };
        // Another machine's clock may be wrong; a token's life does not grow by that.
        let left = left(end.at, now).min(Duration::from_millis(end.lifetime));
        let least = LEAST_LEFT.min(Duration::from_millis(end.lifetime / 2));
        (!left.is_zero() && left >= least).then(|| issued.valid_for(left))
    }
}

impl KeptRefusal {
    /// The refusal `error` is, of the credential with this digest.
    pub(super) fn new(error: &TokenError, digest: Option<u32>, now: Millis) -> Self {
        let longest = tokio::time::Instant::now() + REFUSAL_REMEMBERED;
        let rest = error
            .remembered_until()
            .map_or(longest, |until| until.min(longest))
            .saturating_duration_since(tokio::time::Instant::now());
        Self {
            message: error.to_string().chars().take(LONGEST_MESSAGE).collect(),
            until: now.saturating_add(millis(rest)),
            digest,
        }
    }

    fn from_fields(mut fields: Map<String, Value>) -> Option<Self> {
        let Some(Value::String(message)) = fields.remove("message") else {
            return None;
        };
        Some(Self {
            message,
            until: fields.get("until")?.as_u64()?,
            digest: fields
                .get("credential")
                .and_then(Value::as_u64)
                .and_then(|digest| u32::try_from(digest).ok()),
        })
    }

    /// The refusal, if it is of this credential and still counts. A credential that cannot be told has not changed.
    pub(super) fn error(&self, digest: Option<u32>, now: Millis) -> Option<TokenError> {
        let is_another = matches!((self.digest, digest), (Some(then), Some(now)) if then != now);
        // Another machine's clock may be wrong: nothing is remembered for longer than it would be here.
        let rest = left(self.until, now).min(REFUSAL_REMEMBERED);
        (!is_another && !rest.is_zero())
            .then(|| TokenError::refused(self.message.clone()).remember_for(rest))
    }
}

/// The machine's clock: the only one that processes have in common.
pub(super) fn now() -> Millis {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, millis)
}

fn left(at: Millis, now: Millis) -> Duration {
    Duration::from_millis(at.saturating_sub(now))
}

fn millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Millis = 1_800_000_000_000;
    const HOUR: Duration = Duration::from_secs(3600);

    fn record(text: &str, message: &str, digest: Option<u32>) -> Record {
        let issued = IssuedToken::new(text).unwrap().valid_for(HOUR);
        Record {
            token: Some(KeptToken::new(&issued, NOW)),
            refusal: Some(KeptRefusal {
                message: message.to_owned(),
                until: NOW + 1000,
                digest,
            }),
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(text in "[!#-;=?-~]{1,80}", message in ".{0,80}", digest: Option<u32>) {
            let read = Record::from_json(&record(&text, &message, digest).to_json());
            let token = read.token.unwrap().issue(NOW).unwrap();
            prop_assert_eq!(token.expose(), text);
            prop_assert_eq!(token.lifetime(), Some(HOUR));
            let refusal = read.refusal.unwrap();
            prop_assert_eq!(&refusal.message, &message);
            prop_assert_eq!(refusal.digest, digest);
            prop_assert!(refusal.error(digest, NOW).is_some());
            prop_assert!(refusal.error(digest, NOW + 1000).is_none());
        }

        #[test]
        fn any_bytes_at_all_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Record::from_json(&bytes);
        }
    }

    #[test]
    fn a_token_is_handed_out_while_enough_of_its_life_is_left() {
        let kept = record("secret", "", None).token.unwrap();
        let end = NOW + millis(HOUR);
        assert!(kept.issue(end - 30_000).is_some());
        assert!(kept.issue(end - 29_999).is_none());
        assert!(kept.issue(end + 1).is_none());
        let short = IssuedToken::new("secret").unwrap();
        let short = KeptToken::new(&short.valid_for(Duration::from_secs(10)), NOW);
        assert!(short.issue(NOW + 5_000).is_some());
        assert!(short.issue(NOW + 5_001).is_none());
    }

    #[test]
    fn a_clock_that_is_behind_makes_no_token_live_longer() {
        let kept = record("secret", "", None).token.unwrap();
        let issued = kept.issue(NOW - 5_000_000).unwrap();
        assert_eq!(issued.lifetime(), Some(HOUR));
    }

    #[test]
    fn another_credential_was_not_refused() {
        let refusal = record("secret", "no", Some(7)).refusal.unwrap();
        assert!(refusal.error(Some(7), NOW).is_some());
        assert!(refusal.error(Some(8), NOW).is_none());
        assert!(refusal.error(None, NOW).is_some());
    }
}
