//! Who logs in next with one credential, and how many at once.

use std::{
    pin::pin,
    sync::{Arc, Mutex},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use crate::{lock::lock, patience::GIVEN_UP_AFTER};

/// As many log in at once as fit into these.
pub(super) const PLACES: u32 = 3;

/// Lets so many log in at once as the credential allows, in the order they came.
pub(super) struct Gate {
    /// Whoever is next.
    next: Places,
    logins: Places,
}

/// Places that are taken in turn.
struct Places {
    free: Arc<Semaphore>,
    /// When the last of those who took one will have given up.
    until: Mutex<Instant>,
}

/// What a login holds that was let in.
pub(super) struct LetIn {
    _login: OwnedSemaphorePermit,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            next: Places::new(1),
            logins: Places::new(PLACES),
        }
    }
}

impl Places {
    fn new(number: u32) -> Self {
        Self {
            free: Arc::new(Semaphore::new(number as usize)),
            until: Mutex::new(Instant::now()),
        }
    }

    /// So many of them, for somebody who gives up at `until`; `None` if those who have them should long have given up.
    async fn take(&self, number: u32, until: Instant) -> Option<OwnedSemaphorePermit> {
        if let Some(places) = self.try_take(number, until) {
            return Some(places);
        }
        let mut places = pin!(Arc::clone(&self.free).acquire_many_owned(number));
        loop {
            let given_up = *lock(&self.until) + GIVEN_UP_AFTER;
            match timeout_at(given_up, places.as_mut()).await {
                Ok(places) => {
                    let mut latest = lock(&self.until);
                    *latest = until.max(*latest);
                    // Closed by nobody.
                    return places.ok();
                }
                // Others may have taken them since.
                Err(_) if Instant::now() < *lock(&self.until) + GIVEN_UP_AFTER => {}
                Err(_) => return None,
            }
        }
    }

    /// In one step: who comes just then must not take this for the place of somebody who gave up long ago.
    fn try_take(&self, number: u32, until: Instant) -> Option<OwnedSemaphorePermit> {
        let mut latest = lock(&self.until);
        let places = Arc::clone(&self.free).try_acquire_many_owned(number);
        let places = places.ok()?;
        *latest = until.max(*latest);
        Some(places)
    }
}

impl Gate {
    /// Waits for a login's turn, made by somebody who gives up at `until`, and for as many of the [`PLACES`] as it takes by
    /// then. `None` if those let in should long have given up.
    pub(super) async fn enter(&self, until: Instant, takes: impl Fn() -> u32) -> Option<LetIn> {
        let _next = self.next.take(1, until).await?;
        loop {
            let number = takes();
            let mut login = self.logins.take(number, until).await?;
            // A login that has ended since may have shown that the credential works, or does not any more.
            let needed = takes();
            if needed <= number {
                drop(login.split((number - needed) as usize));
                return Some(LetIn { _login: login });
            }
        }
    }
}
