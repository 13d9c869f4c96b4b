//! What is kept of an account's logins: the token, and which process logs in; as JSON, before it is sealed and after it is
//! opened.

use std::{
    io,
    time::{Duration, SystemTime},
};

use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use tokio::time::Instant;

use crate::{
    guard::{Millis, millis},
    token::IssuedToken,
};

/// How long a token is kept that the server set no end to.
const KEPT_WITHOUT_END: Duration = Duration::from_secs(24 * 60 * 60);
/// Less of its life left, and a token is not worth handing out: it would end on its way.
const LEAST_LEFT: Duration = Duration::from_secs(30);
/// A leader renews its lease three times in this; a process that dies as the leader is followed after it.
pub(super) const LEASE: Duration = Duration::from_secs(10);

/// What is sealed into a record.
pub(super) trait Content: Clone + Default + Serialize + DeserializeOwned + Send {
    /// How long it is of use; `None` where there is nothing to keep.
    fn keep_for(&self, now: Millis) -> Option<Duration>;

    /// Written once into a buffer of the right size, which is wiped: growing would leave copies behind.
    fn to_json(&self) -> Option<Zeroizing<Vec<u8>>> {
        let mut length = Length(0);
        serde_json::to_writer(&mut length, self).ok()?;
        let mut json = Zeroizing::new(Vec::with_capacity(length.0));
        serde_json::to_writer(&mut *json, self).ok()?;
        Some(json)
    }

    /// What cannot be read is as good as not there.
    fn from_json(json: &[u8]) -> Self {
        serde_json::from_slice(json).unwrap_or_default()
    }
}

struct Length(usize);

impl io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct TokenRecord {
    pub(super) token: Option<KeptToken>,
    pub(super) leader: Option<Leader>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct KeptToken {
    #[serde(serialize_with = "expose", deserialize_with = "conceal")]
    text: SecretString,
    takes_esri_header: bool,
    end: Option<End>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct End {
    at: Millis,
    /// How long the token was good for when it was new.
    lifetime: Millis,
}

/// A login that is under way in some process. Others wait for its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Leader {
    pub(super) id: u64,
    /// When its lease ends, unless it is renewed.
    pub(super) until: Millis,
}

impl Content for TokenRecord {
    fn keep_for(&self, now: Millis) -> Option<Duration> {
        let token = self.token.as_ref().map(|token| match token.end {
            Some(end) => left(end.at, now),
            None => KEPT_WITHOUT_END,
        });
        let leader = self.leader.map(|leader| left(leader.until, now));
        token.max(leader).filter(|keep_for| !keep_for.is_zero())
    }
}

impl TokenRecord {
    pub(super) fn is_led_by(&self, id: u64) -> bool {
        self.leader.is_some_and(|leader| leader.id == id)
    }
}

impl KeptToken {
    pub(super) fn new(issued: &IssuedToken, now: Millis) -> Self {
        Self {
            text: SecretString::from(issued.expose()),
            takes_esri_header: issued.takes_esri_header(),
            end: issued.lifetime().map(|lifetime| {
                let lifetime = millis(lifetime);
                End {
                    at: now.saturating_add(lifetime),
                    lifetime,
                }
            }),
        }
    }

    pub(super) fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// The token with what is left of its life, if that is worth it.
    pub(super) fn issue(&self, now: Millis) -> Option<IssuedToken> {
        let issued = IssuedToken::try_new(self.expose()).ok()?;
        let mut issued = issued.taken_from_shared_cache();
        if !self.takes_esri_header {
            issued = issued.without_esri_header();
        }
        let Some(end) = self.end else {
            return Some(issued);
        };
        // Another machine's clock may be wrong; a token's life does not grow by that.
        let left = left(end.at, now).min(Duration::from_millis(end.lifetime));
        let least = LEAST_LEFT.min(Duration::from_millis(end.lifetime / 2));
        (!left.is_zero() && left >= least).then(|| issued.valid_for(left))
    }
}

impl Leader {
    /// Whether it is over whatever the clocks say: a whole lease ago. Otherwise only watching it tells.
    pub(super) fn is_long_over(self, now: Millis) -> bool {
        self.until.saturating_add(millis(LEASE)) <= now
    }
}

fn expose<S: Serializer>(text: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text.expose_secret())
}

fn conceal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    let text = Zeroizing::new(String::deserialize(deserializer)?);
    Ok(SecretString::from(text.as_str()))
}

/// Milliseconds since 1970 by the machine's clock, the only one that processes have in common; moved along where a test moves tokio's.
#[expect(
    clippy::disallowed_methods,
    reason = "what tokio's clock is compared with"
)]
pub(super) fn now() -> Millis {
    let (tokio, machine) = (Instant::now().into_std(), std::time::Instant::now());
    let since_1970 = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let moved = since_1970 + tokio.saturating_duration_since(machine);
    millis(moved.saturating_sub(machine.saturating_duration_since(tokio)))
}

fn left(at: Millis, now: Millis) -> Duration {
    Duration::from_millis(at.saturating_sub(now))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Millis = 1_800_000_000_000;
    const HOUR: Duration = Duration::from_secs(3600);

    fn record(text: &str) -> TokenRecord {
        let issued = IssuedToken::try_new(text).unwrap().valid_for(HOUR);
        TokenRecord {
            token: Some(KeptToken::new(&issued, NOW)),
            leader: Some(Leader {
                id: u64::MAX,
                until: NOW,
            }),
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(text in "[!#-;=?-~]{1,80}") {
            let json = record(&text).to_json().unwrap();
            prop_assert_eq!(json.len(), json.capacity(), "nothing has grown");
            let read = TokenRecord::from_json(&json);
            prop_assert_eq!(read.leader, record(&text).leader);
            let token = read.token.unwrap().issue(NOW).unwrap();
            prop_assert_eq!(token.expose(), text);
            prop_assert_eq!(token.lifetime(), Some(HOUR));
        }

        #[test]
        fn any_bytes_at_all_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = TokenRecord::from_json(&bytes);
        }
    }

    #[test]
    fn a_token_is_handed_out_while_enough_of_its_life_is_left() {
        let kept = record("secret").token.unwrap();
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
    fn a_token_that_may_not_travel_in_a_header_may_not_do_so_from_the_cache() {
        for takes_it in [true, false] {
            let issued = IssuedToken::try_new("secret").unwrap();
            let issued = if takes_it {
                issued
            } else {
                issued.without_esri_header()
            };
            let record = TokenRecord {
                token: Some(KeptToken::new(&issued, NOW)),
                leader: None,
            };
            let read = TokenRecord::from_json(&record.to_json().unwrap());
            let issued = read.token.unwrap().issue(NOW).unwrap();
            assert_eq!(issued.takes_esri_header(), takes_it);
        }
    }

    #[test]
    fn a_clock_that_is_behind_makes_no_token_live_longer() {
        let kept = record("secret").token.unwrap();
        let issued = kept.issue(NOW - 5_000_000).unwrap();
        assert_eq!(issued.lifetime(), Some(HOUR));
    }

    #[test]
    fn a_record_is_kept_as_long_as_its_token_or_its_leader() {
        let keep_for = |record: &TokenRecord| record.keep_for(NOW - 1_000);
        assert_eq!(
            keep_for(&record("secret")),
            Some(HOUR + Duration::from_secs(1))
        );
        let leader_only = TokenRecord {
            token: None,
            ..record("secret")
        };
        assert_eq!(keep_for(&leader_only), Some(Duration::from_secs(1)));
        assert_eq!(keep_for(&TokenRecord::default()), None);
    }
}
