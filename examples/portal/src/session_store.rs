//! Where sessions are kept: in memory, so many at most, and each only until it expires.
//!
//! `tower_sessions::MemoryStore` never forgets one. Whoever asks for the login page gets a session, so anyone could fill
//! the memory of such a store.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use moka::{Expiry, sync::Cache};
use tower_sessions::{
    SessionStore,
    cookie::time::OffsetDateTime,
    session::{Id, Record},
    session_store::Result,
};

/// About 50 MB of sessions. When there are more, those that are used least make room.
const MOST: u64 = 100_000;

/// A bounded store of sessions in memory. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct BoundedStore(Cache<Id, Record>);

impl BoundedStore {
    pub(crate) fn new() -> Self {
        let cache = Cache::builder().max_capacity(MOST).expire_after(AsRecorded);
        Self(cache.build())
    }
}

#[async_trait]
impl SessionStore for BoundedStore {
    /// An id that is taken, which 128 random bits never are, would give one person's session to another.
    async fn create(&self, record: &mut Record) -> Result<()> {
        while self.0.contains_key(&record.id) {
            record.id = Id::default();
        }
        self.save(record).await
    }

    async fn save(&self, record: &Record) -> Result<()> {
        self.0.insert(record.id, record.clone());
        Ok(())
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        Ok(self.0.get(id))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        self.0.invalidate(id);
        Ok(())
    }
}

/// Sessions expire when their records say so.
#[derive(Debug)]
struct AsRecorded;

impl AsRecorded {
    fn time_left(record: &Record) -> Duration {
        let left = record.expiry_date - OffsetDateTime::now_utc();
        left.try_into().unwrap_or(Duration::ZERO)
    }
}

impl Expiry<Id, Record> for AsRecorded {
    fn expire_after_create(&self, _: &Id, record: &Record, _: Instant) -> Option<Duration> {
        Some(Self::time_left(record))
    }

    fn expire_after_update(
        &self,
        _: &Id,
        record: &Record,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(Self::time_left(record))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(expires_in: i64) -> Record {
        Record {
            id: Id::default(),
            data: Default::default(),
            expiry_date: OffsetDateTime::now_utc()
                + tower_sessions::cookie::time::Duration::seconds(expires_in),
        }
    }

    #[tokio::test]
    async fn a_session_is_kept_until_it_is_deleted_or_expires() {
        let store = BoundedStore::new();
        let (mut kept, mut over) = (record(60), record(-1));
        store.create(&mut kept).await.unwrap();
        store.create(&mut over).await.unwrap();
        assert_eq!(store.load(&kept.id).await.unwrap(), Some(kept.clone()));
        assert_eq!(store.load(&over.id).await.unwrap(), None);
        store.delete(&kept.id).await.unwrap();
        assert_eq!(store.load(&kept.id).await.unwrap(), None);
    }

    #[tokio::test]
    async fn two_sessions_never_get_the_same_id() {
        let store = BoundedStore::new();
        let mut first = record(60);
        store.create(&mut first).await.unwrap();
        let mut second = first.clone();
        store.create(&mut second).await.unwrap();
        assert_ne!(first.id, second.id);
    }
}
