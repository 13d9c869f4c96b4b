//! Gates: requests wait at them until a test lets them go.

use tokio::sync::watch;

/// Holds requests back until it is released or dropped. See [`crate::StandIn::hold_logins`] and
/// [`crate::StandIn::hold_services`], which show it at work.
#[derive(Debug)]
#[must_use = "the gate opens when it is dropped"]
pub struct Gate {
    held: watch::Sender<usize>,
}

impl Gate {
    pub(crate) fn close(held: &watch::Sender<usize>) -> Self {
        held.send_modify(|gates| *gates += 1);
        Self { held: held.clone() }
    }

    /// Lets all go that wait, and all that come later. Same as dropping the gate.
    pub fn release(self) {}
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.held
            .send_modify(|gates| *gates = gates.saturating_sub(1));
    }
}

/// Waits until no gate is closed.
pub(crate) async fn pass(held: &watch::Sender<usize>) {
    // An error means that the sender is gone, and with it the server.
    let _ = held.subscribe().wait_for(|gates| *gates == 0).await;
}
