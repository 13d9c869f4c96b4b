//! What a login leaves behind that the vault did not hear of: said again, from a task of its own.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use crate::{
    session::REFUSAL_REMEMBERED,
    shared_cache::{
        known::KnownTokens,
        lease::{Leave, Lock},
        record::Note,
        sealed::{LEFT_ALONE, Unavailable},
    },
};

pub(super) struct Untold {
    lock: Lock,
    leave: Leave,
}

impl Untold {
    pub(super) fn new(lock: Lock, leave: Leave) -> Self {
        Self { lock, leave }
    }

    /// Says the same until it is answered, or of no use any more. The lock's lease may have ended long before: whoever took
    /// it since has the last word on tokens and refusals.
    pub(super) fn repeat(self, known: &Arc<KnownTokens>) {
        let keep_for = match &self.leave {
            Leave::Nothing => Duration::ZERO,
            Leave::Note(_, Note::Unanswered(..)) => {
                tokio::spawn(self.say_until_written());
                return;
            }
            Leave::Note(_, Note::Refusal(_)) => REFUSAL_REMEMBERED,
            Leave::Token(token, record) => {
                known.add_own(token.expose());
                record.keep_for()
            }
        };
        let until = Instant::now() + keep_for;
        // Gone with the source it was for.
        let known = Arc::downgrade(known);
        tokio::spawn(async move {
            while !self.is_settled(&known).await && Instant::now() < until {
                pause().await;
            }
        });
    }

    /// Says it until it is written, as long as it counts: with a lock taken anew where others have had it since.
    pub(super) async fn say_until_written(self) {
        let Leave::Note(subject, _) = &self.leave else {
            return;
        };
        let concluded = self.lock.conclude(&self.leave, None).await;
        if concluded.is_ok_and(|concluded| concluded.is_written) {
            return;
        }
        let vault = &self.lock.vault;
        let until = Instant::now() + REFUSAL_REMEMBERED;
        while Instant::now() < until {
            pause().await;
            if !vault.is_in() {
                continue;
            }
            let Ok(Some(held)) = vault.lock(subject, None).await else {
                continue;
            };
            let given_back = held.give_back(self.leave.clone(), None).await;
            if given_back.is_ok_and(|concluded| concluded.is_written) {
                return;
            }
        }
    }

    /// Whether there is nothing more to be said.
    async fn is_settled(&self, known: &Weak<KnownTokens>) -> bool {
        let Leave::Token(token, _) = &self.leave else {
            // Whatever becomes of the source: it is about the account.
            return self.try_again().await.is_ok();
        };
        let Some(known) = known.upgrade() else {
            return true;
        };
        if known.is_dead(token.expose()) {
            return true;
        }
        let is_last = self.try_again().await;
        if let Ok(true) = is_last {
            known.remove_own(token.expose());
        }
        is_last.is_ok()
    }

    async fn try_again(&self) -> Result<bool, Unavailable> {
        let Lock { vault, name, lock } = &self.lock;
        if !vault.is_in() {
            return Err(Unavailable);
        }
        if let Leave::Note(..) = self.leave {
            // What is written beside another's record asks for no lock by itself.
            let is_held = vault.extend(name, lock).await?;
            if !is_held && !vault.unlock(name, lock, None, None).await? {
                return Ok(false);
            }
        }
        let concluded = self.lock.conclude(&self.leave, None).await?;
        Ok(concluded.is_last)
    }
}

async fn pause() {
    sleep(LEFT_ALONE.mul_f64(1.0 + fastrand::f64())).await;
}
