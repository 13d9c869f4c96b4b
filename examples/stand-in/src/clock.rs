//! The server's clock: monotonic time from tokio, wall time shifted by a skew on demand.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::runtime::Handle;
use tokio::time::Instant;

/// Wall time follows tokio's clock from the moment of the start, so that pausing and advancing it moves both.
#[derive(Debug)]
pub(crate) struct Clock {
    runtime: Handle,
    started: Instant,
    started_wall: SystemTime,
    skew_secs: AtomicI64,
}

impl Clock {
    pub(crate) fn start(runtime: Handle, skew_secs: i64) -> Self {
        Self {
            runtime,
            started: Instant::now(),
            started_wall: SystemTime::now(),
            skew_secs: AtomicI64::new(skew_secs),
        }
    }

    /// Now, by the clock of the runtime the server runs on, whichever thread asks.
    pub(crate) fn now(&self) -> Instant {
        let _entered = self.runtime.enter();
        Instant::now()
    }

    /// What the server's (skewed) wall clock shows at `instant`.
    pub(crate) fn wall(&self, instant: Instant) -> SystemTime {
        let true_time = self.started_wall + instant.saturating_duration_since(self.started);
        let skew = self.skew_secs.load(Ordering::Relaxed);
        let shift = Duration::from_secs(skew.unsigned_abs());
        let shown = if skew < 0 {
            true_time.checked_sub(shift)
        } else {
            true_time.checked_add(shift)
        };
        shown.unwrap_or(true_time).max(UNIX_EPOCH)
    }

    /// [`Clock::wall`] in milliseconds since the epoch, as token answers give it.
    pub(crate) fn wall_millis(&self, instant: Instant) -> u128 {
        self.wall(instant)
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis())
    }

    pub(crate) fn set_skew(&self, secs: i64) {
        self.skew_secs.store(secs, Ordering::Relaxed);
    }
}
