//! What is kept of logins: the token and the refusals, as JSON, before it is sealed and after it is opened.

use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};
use serde_json::{Map, Value};

use crate::{
    error::TokenError, login::MOST_UNANSWERED, session::REFUSAL_REMEMBERED, token::IssuedToken,
};

/// How long a token is kept that the server set no end to.
const KEPT_WITHOUT_END: Duration = Duration::from_secs(24 * 60 * 60);
/// Less of its life left, and a token is not worth handing out: it would end on its way.
const LEAST_LEFT: Duration = Duration::from_secs(30);
/// Nobody's words are longer.
const LONGEST_MESSAGE: usize = 1024;
/// Wrong passwords of one account that are remembered beside each other: more than lock it.
const MOST_REFUSALS: usize = 8;

/// Milliseconds since 1970, by the machine's own clock.
pub(super) type Millis = u64;

#[derive(Clone, Default)]
pub(super) struct Record {
    pub(super) token: Option<KeptToken>,
    /// One for each credential that was refused, the newest last.
    refusals: Vec<KeptRefusal>,
    /// Logins that nobody knows the outcome of, by when that was clear, and a number: the token service may have counted
    /// them.
    unanswered: Vec<(Millis, u32)>,
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
    digest: u32,
}

/// What a login leaves beside whatever is kept by then.
#[derive(Clone)]
pub(super) enum Note {
    Refusal(KeptRefusal),
    /// The login was not answered; when that was clear, and a number that tells it from others.
    Unanswered(Millis, u32),
}

impl Note {
    /// That a login was not answered, now.
    pub(super) fn unanswered() -> Self {
        Self::Unanswered(now(), fastrand::u32(..))
    }
}

impl Record {
    pub(super) fn noted(self, note: &Note, now: Millis) -> Self {
        match note {
            Note::Refusal(refusal) => self.refused(refusal.clone(), now),
            Note::Unanswered(at, number) => self.not_answered((*at, *number), now),
        }
    }

    /// What is kept after a login gave `token` with the credential of this digest: what was refused to others is still
    /// refused.
    pub(super) fn granted(mut self, token: KeptToken, digest: Option<u32>, now: Millis) -> Self {
        self.token = Some(token);
        self.retain_refusals(digest, now);
        self
    }

    /// What is kept after a login was refused. The token there is may work until its end.
    fn refused(mut self, refusal: KeptRefusal, now: Millis) -> Self {
        self.retain_refusals(Some(refusal.digest), now);
        if self.refusals.len() >= MOST_REFUSALS {
            self.refusals.remove(0);
        }
        self.refusals.push(refusal);
        self
    }

    /// What is kept after the token was found dead, or somebody has signed out: what was refused is still refused.
    pub(super) fn without_token(self) -> Self {
        Self {
            token: None,
            ..self
        }
    }

    /// What is kept after one login more was not answered.
    fn not_answered(mut self, login: (Millis, u32), now: Millis) -> Self {
        self.unanswered.retain(|(at, _)| is_counted(*at, now));
        // What the vault's answer was lost to is said again.
        if !self.unanswered.contains(&login) {
            self.unanswered.push(login);
        }
        self
    }

    /// What is kept after a login was answered with a token: none has failed.
    pub(super) fn answered(mut self) -> Self {
        self.unanswered.clear();
        self
    }

    pub(super) fn is_all_answered(&self) -> bool {
        self.unanswered.is_empty()
    }

    /// How many logins nobody knows the outcome of, whatever the credential.
    pub(super) fn unanswered_lately(&self, now: Millis) -> usize {
        let lately = self
            .unanswered
            .iter()
            .filter(|(at, _)| is_counted(*at, now));
        lately.count()
    }

    /// Those that count still, but for that of this credential.
    fn retain_refusals(&mut self, but: Option<u32>, now: Millis) {
        self.refusals
            .retain(|refusal| now < refusal.until && Some(refusal.digest) != but);
    }

    /// Why this credential would be refused. One that cannot be told is none that was refused.
    pub(super) fn refusal(&self, digest: Option<u32>, now: Millis) -> Option<TokenError> {
        let digest = digest?;
        self.refusals
            .iter()
            .find(|refusal| refusal.digest == digest)?
            .error(now)
    }

    /// How long it is of use.
    pub(super) fn keep_for(&self, now: Millis) -> Duration {
        let token = self.token.as_ref().map(|token| match token.end {
            Some(end) => left(end.at, now),
            None => KEPT_WITHOUT_END,
        });
        let refusal = self.refusals.iter().map(|refusal| left(refusal.until, now));
        let unanswered = self.unanswered.iter();
        let unanswered =
            unanswered.map(|(at, _)| left(at.saturating_add(millis(REFUSAL_REMEMBERED)), now));
        token
            .max(refusal.max())
            .max(unanswered.max())
            .unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.token.is_none() && self.refusals.is_empty() && self.unanswered.is_empty()
    }

    /// Written in one go into a buffer that is wiped; a serializer would leave copies of the token behind.
    pub(super) fn to_json(&self) -> Zeroizing<Vec<u8>> {
        let token = self
            .token
            .as_ref()
            .map_or(0, |token| token.text.expose_secret().len());
        let refusals: usize = self
            .refusals
            .iter()
            .map(|refusal| 64 + refusal.message.len())
            .sum();
        // Escapes make a character up to six times as long.
        let mut json = Zeroizing::new(Vec::with_capacity(256 + 6 * (token + refusals)));
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
        if self.token.is_some() {
            json.extend(b",");
        }
        json.extend(b"\"refusals\":[");
        for (number, refusal) in self.refusals.iter().enumerate() {
            if number > 0 {
                json.extend(b",");
            }
            json.extend(b"{\"message\":");
            let _ = serde_json::to_writer(&mut *json, &refusal.message);
            json.extend(
                format!(
                    ",\"until\":{},\"credential\":{}}}",
                    refusal.until, refusal.digest
                )
                .as_bytes(),
            );
        }
        json.extend(b"],\"unanswered\":");
        let _ = serde_json::to_writer(&mut *json, &self.unanswered);
        json.extend(b"}");
        json
    }

    /// What can be made out; what cannot is as good as not there.
    pub(super) fn from_json(json: &[u8]) -> Self {
        let Ok(Value::Object(mut fields)) = serde_json::from_slice(json) else {
            return Self::default();
        };
        let token = fields.remove("token").and_then(object);
        let mut list = |name: &str| match fields.remove(name) {
            Some(Value::Array(list)) => list,
            _ => Vec::new(),
        };
        let (refusals, unanswered) = (list("refusals"), list("unanswered"));
        Self {
            token: token.and_then(KeptToken::from_fields),
            refusals: refusals
                .into_iter()
                .filter_map(|refusal| KeptRefusal::from_fields(object(refusal)?))
                .take(MOST_REFUSALS)
                .collect(),
            unanswered: unanswered
                .iter()
                .filter_map(|login| {
                    let number = login.get(1)?.as_u64()?;
                    Some((login.get(0)?.as_u64()?, u32::try_from(number).ok()?))
                })
                .take(MOST_UNANSWERED)
                .collect(),
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
        let issued = IssuedToken::try_new(self.text.expose_secret())
            .ok()?
            .from_shared_cache();
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
    pub(super) fn new(error: &TokenError, digest: u32, now: Millis) -> Self {
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
            digest: u32::try_from(fields.get("credential")?.as_u64()?).ok()?,
        })
    }

    /// The refusal, if it still counts.
    fn error(&self, now: Millis) -> Option<TokenError> {
        // Another machine's clock may be wrong: nothing is remembered for longer than it would be here.
        let rest = left(self.until, now).min(REFUSAL_REMEMBERED);
        (!rest.is_zero()).then(|| {
            TokenError::refused(self.message.clone())
                .remember_for(rest)
                .from_memory()
        })
    }
}

fn object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(fields) => Some(fields),
        _ => None,
    }
}

/// The machine's clock: the only one that processes have in common.
pub(super) fn now() -> Millis {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, millis)
}

fn is_counted(unanswered: Millis, now: Millis) -> bool {
    now < unanswered.saturating_add(millis(REFUSAL_REMEMBERED))
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

    fn refusal(message: &str, digest: u32) -> KeptRefusal {
        KeptRefusal {
            message: message.to_owned(),
            until: NOW + 1000,
            digest,
        }
    }

    fn record(text: &str, message: &str, digest: u32) -> Record {
        let issued = IssuedToken::try_new(text).unwrap().valid_for(HOUR);
        Record::default()
            .granted(KeptToken::new(&issued, NOW), None, NOW)
            .refused(refusal(message, digest), NOW)
            .refused(refusal("another", digest ^ 1), NOW)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(text in "[!#-;=?-~]{1,80}", message in ".{0,80}", digest: u32) {
            let read = Record::from_json(&record(&text, &message, digest).to_json());
            prop_assert_eq!(read.refusal(Some(digest), NOW).unwrap().to_string(), message);
            prop_assert_eq!(read.refusal(Some(digest ^ 1), NOW).unwrap().to_string(), "another");
            prop_assert!(read.refusal(Some(digest), NOW + 1000).is_none());
            let token = read.token.unwrap().issue(NOW).unwrap();
            prop_assert_eq!(token.expose(), text);
            prop_assert_eq!(token.lifetime(), Some(HOUR));
        }

        #[test]
        fn any_bytes_at_all_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Record::from_json(&bytes);
        }
    }

    #[test]
    fn a_token_is_handed_out_while_enough_of_its_life_is_left() {
        let kept = record("secret", "", 7).token.unwrap();
        let end = NOW + millis(HOUR);
        assert!(kept.issue(end - 30_000).is_some());
        assert!(kept.issue(end - 29_999).is_none());
        assert!(kept.issue(end + 1).is_none());
        let short = IssuedToken::try_new("secret").unwrap();
        let short = KeptToken::new(&short.valid_for(Duration::from_secs(10)), NOW);
        assert!(short.issue(NOW + 5_000).is_some());
        assert!(short.issue(NOW + 5_001).is_none());
    }

    #[test]
    fn a_clock_that_is_behind_makes_no_token_live_longer() {
        let kept = record("secret", "", 7).token.unwrap();
        let issued = kept.issue(NOW - 5_000_000).unwrap();
        assert_eq!(issued.lifetime(), Some(HOUR));
    }

    #[test]
    fn another_credential_was_not_refused() {
        let record = Record::default().refused(refusal("no", 7), NOW);
        assert!(record.refusal(Some(7), NOW).is_some());
        assert!(record.refusal(Some(8), NOW).is_none());
        assert!(record.refusal(None, NOW).is_none());
    }

    #[test]
    fn a_login_lifts_the_refusal_of_its_own_credential_only() {
        let token = KeptToken::new(&IssuedToken::try_new("secret").unwrap(), NOW);
        let record = record("old", "no", 7).granted(token, Some(7), NOW);
        assert!(record.refusal(Some(7), NOW).is_none());
        assert!(record.refusal(Some(6), NOW).is_some());
    }

    #[test]
    fn the_memory_of_refusals_is_bounded_and_what_has_expired_makes_room() {
        let mut record = Record::default();
        for digest in 0..100 {
            record = record.refused(refusal("no", digest), NOW);
        }
        assert_eq!(record.refusals.len(), MOST_REFUSALS);
        assert!(record.refusal(Some(99), NOW).is_some());
        let later = KeptRefusal {
            until: NOW + 5000,
            ..refusal("no", 100)
        };
        assert_eq!(record.refused(later, NOW + 2000).refusals.len(), 1);
    }
}
