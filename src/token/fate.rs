//! What has become of the credential of one login. It outlives the login: whoever breaks one off, or gives it up, finds
//! here whether the token service may have counted a failure.

use std::{
    fmt,
    sync::{Mutex, MutexGuard},
};

use crate::{credential::Fingerprint, error::TokenError, lock::lock};

#[derive(Default)]
pub(crate) struct Fate(Mutex<Course>);

#[derive(Default)]
struct Course {
    state: State,
    used: Option<Fingerprint>,
}

#[derive(Default)]
enum State {
    /// It has not gone out.
    #[default]
    KeptBack,
    /// It has, and nobody knows yet what the token service made of it.
    Sent,
    Answered,
    Refused(TokenError),
}

impl Fate {
    fn course(&self) -> MutexGuard<'_, Course> {
        lock(&self.0)
    }

    pub(crate) fn set_sent(&self) {
        self.course().state = State::Sent;
    }

    pub(crate) fn set_answered(&self) {
        self.course().state = State::Answered;
    }

    pub(crate) fn set_refused(&self, error: &TokenError) {
        self.course().state = State::Refused(error.clone());
    }

    /// Another credential is tried for the same request.
    pub(crate) fn begin_again(&self) {
        *self.course() = Course::default();
    }

    pub(crate) fn set_used(&self, fingerprint: Fingerprint) {
        self.course().used = Some(fingerprint);
    }

    pub(crate) fn is_unanswered(&self) -> bool {
        matches!(self.course().state, State::Sent)
    }

    pub(crate) fn refusal(&self) -> Option<TokenError> {
        match &self.course().state {
            State::Refused(error) => Some(error.clone()),
            _ => None,
        }
    }

    /// What `tell` makes of the credential that went out, where the source said which.
    pub(crate) fn used<T>(&self, tell: impl FnOnce(&Fingerprint) -> T) -> Option<T> {
        self.course().used.as_ref().map(tell)
    }

    /// The fingerprint of the credential that went out, as this process compares it, where the source said which.
    pub(crate) fn used_hash(&self) -> Option<u64> {
        self.used(Fingerprint::hashed).flatten()
    }
}

impl fmt::Debug for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.course().state {
            State::KeptBack => "KeptBack",
            State::Sent => "Sent",
            State::Answered => "Answered",
            State::Refused(_) => "Refused",
        })
    }
}
