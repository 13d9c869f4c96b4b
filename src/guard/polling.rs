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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_half_a_second_and_spread_by_half_of_it_either_way() {
        for _ in 0..200 {
            let mut polling = Polling::new();
            for middle in [50, 100, 200, 400, 500, 500] {
                let pause = polling.pause();
                let middle = Duration::from_millis(middle);
                assert!(pause >= middle / 2, "{pause:?} of {middle:?}");
                assert!(pause <= middle * 3 / 2, "{pause:?} of {middle:?}");
            }
        }
    }
}
