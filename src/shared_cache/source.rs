//! A source whose tokens are shared with other processes, around one that logs in.

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use crate::{
    credential::Fingerprint,
    error::TokenError,
    guard::Polling,
    metrics::{Lookup, shared_cache_asked},
    shared_cache::{
        breaker::Unavailable,
        history::CachedHistory,
        leadership::Leadership,
        record::{LEASE, Leader, TokenRecord, now},
        records::{Found, Records, WhileOpen},
        subject::{About, Subject},
    },
    token::{IssuedToken, Owner, SignOut, TokenReason, TokenRequest, TokenSource},
};

/// Two ends of tokens that are nearer than this may be the same.
const CLOCKS_DIFFER: Duration = Duration::from_secs(5);
/// How long another process's login is waited for where the request names no deadline.
const DEFAULT_PATIENCE: Duration = Duration::from_secs(25);

/// What [`SealedTokenCache::wrap`](crate::SealedTokenCache::wrap) makes: takes tokens from the shared cache, and logs in with the wrapped source, one process
/// at a time, where there is none.
#[derive(Clone)]
pub struct SharedSource<S> {
    records: Records,
    about: About,
    source: S,
    history: Arc<CachedHistory>,
}

/// What to do for the token that is asked for.
enum Step {
    /// Nothing more: here it is.
    Take(IssuedToken),
    /// Log in for all processes.
    Lead(Box<Leadership>),
    /// Log in without the cache.
    GoAlone,
    /// Nothing: another process has been logging in for so long.
    GiveUp(Duration),
}

enum Look {
    Token(IssuedToken),
    /// No token of use; and the record that is written to.
    None(Found<TokenRecord>),
}

/// The leader that was seen last, and since when it has stood unchanged on this machine's monotonic clock: no other clock
/// decides that a lease is over.
struct Watched {
    leader: Option<Leader>,
    since: Instant,
    /// Taking the lead has failed since, as it does when another process was faster.
    is_refused: bool,
}

impl Watched {
    fn see(&mut self, leader: Option<Leader>) {
        if leader.is_some() && leader != self.leader {
            *self = Self {
                leader,
                since: Instant::now(),
                is_refused: false,
            };
        }
    }
}

impl<S: TokenSource> SharedSource<S> {
    pub(super) fn new(records: Records, about: About, source: S) -> Self {
        Self {
            history: Arc::new(CachedHistory::new(records.clone())),
            records,
            about,
            source,
        }
    }

    fn subject(&self, owner: &Owner) -> Subject {
        let mut fingerprint = Fingerprint::empty();
        self.source.fingerprint(&mut fingerprint);
        Subject::tokens(&self.about, owner, &fingerprint)
    }

    /// Looks again and again until there is a token, or this process is the one to log in.
    async fn step(&self, request: &TokenRequest, subject: &Subject) -> Result<Step, Unavailable> {
        let started = Instant::now();
        let time = request.deadline().map_or(DEFAULT_PATIENCE, |deadline| {
            deadline.saturating_duration_since(started)
        });
        // A login that begins at the last moment is broken off before its answer.
        let latest_login = time / 3 * 2;
        let patience = time / 10 * 9;
        let lease = LEASE.min(time / 2);
        let mut watched = Watched {
            leader: None,
            since: started,
            is_refused: false,
        };
        let mut polling = Polling::new();
        loop {
            let mut record = match self.look(request, subject).await? {
                Look::Token(token) => return Ok(Step::Take(token)),
                Look::None(record) => record,
            };
            let rest = without_rejected(&record.content, request);
            let leader = record.content.leader;
            let leader = leader.filter(|leader| !leader.is_long_over(now()));
            watched.see(leader);
            let is_over = watched.since.elapsed() >= lease;
            if (leader.is_none() || is_over) && started.elapsed() < latest_login {
                let rest = rest.unwrap_or_else(|| record.content.clone());
                match Leadership::take(&self.records, record, rest).await? {
                    Some(leadership) => return Ok(Step::Lead(Box::new(leadership))),
                    // For a whole lease no other leader was seen, and still this process cannot be it.
                    None if is_over && watched.is_refused => return Ok(Step::GoAlone),
                    None => watched.is_refused = true,
                }
            } else if let Some(rest) = rest {
                self.records
                    .swap(&mut record, rest, WhileOpen::GiveUp)
                    .await?;
            }
            if started.elapsed() >= patience {
                return Ok(Step::GiveUp(started.elapsed()));
            }
            let until_over = lease.saturating_sub(watched.since.elapsed());
            sleep(polling.pause().min(until_over.max(Polling::FIRST))).await;
        }
    }

    async fn look(&self, request: &TokenRequest, subject: &Subject) -> Result<Look, Unavailable> {
        let while_open = WhileOpen::GiveUp;
        let (record, older) = self
            .records
            .find::<TokenRecord>(subject, while_open)
            .await?;
        if let Some(token) = fit(&record.content, request) {
            return Ok(Look::Token(token));
        }
        for mut found in older {
            if let Some(token) = fit(&found.content, request) {
                return Ok(Look::Token(token));
            }
            if let Some(rest) = without_rejected(&found.content, request) {
                self.records.swap(&mut found, rest, while_open).await?;
            }
        }
        Ok(Look::None(record))
    }

    async fn lead(
        &self,
        mut leadership: Leadership,
        request: TokenRequest,
        subject: &Subject,
    ) -> Result<IssuedToken, TokenError> {
        let login = self.source.token(request.clone());
        let token = leadership.while_renewed(login).await?;
        // A source that has but one token may give the dead one again; a credential may have become another account's.
        let is_for_others =
            !is_rejected(token.expose(), &request) && self.subject(request.owner()) == *subject;
        if is_for_others {
            leadership.share(&token).await;
        }
        Ok(token)
    }

    async fn remove_token(&self, owner: &Owner) -> Result<(), Unavailable> {
        let while_open = WhileOpen::AskAnyway;
        let subject = self.subject(owner);
        let (first, older) = self
            .records
            .find::<TokenRecord>(&subject, while_open)
            .await?;
        for mut found in older.into_iter().chain([first]) {
            let without_token = |record: &TokenRecord| {
                // Without a token it is written anew all the same: a login of this process, broken off a moment ago, may
                // have sent its token on the way, which then finds another record than it expects.
                let is_any = record.token.is_some() || record.leader.is_some();
                is_any.then(|| TokenRecord {
                    token: None,
                    leader: record.leader,
                })
            };
            self.records
                .update(&mut found, while_open, without_token)
                .await?;
        }
        Ok(())
    }
}

/// The token of `record` if it is of use for `request`.
fn fit(record: &TokenRecord, request: &TokenRequest) -> Option<IssuedToken> {
    let token = record.token.as_ref()?.issue(now())?;
    let Some(previous) = request.previous_token() else {
        return Some(token);
    };
    // One that ends sooner than the token it would replace is older: left over from before the cache was out of reach, and
    // mostly as dead.
    let is_older = match (token.lifetime(), previous.expires_in()) {
        (Some(left), Some(previous)) => left + CLOCKS_DIFFER < previous,
        _ => false,
    };
    (!is_older && token.expose() != previous.expose()).then_some(token)
}

/// Whether a server called the token of this text invalid, so that it is of use to no process.
fn is_rejected(token: &str, request: &TokenRequest) -> bool {
    request.reason() == TokenReason::Rejected
        && request
            .previous_token()
            .is_some_and(|previous| previous.expose() == token)
}

/// What is left of `record` without the token that a server called invalid; `None` where it does not hold that.
fn without_rejected(record: &TokenRecord, request: &TokenRequest) -> Option<TokenRecord> {
    let token = record.token.as_ref()?;
    is_rejected(token.expose(), request).then(|| TokenRecord {
        token: None,
        leader: record.leader,
    })
}

impl<S: TokenSource> TokenSource for SharedSource<S> {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        // A source that is wrapped by hand shares the guard's history as well.
        let request = request.heeding(self.history.clone());
        let subject = self.subject(request.owner());
        let step = self.step(&request, &subject).await;
        let lookup = match &step {
            Ok(Step::Take(_)) => Lookup::Hit,
            Ok(Step::Lead(_) | Step::GoAlone | Step::GiveUp(_)) => Lookup::Miss,
            Err(Unavailable) => Lookup::Error,
        };
        shared_cache_asked(request.owner(), lookup);
        match step {
            Ok(Step::Take(token)) => Ok(token),
            Ok(Step::Lead(leadership)) => self.lead(*leadership, request, &subject).await,
            Ok(Step::GoAlone) | Err(Unavailable) => self.source.token(request).await,
            Ok(Step::GiveUp(time)) => Err(TokenError::fault(format!(
                "another process has been logging in for {} seconds, and has shared no token; check that the token \
                 service answers",
                time.as_secs()
            ))),
        }
    }

    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        self.source.fingerprint(fingerprint);
    }

    async fn sign_out(&self, sign_out: SignOut) -> Result<(), TokenError> {
        let removed = self.remove_token(sign_out.owner()).await;
        self.source.sign_out(sign_out).await?;
        removed.map_err(|Unavailable| {
            TokenError::fault(
                "the token is forgotten here, but could not be removed from the shared cache: other processes may use it \
                 until its end; sign out again once the cache answers",
            )
        })
    }
}

impl<S> fmt::Debug for SharedSource<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedSource")
            .field("about", &self.about)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
