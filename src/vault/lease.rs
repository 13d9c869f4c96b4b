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
    record::{KeptRefusal, KeptToken, Record, now},
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
    /// What is written if nobody comes to know what the token service made of the credential.
    if_not_answered: Option<(TokenRequest, VaultRecord)>,
}

/// What a login leaves behind.
pub(super) enum Leave {
    Nothing,
    /// The token it gave, and the sealed record it is in.
    Token(KeptToken, VaultRecord),
    /// Goes beside whatever is there by then.
    Refusal(Subject, KeptRefusal),
    /// The sealed record that counts the login among those not answered.
    Unanswered(VaultRecord),
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

    /// Has `record` written if nobody comes to know what the token service made of the credential of `request`.
    pub(super) fn if_not_answered(&mut self, request: TokenRequest, record: VaultRecord) {
        self.if_not_answered = Some((request, record));
    }

    /// Gives the lock back, and writes, unless somebody took the lock meanwhile. Says whether nobody did.
    pub(super) async fn give_back(
        mut self,
        leave: Leave,
        time: Option<&VaultTime>,
    ) -> Result<bool, NotGivenBack> {
        self.heartbeat.abort();
        let given_back = if self.vault.is_in() {
            conclude(&self.vault, &self.name, &self.lock, &leave, time).await
        } else {
            Err(Unavailable)
        };
        self.is_given_back = true;
        given_back.map_err(|Unavailable| NotGivenBack {
            vault: self.vault.clone(),
            name: std::mem::take(&mut self.name),
            lock: self.lock.clone(),
            leave,
        })
    }
}

impl Drop for Held {
    /// The login was broken off. Nobody waits here for the vault to hear of it.
    fn drop(&mut self) {
        self.heartbeat.abort();
        if self.is_given_back || !self.vault.is_in() {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            let (vault, name, lock) = (
                self.vault.clone(),
                std::mem::take(&mut self.name),
                self.lock.clone(),
            );
            let not_answered = self.if_not_answered.take();
            let write = not_answered
                .filter(|(request, _)| request.is_unanswered())
                .map(|(_, record)| record);
            runtime.spawn(async move {
                // In an outage the lease ends by itself.
                let _ = vault.unlock(&name, &lock, write, None).await;
            });
        }
    }
}

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
                Leave::Refusal(..) | Leave::Unanswered(_) => REFUSAL_REMEMBERED,
            };
        tokio::spawn(async move {
            while !self.is_settled(&known).await && Instant::now() < until {
                sleep(LEFT_ALONE.mul_f64(1.0 + fastrand::f64())).await;
            }
        });
    }

    /// Whether there is nothing more to be said.
    async fn is_settled(&self, known: &Weak<KnownTokens>) -> bool {
        let Some(known) = known.upgrade() else {
            return true;
        };
        let token = match &self.leave {
            Leave::Token(token, _) => Some(token),
            _ => None,
        };
        if token.is_some_and(|token| known.is_dead(token.expose())) {
            return true;
        }
        if !self.vault.is_in() {
            return false;
        }
        let answer = self.try_again().await;
        if let (Ok(true), Some(token)) = (&answer, token) {
            known.remove_own(token.expose());
        }
        answer.is_ok()
    }

    async fn try_again(&self) -> Result<bool, Unavailable> {
        let (vault, name, lock) = (&self.vault, &self.name, &self.lock);
        if let Leave::Refusal(..) = self.leave {
            // What is written beside another's record asks for no lock by itself.
            let is_held = vault.extend(name, lock).await?;
            if !is_held && !vault.unlock(name, lock, None, None).await? {
                return Ok(false);
            }
        }
        conclude(vault, name, lock, &self.leave, None).await
    }
}

/// Writes, gives the lock back, and says whether nobody took it since.
async fn conclude(
    vault: &SealedVault,
    name: &str,
    lock: &VaultLock,
    leave: &Leave,
    time: Option<&VaultTime>,
) -> Result<bool, Unavailable> {
    let (subject, refusal) = match leave {
        Leave::Nothing => return vault.unlock(name, lock, None, time).await,
        Leave::Token(_, record) | Leave::Unanswered(record) => {
            return vault.unlock(name, lock, Some(record.clone()), time).await;
        }
        Leave::Refusal(subject, refusal) => (subject, refusal),
    };
    // Who holds no lock may take a dead token out, or sign out; hardly ever twice.
    for _ in 0..3 {
        let now = now();
        let Some(found) = vault.find_written_to(subject, time).await? else {
            let record = Record::default().refused(refusal.clone(), now);
            let record = vault.sealed(subject, &record, now);
            return vault.unlock(name, lock, record, time).await;
        };
        // The token there is may work until its end.
        let record = found.record.clone().refused(refusal.clone(), now);
        if vault.replace(&found, subject, &record, now, time).await? {
            break;
        }
    }
    vault.unlock(name, lock, None, time).await
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
