//! A shared cache in one process's memory that fails on demand. The unit tests of `src/shared_cache` use it as well.
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
use tower_arcgis_auth::{SealedRecord, SharedTokenCache, TokenCacheError};

/// Clones are the same cache.
#[derive(Clone, Default)]
pub struct MemoryCache(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    records: HashMap<String, Kept>,
    fault: Option<Fault>,
    questions: usize,
}

struct Kept {
    bytes: Bytes,
    until: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    Fails,
    Hangs,
    /// Answers every question, this much later.
    Slow(Duration),
    /// Takes everything in, and gives back something else.
    Nonsense,
    /// Nothing can be written, and the cache says so.
    Full,
    /// Reads as it should, and says of every change that another process came first.
    NeverSwaps,
    /// Keeps nothing: says that it did, and is always empty.
    Forgets,
    /// Does what it is told, and its answer to a change is lost.
    LosesAnswers,
}

impl MemoryCache {
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.0.lock().unwrap().fault = fault;
    }

    pub fn questions(&self) -> usize {
        self.0.lock().unwrap().questions
    }

    /// All names and records.
    pub fn records(&self) -> Vec<(String, Bytes)> {
        let mut state = self.0.lock().unwrap();
        state.remove_what_is_over();
        let records = state.records.iter();
        records
            .map(|(name, kept)| (name.clone(), kept.bytes.clone()))
            .collect()
    }

    /// Puts these records in the place of all.
    pub fn restore(&self, records: Vec<(String, Bytes)>) {
        let until = Instant::now() + Duration::from_secs(24 * 60 * 60);
        self.0.lock().unwrap().records = records
            .into_iter()
            .map(|(name, bytes)| (name, Kept { bytes, until }))
            .collect();
    }

    /// Changes every record, and keeps those for ever that are left.
    pub fn change(&self, mut change: impl FnMut(&str, &Bytes) -> Option<Bytes>) {
        let records = self.records().into_iter();
        let changed = records.filter_map(|(name, bytes)| {
            let bytes = change(&name, &bytes)?;
            Some((name, bytes))
        });
        self.restore(changed.collect());
    }

    /// As after a restart without a disk.
    pub fn forget_all(&self) {
        self.0.lock().unwrap().records.clear();
    }

    async fn asked(&self) -> Result<Option<Fault>, TokenCacheError> {
        let fault = {
            let mut state = self.0.lock().unwrap();
            state.questions += 1;
            state.fault
        };
        match fault {
            Some(Fault::Fails) => {
                return Err(TokenCacheError::new("the shared cache fails, as told"));
            }
            Some(Fault::Hangs) => std::future::pending::<()>().await,
            Some(Fault::Slow(time)) => sleep(time).await,
            _ => {}
        }
        Ok(fault)
    }
}

impl State {
    fn remove_what_is_over(&mut self) {
        let now = Instant::now();
        self.records.retain(|_, kept| now < kept.until);
    }
}

impl SharedTokenCache for MemoryCache {
    async fn get(&self, name: &str) -> Result<Option<Bytes>, TokenCacheError> {
        let fault = self.asked().await?;
        let mut state = self.0.lock().unwrap();
        state.remove_what_is_over();
        Ok(match fault {
            Some(Fault::Nonsense) => Some(Bytes::from_static(&[0x5a; 300])),
            _ => state.records.get(name).map(|kept| kept.bytes.clone()),
        })
    }

    async fn compare_and_swap(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        new: Option<SealedRecord>,
    ) -> Result<bool, TokenCacheError> {
        let fault = self.asked().await?;
        let mut state = self.0.lock().unwrap();
        state.remove_what_is_over();
        match fault {
            Some(Fault::Full) if new.is_some() => {
                return Err(TokenCacheError::new("the shared cache is full, as told"));
            }
            Some(Fault::NeverSwaps) => return Ok(false),
            Some(Fault::Nonsense | Fault::Forgets) => return Ok(true),
            _ => {}
        }
        let there = state.records.get(name).map(|kept| &kept.bytes[..]);
        if there != expected {
            return Ok(false);
        }
        match new {
            Some(record) => {
                let until = Instant::now() + record.keep_for();
                let bytes = record.bytes().clone();
                state.records.insert(name.to_owned(), Kept { bytes, until });
            }
            None => {
                state.records.remove(name);
            }
        }
        match fault {
            Some(Fault::LosesAnswers) => Err(TokenCacheError::new("the answer is lost, as told")),
            _ => Ok(true),
        }
    }
}
