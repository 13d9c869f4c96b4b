//! Which sessions' logins were refused. A session itself remembers no refusal, so evicting one forgets nothing.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::LazyLock,
};

use tokio::time::Instant;

use super::history::REFUSAL_REMEMBERED;
use crate::{error::TokenError, identity::Identity};

/// Beyond this the oldest are forgotten: the history of the account still knows what was refused, and what is lost is that
/// a prompt was cancelled.
const MOST_SESSIONS: usize = 10_000;

/// A site and an identity, hashed: callers choose how long an identity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SessionId(u64);

impl SessionId {
    pub(crate) fn new(site: &str, identity: Option<&Identity>, is_portal: bool) -> Self {
        static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        let identity = identity.map(Identity::as_str);
        Self(HASHER.hash_one((site, identity, is_portal)))
    }
}

#[derive(Default)]
pub(super) struct RefusedSessions(HashMap<SessionId, Refused>);

struct Refused {
    until: Instant,
    error: TokenError,
    credential: Option<u64>,
}

impl RefusedSessions {
    pub(super) fn add(
        &mut self,
        session: SessionId,
        credential: Option<u64>,
        error: &TokenError,
        now: Instant,
    ) {
        if self.0.len() >= MOST_SESSIONS {
            self.make_room(now);
        }
        let longest = now + REFUSAL_REMEMBERED;
        // What another process has known for a while is not remembered for longer by being handed on.
        let until = error
            .remembered_until()
            .map_or(longest, |until| until.min(longest));
        let error = error.clone().remember_until(until);
        let refused = Refused {
            until,
            error,
            credential,
        };
        self.0.insert(session, refused);
    }

    fn make_room(&mut self, now: Instant) {
        self.0.retain(|_, refused| now < refused.until);
        if self.0.len() >= MOST_SESSIONS {
            let mut ends: Vec<Instant> = self.0.values().map(|refused| refused.until).collect();
            let (_, median, _) = ends.select_nth_unstable(MOST_SESSIONS / 2);
            let median = *median;
            self.0.retain(|_, refused| refused.until > median);
        }
    }

    pub(super) fn get(
        &self,
        session: SessionId,
        now: Instant,
    ) -> Option<(TokenError, Option<u64>)> {
        let refused = self.0.get(&session).filter(|refused| now < refused.until)?;
        Some((refused.error.clone(), refused.credential))
    }

    pub(super) fn remove_if(
        &mut self,
        session: SessionId,
        is_it: impl FnOnce(&TokenError, Option<u64>) -> bool,
    ) {
        let refused = self.0.get(&session);
        if refused.is_some_and(|refused| is_it(&refused.error, refused.credential)) {
            self.0.remove(&session);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn id(number: usize) -> SessionId {
        SessionId::new("https://gis", Some(&number.to_string().into()), false)
    }

    fn refuse(sessions: &mut RefusedSessions, number: usize, now: Instant) {
        sessions.add(id(number), None, &TokenError::refused("no"), now);
    }

    #[test]
    fn what_is_over_makes_room_before_what_is_not() {
        let (mut sessions, now) = (RefusedSessions::default(), Instant::now());
        let brief = TokenError::refused("no").remember_until(now + MINUTE);
        for number in 0..MOST_SESSIONS {
            if number % 2 == 0 {
                sessions.add(id(number), None, &brief, now);
            } else {
                refuse(&mut sessions, number, now);
            }
        }
        refuse(&mut sessions, MOST_SESSIONS, now + MINUTE);
        assert_eq!(sessions.len(), MOST_SESSIONS / 2 + 1);
        assert!(sessions.get(id(1), now + MINUTE).is_some());
    }

    #[test]
    fn the_older_half_makes_room_where_nothing_is_over() {
        let (mut sessions, start) = (RefusedSessions::default(), Instant::now());
        let time_of = |number: usize| start + Duration::from_millis(number as u64);
        for number in 0..=MOST_SESSIONS {
            refuse(&mut sessions, number, time_of(number));
        }
        let now = time_of(MOST_SESSIONS);
        assert!(sessions.get(id(0), now).is_none());
        assert!(sessions.get(id(MOST_SESSIONS / 2), now).is_none());
        for number in MOST_SESSIONS / 2 + 1..=MOST_SESSIONS {
            assert!(sessions.get(id(number), now).is_some(), "{number}");
        }
    }

    #[test]
    fn there_is_room_though_all_were_refused_at_one_moment() {
        let (mut sessions, now) = (RefusedSessions::default(), Instant::now());
        for number in 0..=MOST_SESSIONS {
            refuse(&mut sessions, number, now);
        }
        assert!(sessions.len() <= MOST_SESSIONS);
        assert!(sessions.get(id(MOST_SESSIONS), now).is_some());
    }

    #[test]
    fn a_refusal_is_forgotten_when_its_time_is_over() {
        let (mut sessions, now) = (RefusedSessions::default(), Instant::now());
        refuse(&mut sessions, 1, now);
        let end = now + REFUSAL_REMEMBERED;
        assert!(
            sessions
                .get(id(1), end - Duration::from_millis(1))
                .is_some()
        );
        assert!(sessions.get(id(1), end).is_none());
    }
}
