//! The lead in logging in: an entry in the sealed record, which other processes see and wait for. Renewed while the login
//! runs, and taken out however the login ends.

use std::pin::pin;

use futures_util::future::{Either, select};
use tokio::{runtime::Handle, time::sleep};

use crate::{
    guard::{Millis, millis},
    shared_cache::{
        breaker::Unavailable,
        record::{KeptToken, LEASE, Leader, TokenRecord, now},
        records::{Found, Records, WhileOpen},
    },
    token::IssuedToken,
};

pub(super) struct Leadership {
    records: Records,
    id: u64,
    /// The token that was there as the login began.
    before: Option<KeptToken>,
    record: Found<TokenRecord>,
    is_over: bool,
}

impl Leadership {
    /// Takes the lead, leaving `rest` of the record; `None` where another process wrote there first.
    pub(super) async fn take(
        records: &Records,
        mut record: Found<TokenRecord>,
        rest: TokenRecord,
    ) -> Result<Option<Self>, Unavailable> {
        let id = fastrand::u64(..);
        let before = rest.token.clone();
        let led = TokenRecord {
            leader: Some(Leader { id, until: until() }),
            ..rest
        };
        let is_written = records.swap(&mut record, led, WhileOpen::GiveUp).await?;
        Ok(is_written.then(|| Self {
            records: records.clone(),
            id,
            before,
            record,
            is_over: false,
        }))
    }

    /// Keeps the lead while `login` runs.
    pub(super) async fn while_renewed<T>(&mut self, login: impl Future<Output = T>) -> T {
        match select(pin!(login), pin!(self.renew())).await {
            Either::Left((result, _)) => result,
            Either::Right(((), login)) => login.await,
        }
    }

    /// Ends when the lead is lost: the login goes on, and what it would write over another's is not written.
    async fn renew(&mut self) {
        let id = self.id;
        loop {
            sleep(LEASE / 3).await;
            let renewed = |record: &TokenRecord| {
                record.is_led_by(id).then(|| TokenRecord {
                    leader: Some(Leader { id, until: until() }),
                    ..record.clone()
                })
            };
            let updated = self
                .records
                .update(&mut self.record, WhileOpen::AskAnyway, renewed)
                .await;
            if updated.is_ok() && !self.record.content.is_led_by(id) {
                return;
            }
        }
    }

    /// Writes the token and gives up the lead; but not over what another process wrote that came after.
    pub(super) async fn share(mut self, token: &IssuedToken) {
        let (id, before) = (self.id, self.before.clone());
        let token = KeptToken::new(token, now());
        let with_token = |record: &TokenRecord| {
            let is_the_latest = match (&record.leader, &record.token) {
                (Some(leader), _) => leader.id == id,
                (None, None) => true,
                (None, Some(there)) => before
                    .as_ref()
                    .is_some_and(|it| it.expose() == there.expose()),
            };
            is_the_latest.then(|| TokenRecord {
                token: Some(token.clone()),
                leader: None,
            })
        };
        let written = self
            .records
            .update(&mut self.record, WhileOpen::GiveUp, with_token)
            .await;
        self.is_over = written.is_ok();
    }
}

impl Drop for Leadership {
    /// The login gave nothing to share, or was broken off. Where this does not reach the cache, the lease ends by itself.
    fn drop(&mut self) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        if self.is_over {
            return;
        }
        let (records, mut record, id) = (self.records.clone(), self.record.clone(), self.id);
        runtime.spawn(async move {
            let without_leader = |record: &TokenRecord| {
                record.is_led_by(id).then(|| TokenRecord {
                    leader: None,
                    ..record.clone()
                })
            };
            // Nothing waits for this; an outage has its line in the log.
            let _ = records
                .update(&mut record, WhileOpen::AskAnyway, without_leader)
                .await;
        });
    }
}

fn until() -> Millis {
    now().saturating_add(millis(LEASE))
}
