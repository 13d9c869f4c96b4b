//! One login's leave to send a credential. However it ends, the guard learns what came of it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::runtime::Handle;

use super::{history::Verdict, key::LoginKey, local::Local, shared_history::SharedHistory};
use crate::error::TokenError;

/// The leave to send a credential once. [`TokenRequest::login_attempt`](crate::TokenRequest::login_attempt) gives it.
///
/// Say [`sent`](Self::sent) when the credential goes out, and then what came of it. Dropped after `sent` without that, as
/// when the login is broken off, the outcome is unknown, and counts as a failure.
#[must_use = "the attempt counts as under way until it says what came of it"]
pub struct LoginAttempt {
    local: Arc<Local>,
    key: Arc<LoginKey>,
    number: u64,
    /// For those who asked for the login.
    credential_sent: Arc<AtomicBool>,
    is_sent: bool,
    is_over: bool,
    /// The attempt is entered there as well.
    shared: Option<Arc<dyn SharedHistory>>,
}

impl LoginAttempt {
    pub(super) fn new(local: Arc<Local>, key: Arc<LoginKey>, number: u64) -> Self {
        Self {
            local,
            key,
            number,
            credential_sent: Arc::default(),
            is_sent: false,
            is_over: false,
            shared: None,
        }
    }

    pub(super) fn entered_in(mut self, shared: Arc<dyn SharedHistory>) -> Self {
        self.shared = Some(shared);
        self
    }

    pub(crate) fn reporting_to(mut self, credential_sent: Arc<AtomicBool>) -> Self {
        self.credential_sent = credential_sent;
        self
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The credential goes out now.
    pub fn sent(&mut self) {
        self.is_sent = true;
        self.credential_sent.store(true, Ordering::Relaxed);
    }

    /// The token service gave a token.
    pub fn succeeded(mut self) {
        self.end(Verdict::Succeeded);
    }

    /// The token service refused the credential, in the words of `error`.
    pub fn refused(mut self, error: &TokenError) {
        let refused = Verdict::Refused {
            message: error.to_string(),
        };
        if error.is_only_here() {
            // It is about this machine: others may try.
            self.end_shared(Verdict::None);
        }
        self.end(refused);
    }

    /// The token service said nothing of the credential, or did not get it: it has nothing to count. A page that is not
    /// there (404, 405), a limit (429), a server that is down (5xx) or that talks nonsense.
    pub fn no_verdict(mut self) {
        self.end(Verdict::None);
    }

    fn end(&mut self, verdict: Verdict) {
        self.is_over = true;
        self.local.end(&self.key, self.number, &verdict);
        self.end_shared(verdict);
    }

    fn end_shared(&mut self, verdict: Verdict) {
        let Some(shared) = self.shared.take() else {
            return;
        };
        // Without a runtime the attempt stays under way there, and counts as failed once its lease is over.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(shared.end(Arc::clone(&self.key), self.number, verdict));
        }
    }
}

impl Drop for LoginAttempt {
    fn drop(&mut self) {
        if !self.is_over {
            let verdict = if self.is_sent {
                Verdict::Unknown
            } else {
                Verdict::None
            };
            self.end(verdict);
        }
    }
}

impl fmt::Debug for LoginAttempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginAttempt")
            .field("key", &self.key)
            .field("is_sent", &self.is_sent)
            .finish_non_exhaustive()
    }
}
