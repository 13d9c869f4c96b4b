//! A lock held while a login runs: kept alive by a heartbeat, given back however the login ends.

use tokio::{runtime::Handle, task::AbortHandle, time::sleep};

use super::{
    VaultLock, VaultRecord,
    sealed::{LEASE, SealedVault},
};
use crate::source::VaultTime;

pub(super) struct Held {
    vault: SealedVault,
    name: String,
    lock: VaultLock,
    heartbeat: AbortHandle,
    is_given_back: bool,
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
        }
    }

    /// Gives the lock back, and writes, unless somebody took the lock meanwhile. Says whether anything was written.
    pub(super) async fn give_back(
        mut self,
        write: Option<VaultRecord>,
        time: Option<&VaultTime>,
    ) -> bool {
        self.heartbeat.abort();
        let has_something = write.is_some();
        // In an outage the lease ends by itself.
        let is_last =
            self.vault.is_in() && self.vault.unlock(&self.name, &self.lock, write, time).await;
        self.is_given_back = true;
        has_something && is_last
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
            runtime.spawn(async move {
                vault.unlock(&name, &lock, None, None).await;
            });
        }
    }
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
