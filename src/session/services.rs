//! Services that no login helps: those that refuse this account, and those that are open and refuse tokens. A bounded
//! memory, so that they cost no login for a while.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::backoff::doubled;
use crate::{lock::lock, url::ServiceKey};

/// How long a service is remembered.
const REMEMBERED: Duration = Duration::from_secs(5 * 60);
/// A service that calls a fresh token invalid may just have seen the next revocation: it is remembered for this at first,
/// and for twice as long each time.
const FIRST: Duration = Duration::from_secs(1);
/// Bounds the memory that a hostile mix of paths can take.
const MOST: usize = 1024;

/// What is remembered of a session's services.
#[derive(Debug, Default)]
pub(crate) struct RefusedServices {
    services: Mutex<HashMap<ServiceKey, Remembered>>,
    /// Lets the hot path skip the lock while nothing is remembered, which is nearly always.
    remembers_any: AtomicBool,
}

#[derive(Clone, Copy, Debug)]
struct Remembered {
    until: Instant,
    /// Fresh tokens that it called invalid one after another.
    strikes: u32,
    standing: Standing,
}

/// What becomes of requests to a remembered service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It refuses the account: its challenges are returned, without a login.
    Refuses,
    /// It is open, and refuses tokens: its requests are not signed.
    Open,
}

impl RefusedServices {
    /// Whether anything is remembered: only then is a request's service worth naming.
    #[inline]
    pub(crate) fn remembers_any(&self) -> bool {
        self.remembers_any.load(Ordering::Relaxed)
    }

    /// What is remembered of `service`.
    pub(crate) fn standing(&self, service: ServiceKey, now: Instant) -> Option<Standing> {
        let services = self.services();
        let remembered = services.get(&service)?;
        (now < remembered.until).then_some(remembered.standing)
    }

    /// It asked for a token again after a fresh login.
    pub(crate) fn refuses(&self, service: ServiceKey, now: Instant) {
        self.remember(service, now, |_| (REMEMBERED, Standing::Refuses));
    }

    /// It called a fresh token invalid, and does not answer without one either.
    pub(crate) fn calls_tokens_invalid(&self, service: ServiceKey, now: Instant) {
        self.remember(service, now, |strikes| {
            (doubled(FIRST, strikes, REMEMBERED), Standing::Refuses)
        });
    }

    /// It called a fresh token invalid, and answered without one.
    pub(crate) fn is_open(&self, service: ServiceKey, now: Instant) {
        self.remember(service, now, |_| (REMEMBERED, Standing::Open));
    }

    /// It answered a signed request, or it is open no longer.
    pub(crate) fn forget(&self, service: ServiceKey) {
        let mut services = self.services();
        services.remove(&service);
        self.remembers_any
            .store(!services.is_empty(), Ordering::Relaxed);
    }

    /// Forgets all services: the account signs out.
    pub(crate) fn clear(&self) {
        self.services().clear();
        self.remembers_any.store(false, Ordering::Relaxed);
    }

    fn remember(
        &self,
        service: ServiceKey,
        now: Instant,
        how: impl FnOnce(u32) -> (Duration, Standing),
    ) {
        let mut services = self.services();
        if services.len() >= MOST && !services.contains_key(&service) {
            make_room(&mut services, now);
        }
        let strikes = services.get(&service).map_or(0, |known| known.strikes);
        let (pause, standing) = how(strikes);
        let remembered = Remembered {
            until: now + pause,
            strikes: strikes.saturating_add(1),
            standing,
        };
        services.insert(service, remembered);
        self.remembers_any.store(true, Ordering::Relaxed);
    }

    fn services(&self) -> MutexGuard<'_, HashMap<ServiceKey, Remembered>> {
        lock(&self.services)
    }
}

/// Evicts what is over, or else what is over soonest.
fn make_room(services: &mut HashMap<ServiceKey, Remembered>, now: Instant) {
    services.retain(|_, remembered| now < remembered.until);
    if services.len() >= MOST {
        let soonest = services
            .iter()
            .min_by_key(|(_, remembered)| remembered.until);
        if let Some(service) = soonest.map(|(service, _)| *service) {
            services.remove(&service);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: ServiceKey = ServiceKey(1);

    #[test]
    fn the_memory_of_services_is_bounded() {
        let (memory, now) = (RefusedServices::default(), Instant::now());
        for number in 0..10 * MOST {
            memory.refuses(ServiceKey(number as u64), now);
        }
        assert!(memory.services().len() <= MOST);
    }

    #[test]
    fn a_service_that_asks_again_is_remembered_for_five_minutes() {
        let (memory, now) = (RefusedServices::default(), Instant::now());
        memory.refuses(SERVICE, now);
        let last = now + REMEMBERED - Duration::from_millis(1);
        assert_eq!(memory.standing(SERVICE, last), Some(Standing::Refuses));
        assert_eq!(memory.standing(SERVICE, now + REMEMBERED), None);
        assert_eq!(memory.standing(ServiceKey(2), now), None);
    }

    #[test]
    fn a_service_that_calls_tokens_invalid_is_remembered_longer_each_time_until_it_answers() {
        let (memory, now) = (RefusedServices::default(), Instant::now());
        for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            memory.calls_tokens_invalid(SERVICE, now);
            let end = now + Duration::from_secs(seconds);
            assert!(
                memory
                    .standing(SERVICE, end - Duration::from_millis(1))
                    .is_some()
            );
            assert!(memory.standing(SERVICE, end).is_none());
        }
        memory.forget(SERVICE);
        memory.calls_tokens_invalid(SERVICE, now);
        assert!(memory.standing(SERVICE, now + FIRST).is_none());
    }

    /// As many services refuse, from 1, each a millisecond after the one before.
    fn with_refusals(count: usize, start: Instant) -> RefusedServices {
        let memory = RefusedServices::default();
        for number in 1..=count as u64 {
            memory.refuses(ServiceKey(number), start + Duration::from_millis(number));
        }
        memory
    }

    fn refuses(memory: &RefusedServices, number: usize, now: Instant) -> bool {
        let standing = memory.standing(ServiceKey(number as u64), now);
        standing == Some(Standing::Refuses)
    }

    #[test]
    fn what_is_over_makes_room_before_what_is_not() {
        let start = Instant::now();
        let memory = with_refusals(MOST - 2, start);
        for number in MOST - 1..=MOST {
            memory.calls_tokens_invalid(ServiceKey(number as u64), start);
        }
        let now = start + FIRST;
        memory.refuses(ServiceKey(0), now);
        assert_eq!(memory.services().len(), MOST - 1);
        for number in 0..MOST - 1 {
            assert!(refuses(&memory, number, now), "{number}");
        }
    }

    #[test]
    fn what_is_over_soonest_makes_room_where_nothing_is_over() {
        let now = Instant::now();
        let memory = with_refusals(MOST, now);
        memory.refuses(ServiceKey(0), now);
        assert!(!refuses(&memory, 1, now));
        for number in 2..=MOST {
            assert!(refuses(&memory, number, now), "{number}");
        }
        assert!(refuses(&memory, 0, now));
    }

    #[test]
    fn a_service_that_is_remembered_again_takes_no_room() {
        let now = Instant::now();
        let memory = with_refusals(MOST, now);
        memory.refuses(ServiceKey(2), now);
        for number in 1..=MOST {
            assert!(refuses(&memory, number, now), "{number}");
        }
    }

    #[test]
    fn how_often_a_service_called_tokens_invalid_is_known_when_its_pause_is_over() {
        let (memory, start) = (RefusedServices::default(), Instant::now());
        memory.calls_tokens_invalid(SERVICE, start);
        let later = start + 2 * FIRST;
        memory.refuses(ServiceKey(2), later);
        memory.calls_tokens_invalid(SERVICE, later);
        assert!(memory.standing(SERVICE, later + FIRST).is_some());
    }

    #[test]
    fn it_remembers_any_until_the_last_is_forgotten() {
        let (memory, now) = (RefusedServices::default(), Instant::now());
        memory.refuses(SERVICE, now);
        memory.refuses(ServiceKey(2), now);
        memory.forget(SERVICE);
        assert!(memory.remembers_any());
        memory.forget(ServiceKey(2));
        assert!(!memory.remembers_any());
    }

    #[test]
    fn nothing_is_remembered_after_a_sign_out() {
        let (memory, now) = (RefusedServices::default(), Instant::now());
        memory.is_open(SERVICE, now);
        assert!(memory.remembers_any());
        memory.clear();
        assert!(!memory.remembers_any());
        assert_eq!(memory.standing(SERVICE, now), None);
    }
}
