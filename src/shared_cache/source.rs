//! A source whose tokens and refusals are shared with other processes, around one that logs in.

use std::{
    fmt,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use crate::{
    credential::Fingerprint,
    error::TokenError,
    login::{MOST_UNANSWERED, too_many_unanswered},
    shared_cache::{
        SealedTokenCache,
        known::KnownTokens,
        lease::{Held, Leave},
        record::{self, KeptRefusal, KeptToken, Note, Record},
        sealed::{LEFT_ALONE, Unavailable},
        subject::{About, Subject},
        untold::Untold,
    },
    token::{IssuedToken, Owner, SignOut, TokenReason, TokenRequest, TokenSource, VaultTime},
};

/// How soon it is looked again whether another process has logged in; grows.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// How long another's login is waited for where no limit is known.
const PATIENCE: Duration = Duration::from_secs(25);

/// What [`SealedTokenCache::wrap`] makes: takes tokens from the vault, and logs in with the wrapped source, one process at a
/// time, where there is none.
#[derive(Clone)]
pub struct SharedSource<S> {
    vault: SealedTokenCache,
    about: About,
    source: S,
    known: Arc<KnownTokens>,
    /// Logins that are not answered are counted here: a site's own credential has a turn below, where that is done.
    counts: bool,
}

/// What the vault says to somebody who wants a token.
enum Step {
    /// There it is, or the reason why there will be none.
    Answer(Result<IssuedToken, TokenError>),
    /// Log in, and write; nobody else does meanwhile.
    LogIn(Box<Held>, Record, Subject),
    /// Log in without the vault.
    Alone,
}

/// What was kept.
enum Look {
    Answer(Result<IssuedToken, TokenError>),
    /// Nothing of use; and what there is under the name that is written to.
    Nothing(Record),
}

impl<S: TokenSource> SharedSource<S> {
    /// Around a source of the user's own, or one whose logins take turns.
    pub(crate) fn new(vault: SealedTokenCache, about: About, source: S) -> Self {
        Self {
            vault,
            about,
            source,
            known: Arc::default(),
            counts: true,
        }
    }

    /// Around a source below which logins take turns.
    pub(crate) fn above_turns(vault: SealedTokenCache, about: About, source: S) -> Self {
        Self {
            counts: false,
            ..Self::new(vault, about, source)
        }
    }

    /// Turns are for credentials: the tokens got in them may be bound to different things.
    fn keeps_tokens(&self) -> bool {
        !matches!(self.about, About::Turn { .. })
    }

    fn subject(&self, owner: &Owner) -> Subject {
        Subject::new(
            &self.about,
            owner,
            &crate::token::fingerprint_of(&self.source),
        )
    }

    async fn step(&self, request: &TokenRequest) -> Result<Step, Unavailable> {
        let started = Instant::now();
        let mut subject = self.subject(request.owner());
        let suspects = self.suspects(request, &subject).await?;
        let time_left = request.deadline().map_or(PATIENCE, |deadline| {
            deadline.saturating_duration_since(started)
        });
        // Whoever gets the lock at the last moment is broken off at once, and counts as not answered.
        let (latest_login, patience) = (time_left / 3 * 2, time_left / 10 * 9);
        let mut pause = FIRST_PAUSE;
        let mut time = Some(request.vault_time());
        loop {
            if let Look::Answer(answer) = self.look(request, &subject, &suspects, time).await? {
                return Ok(Step::Answer(answer));
            }
            let held = if started.elapsed() < latest_login {
                self.vault.lock(&subject, time).await?
            } else {
                None
            };
            // Whoever waits long may find another credential than before.
            let before = std::mem::replace(&mut subject, self.subject(request.owner()));
            if let Some(held) = held {
                if before.bytes() != subject.bytes() {
                    self.give_back(held, time).await;
                    continue;
                }
                // Somebody may have come and gone between looking and locking.
                return Ok(match self.look(request, &subject, &suspects, time).await? {
                    Look::Answer(answer) => {
                        self.give_back(held, time).await;
                        Step::Answer(answer)
                    }
                    Look::Nothing(record) => Step::LogIn(Box::new(held), record, subject),
                });
            }
            if started.elapsed() >= patience {
                return Ok(Step::Answer(Err(TokenError::fault(format!(
                    "another process has been logging in for {} seconds, and has shared no token; check that the \
                     token service answers",
                    started.elapsed().as_secs()
                )))));
            }
            // From here on it is another's login that takes time, and not the vault.
            time = None;
            sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// What the vault holds while a token that only this process had is dead. Whatever killed that may have killed this
    /// too: what comes into the vault from now on is to be trusted, and not what was there.
    async fn suspects(
        &self,
        request: &TokenRequest,
        subject: &Subject,
    ) -> Result<Vec<KeptToken>, Unavailable> {
        let dead = request
            .previous_token()
            .filter(|_| request.reason() == TokenReason::Rejected);
        if !dead.is_some_and(|dead| self.known.is_own(dead.expose())) {
            return Ok(Vec::new());
        }
        let found = self.vault.find(subject, Some(request.vault_time())).await?;
        Ok(found
            .into_iter()
            .filter_map(|found| found.record.token)
            .collect())
    }

    async fn look(
        &self,
        request: &TokenRequest,
        subject: &Subject,
        suspects: &[KeptToken],
        time: Option<&VaultTime>,
    ) -> Result<Look, Unavailable> {
        let now = record::now();
        let mut kept = Record::default();
        let mut unanswered = 0;
        for mut found in self.vault.find(subject, time).await? {
            if let Some(token) = found.record.token.as_ref().filter(|_| self.keeps_tokens()) {
                if self.known.is_dead(token.expose()) {
                    // Others must not be handed it either.
                    let rest = found.record.clone().without_token();
                    self.vault
                        .replace(&found, subject, &rest, now, time)
                        .await?;
                    found.record = rest;
                } else {
                    let text = token.expose();
                    let is_fit = request
                        .previous_token()
                        .is_none_or(|dead| dead.expose() != text)
                        && suspects.iter().all(|suspect| suspect.expose() != text);
                    if let Some(issued) = token.issue(now).filter(|_| is_fit) {
                        return Ok(Look::Answer(Ok(issued)));
                    }
                }
            }
            if let Some(error) = found.record.refusal(found.digest(subject), now) {
                return Ok(Look::Answer(Err(error)));
            }
            unanswered += found.record.unanswered_lately(now);
            if unanswered >= MOST_UNANSWERED {
                return Ok(Look::Answer(Err(too_many_unanswered())));
            }
            if found.is_written_to {
                kept = found.record;
            }
        }
        Ok(Look::Nothing(kept))
    }

    async fn log_in(
        &self,
        request: TokenRequest,
        subject: Subject,
        mut held: Held,
        kept: Record,
    ) -> Result<IssuedToken, TokenError> {
        let time = request.vault_time().clone();
        if self.counts {
            held.note_if_not_answered(&request, &subject);
        }
        let result = self.got(request.clone()).await;
        if result.is_ok() && !self.keeps_tokens() && !kept.is_all_answered() {
            self.note_answered(&subject, &time).await;
        }
        let token = match &result {
            // A source that has but one token may give it again.
            Ok(token) if self.keeps_tokens() && !self.known.is_dead(token.expose()) => Some(token),
            Ok(_) => None,
            Err(error) => {
                let leave = match self.note(&request, &subject, error) {
                    Some(note) => Leave::Note(subject, note),
                    // A fault is this process's own: the next may get through.
                    None => Leave::Nothing,
                };
                self.leave_behind(held, leave, time).await;
                return result;
            }
        };
        let leave = token.map_or(Leave::Nothing, |token| {
            let token = KeptToken::new(token, record::now());
            self.vault.granted(token, kept.answered(), &subject)
        });
        match (held.give_back(leave, Some(&time)).await, token) {
            // Somebody who took the lock since may have got none.
            (Ok(concluded), Some(token)) if !concluded.is_last => {
                self.share_later(token, &subject);
            }
            (Ok(_), _) => {}
            (Err(untold), _) => untold.repeat(&self.known),
        }
        result
    }

    /// What others are told of a login that gave no token.
    fn note(&self, request: &TokenRequest, subject: &Subject, error: &TokenError) -> Option<Note> {
        if error.is_refused_to_all() {
            // Of a credential that they can tell is theirs.
            let digest = self.digest_used(request, subject)?;
            return Some(Note::Refusal(KeptRefusal::new(
                error,
                digest,
                record::now(),
            )));
        }
        (self.counts && request.fate().is_unanswered()).then(Note::unanswered)
    }

    /// What the credential is recognised by that went out; `None` where nobody knows which of two it was.
    fn digest_used(&self, request: &TokenRequest, before: &Subject) -> Option<u32> {
        let owner = request.owner();
        let subject = |used: &Fingerprint| Subject::new(&self.about, owner, used);
        let used = request.fate().used(subject);
        if let (Some(used), false) = (&used, self.keeps_tokens()) {
            return self.vault.digest(used);
        }
        let digest = self.vault.digest(before)?;
        // A user's own source, made of several, tells more than what one of them used.
        let is_another = used.is_some_and(|used| self.vault.digest(&used) != Some(digest));
        if is_another && !self.counts {
            return None;
        }
        (self.vault.digest(&self.subject(owner)) == Some(digest)).then_some(digest)
    }

    /// Gives the lock back with what there is to say, whatever becomes of whoever waits for it: what is not said is tried
    /// again.
    async fn leave_behind(&self, held: Held, leave: Leave, time: VaultTime) {
        let (known, lock) = (Arc::clone(&self.known), held.lock());
        let giving_back = tokio::spawn(async move {
            match held.give_back(leave.clone(), Some(&time)).await {
                // Others have the lock by now, and a login of theirs says nothing of this one.
                Ok(concluded) if !concluded.is_written && leave.must_be_said() => {
                    Untold::new(lock, leave).repeat(&known);
                }
                Ok(_) => {}
                Err(untold) => untold.repeat(&known),
            }
        });
        // It fails where the runtime ends, and everything with it.
        let _ = giving_back.await;
    }

    /// A login was answered with a token, so that those that were not answered have not failed.
    async fn note_answered(&self, subject: &Subject, time: &VaultTime) {
        let (now, time) = (record::now(), Some(time));
        // What is not taken out now ends by itself in a quarter of an hour.
        if let Ok(Some(found)) = self.vault.find_written_to(subject, time).await {
            let record = found.record.clone().answered();
            let _ = self
                .vault
                .replace(&found, subject, &record, now, time)
                .await;
        }
    }

    /// Gives the lock back after nothing was done with it.
    async fn give_back(&self, held: Held, time: Option<&VaultTime>) {
        if let Err(untold) = held.give_back(Leave::Nothing, time).await {
            untold.repeat(&self.known);
        }
    }

    async fn log_in_alone(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        // Taken before the login: a change while it runs counts as a change.
        let subject = self.subject(request.owner());
        let token = self.got(request).await?;
        self.share_later(&token, &subject);
        Ok(token)
    }

    /// Logs in. Whatever was wrong with the token before, it has been replaced: from the vault it is of no use any more.
    async fn got(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        let token = request.concluded(self.source.token(request.clone()).await)?;
        if let Some(dead) = request
            .previous_token()
            .filter(|dead| dead.expose() != token.expose())
        {
            self.known.add_dead(dead.expose());
        }
        Ok(token)
    }

    /// The vault does not know of `token`: it is told once it can be, for whoever has none then.
    fn share_later(&self, token: &IssuedToken, subject: &Subject) {
        if !self.keeps_tokens() || self.known.is_dead(token.expose()) {
            return;
        }
        self.known.add_own(token.expose());
        let later = Later {
            vault: self.vault.clone(),
            subject: subject.clone(),
            token: KeptToken::new(token, record::now()),
            known: Arc::downgrade(&self.known),
        };
        tokio::spawn(later.share());
    }
}

/// A token got without the vault, to be shared through it once it answers.
struct Later {
    vault: SealedTokenCache,
    subject: Subject,
    token: KeptToken,
    /// Gone with the source it was for.
    known: Weak<KnownTokens>,
}

impl Later {
    async fn share(self) {
        loop {
            sleep(LEFT_ALONE.mul_f64(1.0 + fastrand::f64())).await;
            let Some(known) = self.known.upgrade() else {
                return;
            };
            let is_worth_it =
                !known.is_dead(self.token.expose()) && self.token.issue(record::now()).is_some();
            if !is_worth_it {
                return;
            }
            if self.vault.is_in() && self.try_to_share(&known).await.is_ok() {
                return;
            }
        }
    }

    async fn try_to_share(&self, known: &Arc<KnownTokens>) -> Result<(), Unavailable> {
        let Some(held) = self.vault.lock(&self.subject, None).await? else {
            // Somebody logs in: there will be a token.
            return Ok(());
        };
        let now = record::now();
        let found = self.vault.find(&self.subject, None).await?;
        let has_one = found.iter().any(|found| {
            let token = found.record.token.as_ref();
            token.is_some_and(|token| !known.is_dead(token.expose()) && token.issue(now).is_some())
        });
        let leave = if has_one || known.is_dead(self.token.expose()) {
            Leave::Nothing
        } else {
            let kept = found.into_iter().find(|found| found.is_written_to);
            let kept = kept.map(|found| found.record).unwrap_or_default();
            self.vault.granted(self.token.clone(), kept, &self.subject)
        };
        let is_written = matches!(leave, Leave::Token(..));
        match held.give_back(leave, None).await {
            Ok(concluded) if is_written && concluded.is_last => {
                known.remove_own(self.token.expose());
            }
            Ok(_) => {}
            Err(untold) => untold.repeat(known),
        }
        // Somebody may have signed out meanwhile, whom the vault had nothing of then.
        if is_written && known.is_dead(self.token.expose()) {
            self.vault.remove_token(&self.subject).await?;
        }
        Ok(())
    }
}

impl<S: TokenSource> TokenSource for SharedSource<S> {
    async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
        // A token that nears its end, or lacks a right, is not dead yet.
        if let Some(dead) = request
            .previous_token()
            .filter(|_| request.reason() == TokenReason::Rejected)
        {
            self.known.add_dead(dead.expose());
        }
        if !self.vault.is_in() {
            return self.log_in_alone(request).await;
        }
        match self.step(&request).await.unwrap_or(Step::Alone) {
            Step::Answer(answer) => answer,
            Step::LogIn(held, kept, subject) => self.log_in(request, subject, *held, kept).await,
            Step::Alone => self.log_in_alone(request).await,
        }
    }

    fn fingerprint(&self, fingerprint: &mut Fingerprint) {
        self.source.fingerprint(fingerprint);
    }

    async fn sign_out(&self, sign_out: SignOut) -> Result<(), TokenError> {
        let removed = if self.keeps_tokens() {
            if let Some(token) = sign_out.token() {
                self.known.add_dead(token.expose());
            }
            let subject = self.subject(sign_out.owner());
            self.vault.remove_token(&subject).await
        } else {
            Ok(())
        };
        self.source.sign_out(sign_out).await?;
        removed.map_err(|Unavailable| {
            TokenError::fault(
                "the token is forgotten here, but the vault could not be told that somebody signed out: other \
                 processes may use the token until its end; sign out again once the vault answers",
            )
        })
    }
}

impl<S> fmt::Debug for SharedSource<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedSource")
            .field("vault", &self.vault)
            .field("about", &self.about)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::{
        shared_cache::{
            TokenCacheKeys,
            memory::{Fault, MemoryVault},
        },
        token::token_source_fn,
    };

    fn sealed(vault: &MemoryVault) -> SealedTokenCache {
        SealedTokenCache::new(
            vault.clone(),
            TokenCacheKeys::try_new("0a".repeat(32)).unwrap(),
        )
    }

    fn owner() -> Owner {
        Owner::site("https://gis.test/arcgis".into(), Some("ada".into()))
    }

    fn missing() -> TokenRequest {
        TokenRequest::new(
            owner(),
            TokenReason::Missing,
            None,
            crate::guard::LockoutGuard::new(),
        )
    }

    fn counting(logins: &Arc<AtomicUsize>) -> impl TokenSource + use<> {
        let logins = Arc::clone(logins);
        token_source_fn(move |_| {
            let login = logins.fetch_add(1, Ordering::SeqCst);
            async move { IssuedToken::try_new(format!("secret-{login}")) }
        })
    }

    #[tokio::test(start_paused = true)]
    async fn who_signs_out_is_forgotten_by_all() {
        let (vault, logins) = (MemoryVault::default(), Arc::default());
        let one = sealed(&vault).wrap(counting(&logins));
        let other = sealed(&vault).wrap(counting(&logins));
        assert_eq!(one.token(missing()).await.unwrap().expose(), "secret-0");
        assert_eq!(other.token(missing()).await.unwrap().expose(), "secret-0");
        one.sign_out(SignOut::new(owner(), None)).await.unwrap();
        assert_eq!(vault.records(), []);
        assert_eq!(other.token(missing()).await.unwrap().expose(), "secret-1");
    }

    #[tokio::test(start_paused = true)]
    async fn a_sign_out_that_the_vault_did_not_hear_of_says_so() {
        for fault in [Fault::Hangs, Fault::Overtaken] {
            let (vault, logins) = (MemoryVault::default(), Arc::default());
            let source = sealed(&vault).wrap(counting(&logins));
            source.token(missing()).await.unwrap();
            vault.set_fault(Some(fault));
            let error = source.sign_out(SignOut::new(owner(), None)).await;
            assert!(error.unwrap_err().to_string().contains("until its end"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn callers_share_nothing() {
        let (vault, logins) = (MemoryVault::default(), Arc::default());
        let source = sealed(&vault).wrap(counting(&logins));
        for (identity, text) in [
            (Some("ada"), "secret-0"),
            (Some("grace"), "secret-1"),
            (Some(""), "secret-2"),
            (None, "secret-3"),
            (Some("ada"), "secret-0"),
        ] {
            let owner = Owner::site(owner().site, identity.map(Into::into));
            let request = TokenRequest::new(
                owner,
                TokenReason::Missing,
                None,
                crate::guard::LockoutGuard::new(),
            );
            assert_eq!(source.token(request).await.unwrap().expose(), text);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_login_that_is_answered_with_a_token_makes_good_those_that_were_not() {
        let hangs = Arc::new(AtomicUsize::new(0));
        let left = Arc::clone(&hangs);
        let login = token_source_fn(move |request: TokenRequest| {
            request.sending_credential();
            let does_hang = left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                    left.checked_sub(1)
                })
                .is_ok();
            async move {
                if does_hang {
                    std::future::pending::<()>().await;
                }
                IssuedToken::try_new("secret")
            }
        });
        let about = About::Turn {
            service: "https://gis.test/arcgis/tokens".to_owned(),
        };
        let source = SharedSource::new(sealed(&MemoryVault::default()), about, login);
        let log_in = async || {
            let login = source.token(missing());
            let ended = tokio::time::timeout(Duration::from_secs(60), login).await;
            // Who gives the lock back does so in a task of its own.
            sleep(Duration::from_secs(1)).await;
            ended
        };
        for _ in 0..3 {
            hangs.store(3, Ordering::SeqCst);
            for _ in 0..3 {
                assert!(log_in().await.is_err());
            }
            log_in().await.unwrap().unwrap();
        }
        hangs.store(4, Ordering::SeqCst);
        for _ in 0..4 {
            assert!(log_in().await.is_err());
        }
        let error = log_in().await.unwrap().unwrap_err();
        assert!(error.to_string().contains("unanswered"), "{error}");
    }
}
