//! A vault in one process's memory that fails on demand.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test binary uses its own part of this module"
)]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{Instant, sleep};
use tower_arcgis_auth::{SealedRecord, SharedTokenCache, TokenCacheError, VaultLock};

/// Clones are the same vault.
#[derive(Clone, Default)]
pub struct MemoryVault(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    entries: HashMap<String, Entry>,
    fault: Option<Fault>,
    questions: usize,
}

#[derive(Default)]
struct Entry {
    record: Option<Bytes>,
    holder: Option<(String, Instant)>,
    fence: Option<String>,
}

#[derive(Clone, Copy)]
pub enum Fault {
    Fails,
    Hangs,
    /// Answers every question, this much later.
    Slow(Duration),
    /// Takes everything in, and gives back something else.
    Garbage,
    /// Locks are never given, nor taken from anybody.
    LockedForEver,
    /// Nothing can be written.
    Full,
    /// Whoever replaces a record comes too late.
    Overtaken,
}

impl MemoryVault {
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.0.lock().unwrap().fault = fault;
    }

    pub fn questions(&self) -> usize {
        self.0.lock().unwrap().questions
    }

    /// All names and records.
    pub fn records(&self) -> Vec<(String, Bytes)> {
        let state = self.0.lock().unwrap();
        let entries = state.entries.iter();
        entries
            .filter_map(|(name, entry)| Some((name.clone(), entry.record.clone()?)))
            .collect()
    }

    /// Changes every record.
    pub fn change(&self, mut change: impl FnMut(&str, &Bytes) -> Option<Bytes>) {
        let mut state = self.0.lock().unwrap();
        for (name, entry) in &mut state.entries {
            entry.record = entry
                .record
                .as_ref()
                .and_then(|record| change(name, record));
        }
    }

    /// As after a restart without a disk.
    pub fn forget_all(&self) {
        self.0.lock().unwrap().entries.clear();
    }

    /// Locks held just now.
    pub fn held(&self) -> usize {
        let state = self.0.lock().unwrap();
        let now = Instant::now();
        let entries = state.entries.values();
        entries
            .filter(|entry| entry.holder.as_ref().is_some_and(|(_, until)| now < *until))
            .count()
    }

    /// Every lease runs out at once.
    pub fn end_leases(&self) {
        for entry in self.0.lock().unwrap().entries.values_mut() {
            entry.holder = None;
        }
    }

    async fn with<T>(
        &self,
        name: &str,
        change: impl FnOnce(&mut Entry, Option<Fault>) -> T,
    ) -> Result<T, TokenCacheError> {
        let fault = {
            let mut state = self.0.lock().unwrap();
            state.questions += 1;
            state.fault
        };
        match fault {
            Some(Fault::Fails) => return Err(TokenCacheError::new("the vault fails, as told")),
            Some(Fault::Hangs) => std::future::pending::<()>().await,
            Some(Fault::Slow(time)) => sleep(time).await,
            _ => {}
        }
        let mut state = self.0.lock().unwrap();
        let entry = state.entries.entry(name.to_owned()).or_default();
        Ok(change(entry, fault))
    }
}

impl SharedTokenCache for MemoryVault {
    async fn read(&self, name: &str) -> Result<Option<Bytes>, TokenCacheError> {
        self.with(name, |entry, fault| match fault {
            Some(Fault::Garbage) => Some(Bytes::from_static(&[0x5a; 300])),
            _ => entry.record.clone(),
        })
        .await
    }

    async fn replace(
        &self,
        name: &str,
        seen: &[u8],
        with: Option<SealedRecord>,
    ) -> Result<bool, TokenCacheError> {
        self.with(name, |entry, fault| {
            let is_the_one =
                entry.record.as_deref() == Some(seen) && !matches!(fault, Some(Fault::Overtaken));
            if is_the_one {
                entry.record = with.map(|record| record.bytes().clone());
            }
            is_the_one
        })
        .await
    }

    async fn lock(
        &self,
        name: &str,
        lease: Duration,
    ) -> Result<Option<VaultLock>, TokenCacheError> {
        let taken = self.with(name, |entry, fault| {
            let now = Instant::now();
            match fault {
                Some(Fault::LockedForEver) => return Ok(None),
                Some(Fault::Full) => {
                    return Err(TokenCacheError::new("the vault is full, as told"));
                }
                _ => {}
            }
            if entry.holder.as_ref().is_some_and(|(_, until)| now < *until) {
                return Ok(None);
            }
            let lock = VaultLock::unique();
            entry.holder = Some((lock.holder().to_owned(), now + lease));
            entry.fence = Some(lock.holder().to_owned());
            Ok(Some(lock))
        });
        taken.await?
    }

    async fn extend(
        &self,
        name: &str,
        lock: &VaultLock,
        lease: Duration,
    ) -> Result<bool, TokenCacheError> {
        self.with(name, |entry, _| match &mut entry.holder {
            Some((holder, until)) if holder == lock.holder() => {
                *until = Instant::now() + lease;
                true
            }
            _ => false,
        })
        .await
    }

    async fn unlock(
        &self,
        name: &str,
        lock: &VaultLock,
        write: Option<SealedRecord>,
    ) -> Result<bool, TokenCacheError> {
        self.with(name, |entry, _| {
            entry.holder.take_if(|(holder, _)| holder == lock.holder());
            let is_last = entry
                .fence
                .as_deref()
                .is_none_or(|fence| fence == lock.holder());
            if let Some(record) = write.filter(|_| is_last) {
                entry.record = Some(record.bytes().clone());
            }
            is_last
        })
        .await
    }
}
