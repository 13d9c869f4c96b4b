//! How soon a shared cache is asked again while another process logs in.

use std::time::Duration;

const LONGEST: Duration = Duration::from_millis(500);

/// Pauses that double, spread so that many processes do not ask at once.
pub(crate) struct Polling(Duration);

impl Polling {
    pub(crate) const FIRST: Duration = Duration::from_millis(50);

    pub(crate) fn new() -> Self {
        Self(Self::FIRST)
    }

    /// The next pause.
    pub(crate) fn pause(&mut self) -> Duration {
        let pause = self.0.mul_f64(0.5 + fastrand::f64());
        self.0 = (self.0 * 2).min(LONGEST);
        pause
    }
}
