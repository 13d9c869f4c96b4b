//! Records in a shared cache: read, changed and written back, sealed.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::{try_join, try_join_all};
use tokio::time::sleep;

use crate::shared_cache::{
    DynSharedTokenCache, SealedRecord, TokenCacheError,
    breaker::{Breaker, Unavailable},
    keys::{Key, TokenCacheKeys},
    record::{Content, now},
    subject::Subject,
};

/// How often a change is tried while other processes write to the same record.
const MOST_TRIES: u32 = 8;
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// A cache with its keys and its circuit breaker.
#[derive(Clone)]
pub(super) struct Records {
    shared: Arc<Shared>,
    /// For each answer.
    pub(super) time_limit: Duration,
}

struct Shared {
    cache: Box<dyn DynSharedTokenCache>,
    keys: TokenCacheKeys,
    breaker: Breaker,
}

/// What to do while the circuit breaker is open.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum WhileOpen {
    /// A login would wait for the answer.
    GiveUp,
    /// No login waits for it, or a user wants to know whether it worked.
    AskAnyway,
}

/// What was found under the name that a key gives a subject.
#[derive(Clone)]
pub(super) struct Found<C> {
    key: Arc<Key>,
    subject: Subject,
    name: String,
    /// As it was read: only this is replaced. `None`: nothing was there.
    bytes: Option<Bytes>,
    pub(super) content: C,
}

impl<C> Found<C> {
    pub(super) fn key(&self) -> &Key {
        &self.key
    }
}

impl Records {
    pub(super) fn new(
        cache: Box<dyn DynSharedTokenCache>,
        keys: TokenCacheKeys,
        time_limit: Duration,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                cache,
                keys,
                breaker: Breaker::default(),
            }),
            time_limit,
        }
    }

    pub(super) fn keys(&self) -> &TokenCacheKeys {
        &self.shared.keys
    }

    /// What is kept about `subject`: under the name that the first key gives it, which is written to, and under those of
    /// the older keys.
    pub(super) async fn find<C: Content>(
        &self,
        subject: &Subject,
        while_open: WhileOpen,
    ) -> Result<(Found<C>, Vec<Found<C>>), Unavailable> {
        let get = async |key: &Arc<Key>| {
            let mut found = Found {
                key: Arc::clone(key),
                subject: subject.clone(),
                name: key.name(subject.bytes()),
                bytes: None,
                content: C::default(),
            };
            self.read(&mut found, while_open).await?;
            Ok(found)
        };
        let keys = &self.shared.keys;
        // All at once: several keys cost a login no more time than one.
        try_join(
            get(keys.first()),
            try_join_all(keys.older().iter().map(get)),
        )
        .await
    }

    async fn read<C: Content>(
        &self,
        found: &mut Found<C>,
        while_open: WhileOpen,
    ) -> Result<(), Unavailable> {
        let question = self.shared.cache.get(&found.name);
        found.bytes = self.ask(question, while_open).await?;
        let open = |bytes: &Bytes| found.key.open(bytes, found.subject.bytes());
        // What does not open was written by another program, or moved here: as good as none, and written over.
        let json = found.bytes.as_ref().and_then(open);
        found.content = json.map(|json| C::from_json(&json)).unwrap_or_default();
        Ok(())
    }

    /// Puts `content` in the place of what was found, unless another process wrote there since. Says whether it did.
    pub(super) async fn swap<C: Content>(
        &self,
        found: &mut Found<C>,
        content: C,
        while_open: WhileOpen,
    ) -> Result<bool, Unavailable> {
        let new = match content.keep_for(now()) {
            Some(keep_for) => {
                let json = content.to_json().ok_or(Unavailable)?;
                let sealed = found.key.seal(&json, found.subject.bytes());
                Some(SealedRecord::new(sealed.ok_or(Unavailable)?, keep_for))
            }
            None => None,
        };
        let bytes = new.as_ref().map(|record| record.bytes().clone());
        let question = self
            .shared
            .cache
            .compare_and_swap(&found.name, found.bytes.as_deref(), new);
        let is_written = self.ask(question, while_open).await?;
        if is_written {
            found.bytes = bytes;
            found.content = content;
        }
        Ok(is_written)
    }

    /// Writes what `change` makes of what was found, and where another process wrote there since, what it makes of that.
    /// Leaves it alone where `change` gives nothing.
    pub(super) async fn update<C: Content>(
        &self,
        found: &mut Found<C>,
        while_open: WhileOpen,
        mut change: impl FnMut(&C) -> Option<C>,
    ) -> Result<(), Unavailable> {
        for _ in 0..MOST_TRIES {
            let Some(content) = change(&found.content) else {
                return Ok(());
            };
            if self.swap(found, content, while_open).await? {
                return Ok(());
            }
            sleep(LONGEST_PAUSE.mul_f64(fastrand::f64())).await;
            self.read(found, while_open).await?;
        }
        Err(Unavailable)
    }

    async fn ask<T>(
        &self,
        question: impl Future<Output = Result<T, TokenCacheError>>,
        while_open: WhileOpen,
    ) -> Result<T, Unavailable> {
        let breaker = &self.shared.breaker;
        if while_open == WhileOpen::GiveUp && breaker.is_open() {
            return Err(Unavailable);
        }
        breaker.ask(self.time_limit, question).await
    }
}
