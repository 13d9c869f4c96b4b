//! What one connection is doing: whether the proxy waits for its caller, and since when.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::Version;

use crate::{
    connections::{
        Patience,
        places::{Clock, Place},
    },
    headers::Peer,
};

/// One connection's caller. All of it is read by the sweep, and only hints at the order of things: a sweep that sees a
/// little less than there is comes again.
#[derive(Debug)]
pub(crate) struct Caller {
    peer: Peer,
    clock: Clock,
    /// Requests that are not answered to their end.
    under_way: AtomicU32,
    /// When the last of them ended, or the connection began.
    idle_since: AtomicU64,
    /// When the first bytes behind that came; 0 for not yet.
    heard_since: AtomicU64,
    has_asked: AtomicBool,
    is_closed: AtomicBool,
    /// Over HTTP/2, bytes between requests are no headers that drag on.
    is_http2: AtomicBool,
    /// Bodies that the server wants more of.
    wanted: AtomicU32,
    /// Parts of answers that the caller has not taken yet.
    untaken: AtomicU32,
    /// When a part of a body last went either way.
    moved_at: AtomicU64,
}

impl Caller {
    pub(super) fn new(address: std::net::IpAddr, clock: Clock) -> Self {
        let now = clock.now();
        Self {
            peer: Peer::at(address),
            clock,
            under_way: AtomicU32::new(0),
            idle_since: AtomicU64::new(now),
            heard_since: AtomicU64::new(0),
            has_asked: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            is_http2: AtomicBool::new(false),
            wanted: AtomicU32::new(0),
            untaken: AtomicU32::new(0),
            moved_at: AtomicU64::new(now),
        }
    }

    /// Who is at the connection's other end.
    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Its connection is to end, whatever is under way.
    pub(super) fn close(&self) {
        self.is_closed.store(true, Relaxed);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Relaxed)
    }

    /// A request has come.
    pub(crate) fn asked(&self, version: Version) {
        if version == Version::HTTP_2 {
            self.is_http2.store(true, Relaxed);
        }
        self.has_asked.store(true, Relaxed);
        self.heard_since.store(0, Relaxed);
        self.idle_since.store(self.clock.now(), Relaxed);
    }

    /// The request is under way until what this returns is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> UnderWay {
        let others = self.under_way.fetch_add(1, Relaxed);
        UnderWay {
            caller: Arc::clone(self),
            is_beside_others: others > 0,
            has_untaken: false,
            _place: None,
        }
    }

    /// Bytes came.
    pub(super) fn heard(&self) {
        let is_first = self.under_way.load(Relaxed) == 0 && self.heard_since.load(Relaxed) == 0;
        if is_first {
            self.heard_since.store(self.clock.now().max(1), Relaxed);
        }
    }

    /// A body's next part is waited for, or no longer.
    pub(crate) fn set_wanted(&self, is_wanted: bool) {
        if is_wanted {
            self.wanted.fetch_add(1, Relaxed);
        } else {
            self.wanted.fetch_sub(1, Relaxed);
        }
        self.moved_at.store(self.clock.now(), Relaxed);
    }

    /// How long the proxy has waited for this caller; `None` while the caller waits for the proxy.
    pub(super) fn kept_waiting(&self) -> Option<Duration> {
        let since = if self.under_way.load(Relaxed) == 0 {
            self.idle_since.load(Relaxed)
        } else if self.wanted.load(Relaxed) > 0 || self.untaken.load(Relaxed) > 0 {
            self.moved_at.load(Relaxed)
        } else {
            return None;
        };
        Some(self.clock.since(since))
    }

    /// Whether no request is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.under_way.load(Relaxed) == 0
    }

    /// Whether the connection is to be closed.
    pub(super) fn is_overdue(&self, patience: &Patience) -> bool {
        if self.under_way.load(Relaxed) > 0 {
            return self.untaken.load(Relaxed) > 0
                && self.clock.since(self.moved_at.load(Relaxed)) >= patience.bodies;
        }
        let idle = self.clock.since(self.idle_since.load(Relaxed));
        if !self.has_asked.load(Relaxed) {
            return idle >= patience.headers;
        }
        let heard_since = self.heard_since.load(Relaxed);
        let drags_on = heard_since > 0
            && !self.is_http2.load(Relaxed)
            && self.clock.since(heard_since) >= patience.headers;
        drags_on || idle >= patience.idle
    }
}

/// A request that is not answered to its end.
#[derive(Debug)]
pub(crate) struct UnderWay {
    caller: Arc<Caller>,
    is_beside_others: bool,
    /// A part of its answer waits for the caller.
    has_untaken: bool,
    _place: Option<Box<Place>>,
}

impl UnderWay {
    /// Whether its connection has other requests under way, as HTTP/2 allows.
    pub(crate) fn is_beside_others(&self) -> bool {
        self.is_beside_others
    }

    /// A part of its answer goes to the caller, or the caller has taken what there was.
    pub(crate) fn set_untaken(&mut self, is_untaken: bool) {
        if is_untaken != self.has_untaken {
            self.has_untaken = is_untaken;
            if is_untaken {
                self.caller.untaken.fetch_add(1, Relaxed);
            } else {
                self.caller.untaken.fetch_sub(1, Relaxed);
            }
            self.caller.moved_at.store(self.caller.clock.now(), Relaxed);
        }
    }

    /// Its place, beside the connection's.
    pub(crate) fn take(&mut self, place: Place) {
        self._place = Some(Box::new(place));
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.set_untaken(false);
        // Before the request ends: a sweep must not see an old time with no request.
        self.caller
            .idle_since
            .store(self.caller.clock.now(), Relaxed);
        self.caller.under_way.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        headers: Duration::from_secs(30),
        idle: Duration::from_secs(90),
        bodies: Duration::from_secs(60),
    };

    struct Connection {
        clock: Clock,
        caller: Arc<Caller>,
    }

    impl Connection {
        fn ask(&self, version: Version) -> UnderWay {
            self.caller.asked(version);
            self.caller.begin()
        }
    }

    impl Connection {
        fn new() -> Self {
            let clock = Clock::default();
            clock.set(100);
            let caller = Arc::new(Caller::new([127, 0, 0, 1].into(), clock.clone()));
            Self { clock, caller }
        }

        fn pass(&self, seconds: u64) -> &Caller {
            self.clock.set(self.clock.now() + seconds);
            &self.caller
        }
    }

    #[test]
    fn a_connection_without_a_first_request_is_closed_after_the_time_for_headers() {
        let connection = Connection::new();
        assert!(!connection.pass(29).is_overdue(&PATIENCE));
        connection.caller.heard();
        assert!(connection.pass(1).is_overdue(&PATIENCE));
    }

    #[test]
    fn a_connection_between_requests_is_closed_after_the_idle_time() {
        let connection = Connection::new();
        let request = connection.ask(Version::HTTP_11);
        assert!(!connection.pass(1000).is_overdue(&PATIENCE));
        drop(request);
        assert!(!connection.pass(89).is_overdue(&PATIENCE));
        assert!(connection.pass(1).is_overdue(&PATIENCE));
    }

    #[test]
    fn headers_that_drag_on_are_not_idle_time() {
        let connection = Connection::new();
        drop(connection.ask(Version::HTTP_11));
        connection.pass(10).heard();
        connection.pass(20).heard();
        assert!(connection.pass(10).is_overdue(&PATIENCE));

        let http2 = Connection::new();
        drop(http2.ask(Version::HTTP_2));
        http2.pass(10).heard();
        assert!(!http2.pass(30).is_overdue(&PATIENCE));
    }

    #[test]
    fn the_proxy_waits_for_a_caller_that_is_idle_or_sends_or_takes_nothing() {
        let connection = Connection::new();
        let waited = |seconds| {
            connection
                .pass(seconds)
                .kept_waiting()
                .map(|time| time.as_secs())
        };
        assert_eq!(waited(3), Some(3));
        let mut request = connection.ask(Version::HTTP_11);
        assert_eq!(waited(3), None);
        connection.caller.set_wanted(true);
        assert_eq!(waited(1), Some(1));
        connection.caller.set_wanted(false);
        assert_eq!(waited(2), None);
        request.set_untaken(true);
        assert_eq!(waited(4), Some(4));
        assert!(!connection.pass(50).is_overdue(&PATIENCE));
        assert!(connection.pass(6).is_overdue(&PATIENCE));
        request.set_untaken(false);
        assert_eq!(waited(1), None);
        drop(request);
        assert_eq!(waited(5), Some(5));
    }
}
