//! What the callers met: right answers, and wrong ones, unless the upstream was dead meanwhile.

use std::{
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::sync::watch;

/// When a request began: between which deaths of the upstream.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Phase(u64);

impl Phase {
    fn has_upstream(self) -> bool {
        self.0.is_multiple_of(2)
    }
}

#[derive(Default)]
pub(crate) struct Judge {
    /// Odd while the upstream is dead.
    phase: AtomicU64,
    is_over: AtomicBool,
    right: watch::Sender<u64>,
    /// Not what was asked for, while the upstream was dead.
    excused: AtomicU64,
    /// Requests whose callers did not wait for the answer.
    given_up: AtomicU64,
    wrong: Mutex<Vec<String>>,
}

impl Judge {
    pub(crate) fn phase(&self) -> Phase {
        Phase(self.phase.load(Ordering::SeqCst))
    }

    pub(crate) fn upstream_dies(&self) {
        self.phase.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn upstream_is_back(&self) {
        self.phase.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn load_ends(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// What a request came to that began in `began`.
    pub(crate) fn hear(&self, began: Phase, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.right.send_modify(|right| *right += 1),
            Err(_) if !began.has_upstream() || self.phase() != began => {
                self.excused.fetch_add(1, Ordering::Relaxed);
            }
            Err(outcome) => self.wrong.lock().unwrap().push(outcome),
        }
    }

    pub(crate) fn given_up(&self) {
        self.given_up.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns once there were so many.
    pub(crate) async fn right_answers(&self, count: u64) {
        let mut right = self.right.subscribe();
        right.wait_for(|right| *right >= count).await.unwrap();
    }

    pub(crate) fn assert_nothing_wrong(&self) {
        let wrong = self.wrong.lock().unwrap();
        assert!(wrong.is_empty(), "{self:?}: {wrong:#?}");
    }
}

impl fmt::Debug for Judge {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let right = *self.right.borrow();
        let excused = self.excused.load(Ordering::Relaxed);
        let given_up = self.given_up.load(Ordering::Relaxed);
        write!(
            formatter,
            "{right} right answers, {excused} failures while the upstream was dead, {given_up} requests given up"
        )
    }
}
