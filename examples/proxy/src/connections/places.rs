//! How many connections there may be, in all and for one address, and which one is closed for the next.
//!
//! Each has a place, and so has each further request that is under way on one connection: at most two open files go with a
//! place, the caller's socket and one towards the upstream. A caller that waits for the proxy never loses its place. One
//! that keeps the proxy waiting does once another caller needs it, and when its time is up.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::Waker,
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, MissedTickBehavior},
};

use crate::connections::{Caller, Patience, seldom::Seldom};

/// Less than this is the way of networks, and no reason to lose a place.
const LEAST_WAIT: Duration = Duration::from_secs(5);
/// How often connections are looked at, and how exact their times are.
const SWEEP: Duration = Duration::from_secs(1);

/// Seconds since the proxy started, as of the last sweep: the time costs as much as all else that is noted of a
/// connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Clock(Arc<AtomicU64>);

impl Clock {
    pub(super) fn now(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub(super) fn since(&self, then: u64) -> Duration {
        Duration::from_secs(self.now().saturating_sub(then))
    }

    pub(super) fn set(&self, seconds: u64) {
        self.0.store(seconds, Relaxed);
    }
}

/// The places of one proxy.
#[derive(Debug)]
pub(crate) struct Places {
    clock: Clock,
    most: usize,
    most_per_address: usize,
    patience: Patience,
    held: Mutex<Held>,
    freed: Notify,
    is_stopping: AtomicBool,
    full: Seldom,
    crowded: Seldom,
}

#[derive(Debug, Default)]
struct Held {
    taken: usize,
    per_address: HashMap<IpAddr, usize>,
    connections: HashMap<u64, Connection>,
    next: u64,
}

#[derive(Debug)]
struct Connection {
    caller: Arc<Caller>,
    /// Wakes its task. None until that runs.
    task: Option<Waker>,
}

impl Connection {
    fn close(&self) {
        self.caller.close();
        self.wake();
    }

    fn wake(&self) {
        if let Some(task) = &self.task {
            task.wake_by_ref();
        }
    }
}

/// One address has all the places that it may have.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Crowded;

impl Places {
    pub(crate) fn new(most: usize, most_per_address: usize, patience: Patience) -> Arc<Self> {
        Arc::new(Self {
            clock: Clock::default(),
            most,
            most_per_address,
            patience,
            held: Mutex::default(),
            freed: Notify::new(),
            is_stopping: AtomicBool::new(false),
            full: Seldom::default(),
            crowded: Seldom::default(),
        })
    }

    /// Closes connections whose time is up, for ever.
    pub(crate) async fn sweep(self: Arc<Self>) {
        let started = Instant::now();
        let mut ticks = tokio::time::interval(SWEEP);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.clock.set(started.elapsed().as_secs());
            for connection in self.held().connections.values() {
                let is_idle = || connection.caller.is_idle();
                if connection.caller.is_overdue(&self.patience) || (self.is_stopping() && is_idle())
                {
                    connection.close();
                }
            }
        }
    }

    /// A place for `address`. If all are taken, it waits until there is one, and sees to it that there will be. Where the
    /// address does not `stand_for_many`, it may have no more than its share.
    pub(crate) async fn claim(
        self: &Arc<Self>,
        address: IpAddr,
        stands_for_many: bool,
    ) -> Result<Place, Crowded> {
        loop {
            let freed = self.freed.notified();
            {
                let mut held = self.held();
                let of_address = held.per_address.get(&address).copied().unwrap_or_default();
                if !stands_for_many && of_address >= self.most_per_address {
                    drop(held);
                    self.warn_of_crowd(address);
                    return Err(Crowded);
                }
                if held.taken < self.most {
                    held.taken += 1;
                    *held.per_address.entry(address).or_default() += 1;
                    return Ok(Place {
                        places: Arc::clone(self),
                        address,
                        connection: None,
                    });
                }
                held.close_one();
            }
            self.warn_of_full();
            tokio::select! {
                () = freed => {}
                // Another one may have waited long enough by then.
                () = tokio::time::sleep(SWEEP) => {}
            }
        }
    }

    /// From now on connections without a request are closed, those too that began one and do not end its headers.
    pub(super) fn stop(&self) {
        self.is_stopping.store(true, Relaxed);
        for connection in self.held().connections.values() {
            connection.wake();
        }
    }

    /// Whether connections are to take no further request.
    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Relaxed)
    }

    /// Returns when none is taken.
    pub(super) async fn all_left(&self) {
        loop {
            let freed = self.freed.notified();
            if self.taken() == 0 {
                return;
            }
            freed.await;
        }
    }

    /// How many are taken.
    pub(crate) fn taken(&self) -> usize {
        self.held().taken
    }

    pub(super) fn caller(&self, address: IpAddr) -> Arc<Caller> {
        Arc::new(Caller::new(address, self.clock.clone()))
    }

    fn warn_of_full(&self) {
        if let Some(left_out) = self.full.now() {
            tracing::warn!(
                places = self.most,
                left_out,
                "all places for connections are taken; if callers are to have more, raise --max-connections and the \
                 open-file limit"
            );
        }
    }

    fn warn_of_crowd(&self, address: IpAddr) {
        if let Some(left_out) = self.crowded.now() {
            tracing::warn!(
                %address,
                places = self.most_per_address,
                left_out,
                "an address has all the connections it may have; if it stands for many callers, name it with \
                 --trusted-proxy"
            );
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        match self.held.lock() {
            Ok(held) => held,
            // Nothing that could panic is called while it is held.
            Err(poisoned) => poisoned.into_inner(),
        }
    }
}

impl Held {
    /// Closes the connection that has kept the proxy waiting longest, if any has for long enough.
    fn close_one(&mut self) {
        let longest = self
            .connections
            .iter()
            .filter_map(|(id, connection)| Some((connection.caller.kept_waiting()?, *id)))
            .filter(|(waited, _)| *waited >= LEAST_WAIT)
            .max();
        // It leaves its place when its task is gone, and is not to be chosen again until then.
        if let Some(connection) = longest.and_then(|(_, id)| self.connections.remove(&id)) {
            connection.close();
        }
    }
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    address: IpAddr,
    connection: Option<u64>,
}

impl Place {
    /// From now on the place is that of a connection.
    pub(super) fn enter(&mut self, caller: Arc<Caller>) {
        let mut held = self.places.held();
        let id = held.next;
        held.next += 1;
        let connection = Connection { caller, task: None };
        held.connections.insert(id, connection);
        self.connection = Some(id);
    }

    /// The connection's task runs, and can be woken by this.
    pub(super) fn started(&self, task: &Waker) {
        let mut held = self.places.held();
        let connection = self.connection.and_then(|id| held.connections.get_mut(&id));
        if let Some(connection) = connection {
            connection.task = Some(task.clone());
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.places.held();
        held.taken -= 1;
        if let Some(id) = self.connection {
            held.connections.remove(&id);
        }
        if let Some(count) = held.per_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                held.per_address.remove(&self.address);
            }
        }
        drop(held);
        self.places.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Poll};

    use super::*;

    const PATIENCE: Patience = Patience {
        headers: Duration::from_secs(30),
        idle: Duration::from_secs(90),
        bodies: Duration::from_secs(60),
    };
    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    /// Places with a sweep under way; the time is the test's.
    fn places(most: usize, most_per_address: usize) -> Arc<Places> {
        let places = Places::new(most, most_per_address, PATIENCE);
        tokio::spawn(Arc::clone(&places).sweep());
        places
    }

    /// A connection that stays until it is closed.
    async fn connect(places: &Arc<Places>, address: IpAddr) -> Arc<Caller> {
        let mut place = places.claim(address, true).await.unwrap();
        let caller = places.caller(address);
        place.enter(Arc::clone(&caller));
        let served = Arc::clone(&caller);
        tokio::spawn(poll_fn(move |context| {
            place.started(context.waker());
            if served.is_closed() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }));
        caller
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_has_its_share_unless_it_stands_for_many() {
        let places = places(4, 2);
        let mut kept = Vec::new();
        for _ in 0..2 {
            kept.push(places.claim(ONE, false).await.unwrap());
        }
        assert_eq!(places.claim(ONE, false).await.unwrap_err(), Crowded);
        kept.push(places.claim(ONE, true).await.unwrap());
        kept.push(places.claim(OTHER, false).await.unwrap());
        kept.clear();
        assert_eq!(places.taken(), 0);
        assert!(places.held().per_address.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_places_are_taken_the_one_that_waited_longest_is_closed() {
        let places = places(2, 2);
        let silent = connect(&places, ONE).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let later = connect(&places, ONE).await;
        let started = Instant::now();
        let newcomer = places.claim(OTHER, false).await.unwrap();
        let waited = started.elapsed().as_secs();
        assert!((3..=5).contains(&waited), "{waited}");
        assert_eq!((silent.is_closed(), later.is_closed()), (true, false));
        drop(newcomer);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_waits_for_the_proxy_keeps_its_place() {
        let places = places(1, 1);
        let busy = connect(&places, ONE).await;
        let request = busy.begin();
        let newcomer = places.claim(OTHER, false);
        tokio::pin!(newcomer);
        let too_soon = tokio::time::timeout(Duration::from_secs(600), &mut newcomer).await;
        assert!(too_soon.is_err());
        drop(request);
        assert!(newcomer.await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_says_nothing_is_closed_in_time() {
        let places = places(4, 4);
        let silent = connect(&places, ONE).await;
        let busy = connect(&places, ONE).await;
        let _request = busy.begin();
        tokio::time::sleep(Duration::from_secs(32)).await;
        assert_eq!(places.taken(), 1);
        assert_eq!(Arc::strong_count(&silent), 1);
    }
}
