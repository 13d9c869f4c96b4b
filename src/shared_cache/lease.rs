//! A lock held while a login runs: kept alive by a heartbeat, given back however the login ends.

use tokio::{runtime::Handle, task::AbortHandle, time::sleep};

use crate::{
    shared_cache::{
        SealedRecord, VaultLock,
        record::{KeptToken, Note, Record, now},
        sealed::{LEASE, SealedTokenCache, Unavailable},
        subject::Subject,
        untold::Untold,
    },
    token::{TokenRequest, VaultTime},
};

pub(super) struct Held {
    lock: Lock,
    heartbeat: AbortHandle,
    is_given_back: bool,
    /// A login that counts if nobody comes to know what the token service made of its credential.
    if_not_answered: Option<(TokenRequest, Subject)>,
}

/// A lock as the vault knows it, held still or lost.
#[derive(Clone)]
pub(super) struct Lock {
    pub(super) vault: SealedTokenCache,
    pub(super) name: String,
    pub(super) lock: VaultLock,
}

/// What a login leaves behind.
#[derive(Clone)]
pub(super) enum Leave {
    Nothing,
    /// The token it gave, and the sealed record it is in.
    Token(KeptToken, SealedRecord),
    /// Goes beside whatever is there by then.
    Note(Subject, Note),
}

impl Leave {
    /// Whether it is to be said whoever has the lock by now.
    pub(super) fn must_be_said(&self) -> bool {
        matches!(self, Self::Note(_, Note::Unanswered(..)))
    }
}

/// How a lock was given back.
pub(super) struct Concluded {
    /// Nobody took it since.
    pub(super) is_last: bool,
    /// What there was to write is written.
    pub(super) is_written: bool,
}

impl Held {
    /// Must be called on a tokio runtime, where the heartbeat runs.
    pub(super) fn new(lock: Lock) -> Self {
        Self {
            heartbeat: tokio::spawn(keep_alive(lock.clone())).abort_handle(),
            lock,
            is_given_back: false,
            if_not_answered: None,
        }
    }

    pub(super) fn lock(&self) -> Lock {
        self.lock.clone()
    }

    /// Counts the login for `request` if nobody comes to know what the token service made of its credential.
    pub(super) fn note_if_not_answered(&mut self, request: &TokenRequest, subject: &Subject) {
        self.if_not_answered = Some((request.clone(), subject.clone()));
    }

    /// Gives the lock back, and writes, unless somebody took the lock meanwhile.
    pub(super) async fn give_back(
        mut self,
        leave: Leave,
        time: Option<&VaultTime>,
    ) -> Result<Concluded, Untold> {
        self.heartbeat.abort();
        let concluded = self.lock.conclude(&leave, time).await;
        self.is_given_back = true;
        concluded.map_err(|Unavailable| Untold::new(self.lock.clone(), leave))
    }
}

impl Drop for Held {
    /// The login was broken off. Nobody waits here for the vault to hear of it.
    fn drop(&mut self) {
        self.heartbeat.abort();
        if self.is_given_back {
            return;
        }
        let not_answered = self
            .if_not_answered
            .take()
            .filter(|(request, _)| request.fate().is_unanswered());
        let lock = self.lock.clone();
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                let Some((_, subject)) = not_answered else {
                    // In an outage the lease ends by itself.
                    let _ = lock.conclude(&Leave::Nothing, None).await;
                    return;
                };
                let leave = Leave::Note(subject, Note::unanswered());
                Untold::new(lock, leave).say_until_written().await;
            });
        }
    }
}

impl Lock {
    /// Writes, and gives the lock back.
    pub(super) async fn conclude(
        &self,
        leave: &Leave,
        time: Option<&VaultTime>,
    ) -> Result<Concluded, Unavailable> {
        let Self { vault, name, lock } = self;
        if !vault.is_in() {
            return Err(Unavailable);
        }
        let written_with_lock = async |record| {
            let is_last = vault.unlock(name, lock, record, time).await?;
            Ok(Concluded {
                is_last,
                is_written: is_last,
            })
        };
        let (subject, note) = match leave {
            Leave::Nothing => return written_with_lock(None).await,
            Leave::Token(_, record) => return written_with_lock(Some(record.clone())).await,
            Leave::Note(subject, note) => (subject, note),
        };
        let mut is_written = false;
        // Who holds no lock may take a dead token out, or sign out; hardly ever twice.
        for _ in 0..3 {
            let now = now();
            let Some(found) = vault.find_written_to(subject, time).await? else {
                let record = Record::default().noted(note, now);
                return written_with_lock(vault.sealed(subject, &record, now)).await;
            };
            // The token there is may work until its end.
            let record = found.record.clone().noted(note, now);
            is_written = vault.replace(&found, subject, &record, now, time).await?;
            if is_written {
                break;
            }
        }
        let is_last = vault.unlock(name, lock, None, time).await?;
        Ok(Concluded {
            is_last,
            is_written,
        })
    }
}

/// Ends when the lock is lost: the login goes on, and what it would write is refused.
async fn keep_alive(Lock { vault, name, lock }: Lock) {
    loop {
        sleep(LEASE / 3).await;
        if let Ok(false) = vault.extend(&name, &lock).await {
            return;
        }
    }
}
