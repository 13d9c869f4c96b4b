//! A lock held while a login runs: kept alive by a heartbeat, given back however the login ends.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    task::AbortHandle,
    time::{Instant, sleep},
};

use super::{
    VaultLock, VaultRecord,
    known::KnownTokens,
    record::{KeptToken, Note, Record, now},
    sealed::{LEASE, LEFT_ALONE, SealedVault, Unavailable},
    subject::Subject,
};
use crate::{
    source::{TokenRequest, VaultTime},
    store::REFUSAL_REMEMBERED,
};

pub(super) struct Held {
    vault: SealedVault,
    name: String,
    lock: VaultLock,
    heartbeat: AbortHandle,
    is_given_back: bool,
    /// A login that counts if nobody comes to know what the token service made of its credential.
    if_not_answered: Option<(TokenRequest, Subject)>,
}

/// What a login leaves behind.
#[derive(Clone)]
pub(super) enum Leave {
    Nothing,
    /// The token it gave, and the sealed record it is in.
    Token(KeptToken, VaultRecord),
    /// Goes beside whatever is there by then.
    Note(Subject, Note),
}

impl Held {
    /// Must be called on a tokio runtime, where the heartbeat runs.
    pub(super) fn new(vault: SealedVault, name: String, lock: VaultLock) -> Self {
        let heartbeat = tokio::spawn(keep_alive(vault.clone(), name.clone(), lock.clone()));
        Self {
            heartbeat: heartbeat.abort_handle(),
            vault,
            name,
            lock,
            is_given_back: false,
            if_not_answered: None,
        }
    }

    /// Counts the login for `request` if nobody comes to know what the token service made of its credential.
    pub(super) fn note_if_not_answered(&mut self, request: &TokenRequest, subject: &Subject) {
        self.if_not_answered = Some((request.clone(), subject.clone()));
    }

    /// Gives the lock back, and writes, unless somebody took the lock meanwhile. Says whether nobody did.
    pub(super) async fn give_back(
        mut self,
        leave: Leave,
        time: Option<&VaultTime>,
    ) -> Result<bool, NotGivenBack> {
        let Ok(concluded) = self.conclude(&leave, time).await else {
            return Err(NotGivenBack {
                vault: self.vault.clone(),
                name: std::mem::take(&mut self.name),
                lock: self.lock.clone(),
                leave,
            });
        };
        if matches!(leave, Leave::Note(_, Note::Unanswered(..))) && !concluded.is_written {
            // Others have the lock by now.
            tokio::spawn(self.broken_off(leave).say_later());
        }
        Ok(concluded.is_last)
    }

    async fn conclude(
        &mut self,
        leave: &Leave,
        time: Option<&VaultTime>,
    ) -> Result<Concluded, Unavailable> {
        self.heartbeat.abort();
        let concluded = if self.vault.is_in() {
            conclude(&self.vault, &self.name, &self.lock, leave, time).await
        } else {
            Err(Unavailable)
        };
        self.is_given_back = true;
        concluded
    }
}

impl Held {
    fn broken_off(&self, leave: Leave) -> BrokenOff {
        BrokenOff {
            vault: self.vault.clone(),
            name: self.name.clone(),
            lock: self.lock.clone(),
            leave,
        }
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
        let leave = not_answered.map_or(Leave::Nothing, |(_, subject)| {
            Leave::Note(subject, Note::unanswered())
        });
        let broken_off = self.broken_off(leave);
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(broken_off.conclude());
        }
    }
}

/// A login that was broken off with the lock in its hand.
struct BrokenOff {
    vault: SealedVault,
    name: String,
    lock: VaultLock,
    leave: Leave,
}

impl BrokenOff {
    async fn conclude(self) {
        if self.vault.is_in() {
            let concluded = conclude(&self.vault, &self.name, &self.lock, &self.leave, None).await;
            if concluded.is_ok_and(|concluded| concluded.is_written) {
                return;
            }
        }
        self.say_later().await;
    }

    /// In an outage the lease ends by itself; what counts is said all the same, by who comes after others too.
    async fn say_later(self) {
        let Leave::Note(subject, _) = &self.leave else {
            return;
        };
        for _ in 0..MOST_TRIES {
            sleep(LEFT_ALONE.mul_f64(1.0 + fastrand::f64())).await;
            if !self.vault.is_in() {
                continue;
            }
            if let Ok(Some(mut held)) = self.vault.lock(subject, None).await {
                let concluded = held.conclude(&self.leave, None).await;
                if concluded.is_ok_and(|concluded| concluded.is_written) {
                    return;
                }
            }
        }
    }
}

/// A login more has ended by then, whoever has the lock.
const MOST_TRIES: u32 = 10;

/// A lock that the vault did not hear of being given back, with what there was to write.
pub(super) struct NotGivenBack {
    vault: SealedVault,
    name: String,
    lock: VaultLock,
    leave: Leave,
}

impl NotGivenBack {
    /// Says the same until it is answered, or of no use any more, from a task of its own. The lock's lease may have ended
    /// long before: whoever took it since has the last word.
    pub(super) fn repeat(self, known: &Arc<KnownTokens>) {
        if let Leave::Token(token, _) = &self.leave {
            known.add_own(token.expose());
        }
        // Gone with the source it was for.
        let known = Arc::downgrade(known);
        let until = Instant::now()
            + match &self.leave {
                Leave::Nothing => Duration::ZERO,
                Leave::Token(_, record) => record.keep_for(),
                Leave::Note(..) => REFUSAL_REMEMBERED,
            };
        tokio::spawn(async move {
            while !self.is_settled(&known).await && Instant::now() < until {
                sleep(LEFT_ALONE.mul_f64(1.0 + fastrand::f64())).await;
            }
        });
    }

    /// Whether there is nothing more to be said.
    async fn is_settled(&self, known: &Weak<KnownTokens>) -> bool {
        let Leave::Token(token, _) = &self.leave else {
            // Whatever becomes of the source: it is about the account.
            return self.vault.is_in() && self.try_again().await.is_ok();
        };
        let Some(known) = known.upgrade() else {
            return true;
        };
        if known.is_dead(token.expose()) {
            return true;
        }
        if !self.vault.is_in() {
            return false;
        }
        let answer = self.try_again().await;
        if let Ok(true) = answer {
            known.remove_own(token.expose());
        }
        answer.is_ok()
    }

    async fn try_again(&self) -> Result<bool, Unavailable> {
        let (vault, name, lock) = (&self.vault, &self.name, &self.lock);
        if let Leave::Note(..) = self.leave {
            // What is written beside another's record asks for no lock by itself.
            let is_held = vault.extend(name, lock).await?;
            if !is_held && !vault.unlock(name, lock, None, None).await? {
                return Ok(false);
            }
        }
        let concluded = conclude(vault, name, lock, &self.leave, None).await?;
        Ok(concluded.is_last)
    }
}

/// How a lock was given back.
struct Concluded {
    /// Nobody took it since.
    is_last: bool,
    /// What there was to write is written.
    is_written: bool,
}

/// Writes, and gives the lock back.
async fn conclude(
    vault: &SealedVault,
    name: &str,
    lock: &VaultLock,
    leave: &Leave,
    time: Option<&VaultTime>,
) -> Result<Concluded, Unavailable> {
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

/// Ends when the lock is lost: the login goes on, and what it would write is refused.
async fn keep_alive(vault: SealedVault, name: String, lock: VaultLock) {
    loop {
        sleep(LEASE / 3).await;
        if let Ok(false) = vault.extend(&name, &lock).await {
            return;
        }
    }
}
