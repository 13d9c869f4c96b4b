//! The guard's histories of logins, shared between processes: one sealed record for each user name.

use std::{sync::Arc, time::Duration};

use crate::{
    guard::{Boxed, Decision, History, Login, LoginKey, Millis, SharedHistory, Verdict, millis},
    shared_cache::{
        keys::Key,
        record::{Content, LEASE, now},
        records::{Records, WhileOpen},
        subject::{Subject, encoded},
    },
};

/// Failures count for 15 minutes; which credential works is worth knowing for longer.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// Of what a token service said.
const LONGEST_MESSAGE: usize = 1024;

impl Content for History {
    fn keep_for(&self, now: Millis) -> Option<Duration> {
        (!self.is_over(now)).then_some(KEPT)
    }
}

/// The histories in one shared cache, for one guard.
pub(crate) struct CachedHistory {
    records: Records,
    /// Makes the guard's numbers of attempts different from those of other guards and processes.
    prefix: u64,
}

impl CachedHistory {
    pub(super) fn new(records: Records) -> Self {
        Self {
            records,
            prefix: fastrand::u64(..),
        }
    }

    async fn decide(&self, key: &LoginKey, number: u64) -> Option<Decision> {
        let subject = Subject::history(key.fingerprint());
        let (mut first, older) = self
            .records
            .find::<History>(&subject, WhileOpen::GiveUp)
            .await
            .ok()?;
        let begin = |history: &mut History, login| {
            history.begin(login, self.prefix ^ number, now(), Some(millis(LEASE)))
        };
        // While keys change, others may write under the older one.
        for mut found in older {
            let login = login(found.key(), key);
            let decision = begin(&mut found.content, login);
            if !matches!(decision, Decision::Go) {
                return Some(decision);
            }
        }
        let login = login(first.key(), key);
        let mut decision = Decision::Wait;
        let entered = |history: &History| {
            let mut history = history.clone();
            decision = begin(&mut history, login);
            matches!(decision, Decision::Go).then_some(history)
        };
        self.records
            .update(&mut first, WhileOpen::GiveUp, entered)
            .await
            .ok()?;
        Some(decision)
    }

    async fn conclude(&self, key: &LoginKey, number: u64, verdict: Verdict) {
        let verdict = match verdict {
            Verdict::Refused { message } => Verdict::Refused {
                message: message.chars().take(LONGEST_MESSAGE).collect(),
            },
            other => other,
        };
        let subject = Subject::history(key.fingerprint());
        let concluded = |before: &History| {
            let mut history = before.clone();
            history.end(self.prefix ^ number, &verdict, now());
            (history != *before).then_some(history)
        };
        let while_open = WhileOpen::AskAnyway;
        if let Ok((mut found, _)) = self.records.find::<History>(&subject, while_open).await {
            // Where the cache is out, the attempt counts as failed once its lease is over.
            let _ = self.records.update(&mut found, while_open, concluded).await;
        }
    }
}

impl SharedHistory for CachedHistory {
    fn begin<'a>(&'a self, key: &'a LoginKey, number: u64) -> Boxed<'a, Option<Decision>> {
        Box::pin(self.decide(key, number))
    }

    fn end(
        self: Arc<Self>,
        key: Arc<LoginKey>,
        number: u64,
        verdict: Verdict,
    ) -> Boxed<'static, ()> {
        Box::pin(async move { self.conclude(&key, number, verdict).await })
    }
}

/// The login as all processes with this `sealing` key know it: the origin, and of the credential too little to find it by
/// trying, should a record ever be opened.
fn login(sealing: &Key, key: &LoginKey) -> Login {
    let (account, secret) = key.fingerprint().parts();
    let credential = sealing.digest(&encoded(&[b"credential", account, secret]));
    Login {
        service: sealing.digest(&encoded(&[b"service", key.service().as_bytes()])),
        credential: credential & u64::from(u32::MAX),
    }
}

#[cfg(test)]
mod tests;
