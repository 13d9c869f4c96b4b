//! How often one client may ask.

use std::{
    fmt,
    net::IpAddr,
    num::NonZeroU32,
    str::FromStr,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, MonotonicClock},
    middleware::NoOpMiddleware,
    state::keyed::HashMapStateStore,
};

use crate::refusal::Refusal;

/// After so many requests, clients that have all their requests again are forgotten.
const BETWEEN_SWEEPS: u32 = 1024;

/// What `--rate-limit` takes: so many requests in such a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    requests: NonZeroU32,
    period: Duration,
}

impl FromStr for Rate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "write a number and a time, like 50/10m or 5/s";
        let (requests, period) = text.split_once('/').ok_or(wrong)?;
        let period = if period.starts_with(|first: char| first.is_ascii_digit()) {
            humantime::parse_duration(period)
        } else {
            humantime::parse_duration(&format!("1{period}"))
        };
        let rate = Self {
            requests: requests.trim().parse().map_err(|_| wrong)?,
            period: period.map_err(|_| wrong)?,
        };
        rate.quota().map(|_| rate).ok_or(wrong)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let period = humantime::format_duration(self.period);
        write!(f, "{}/{period}", self.requests)
    }
}

impl Rate {
    /// All requests at once; each comes back after its share of the period.
    fn quota(self) -> Option<Quota> {
        let share = self.period / self.requests.get();
        Quota::with_period(share).map(|quota| quota.allow_burst(self.requests))
    }
}

/// The requests that each client has left.
pub(crate) struct RateLimit {
    clients: RateLimiter<
        IpAddr,
        HashMapStateStore<IpAddr>,
        MonotonicClock,
        NoOpMiddleware<<MonotonicClock as Clock>::Instant>,
    >,
    requests: AtomicU32,
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("clients", &self.clients.len())
            .finish_non_exhaustive()
    }
}

impl RateLimit {
    pub(crate) fn new(rate: Rate) -> Self {
        let quota = rate
            .quota()
            .unwrap_or_else(|| Quota::per_second(rate.requests));
        Self {
            clients: RateLimiter::hashmap_with_clock(quota, MonotonicClock),
            requests: AtomicU32::new(0),
        }
    }

    /// Takes one of the client's requests, or says when there will be one.
    pub(super) fn check(&self, client: IpAddr) -> Result<(), Refusal> {
        if self.requests.fetch_add(1, Ordering::Relaxed) % BETWEEN_SWEEPS == BETWEEN_SWEEPS - 1 {
            self.clients.retain_recent();
        }
        self.clients.check_key(&client).map_err(|not_until| {
            let wait = not_until.wait_time_from(MonotonicClock.now());
            Refusal::Rate {
                retry_after: wait.as_secs() + u64::from(wait.subsec_nanos() > 0),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_and_a_time() {
        for (text, requests, seconds) in [
            ("50/10m", 50, 600),
            ("5/s", 5, 1),
            ("1/1h 30m", 1, 5400),
            ("100/m", 100, 60),
        ] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!(
                (rate.requests.get(), rate.period.as_secs()),
                (requests, seconds),
                "{text}"
            );
        }
        for text in [
            "",
            "50",
            "0/10m",
            "50/0s",
            "-1/s",
            "50/",
            "a/b",
            "4000000000/1ns",
        ] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_whole_limit_may_come_at_once_and_each_client_has_its_own() {
        let limit = RateLimit::new("3/1h".parse().unwrap());
        let [one, other] = ["192.0.2.1", "192.0.2.2"].map(|address| address.parse().unwrap());
        for _ in 0..3 {
            assert!(limit.check(one).is_ok());
        }
        match limit.check(one) {
            Err(Refusal::Rate { retry_after }) => {
                assert!((1190..=1200).contains(&retry_after), "{retry_after}")
            }
            answer => panic!("{answer:?}"),
        }
        assert!(limit.check(other).is_ok());
    }
}
