//! From an answer to what it leads to: nothing, nearly always; a login, or another sending.

use std::{
    sync::{Arc, atomic::Ordering},
    task::Context,
};

use http::{HeaderMap, Response, StatusCode, header::WWW_AUTHENTICATE};
use http_body::Body;
use tokio::time::Instant;

use super::state::{Exchange, NamedService, Stage, Unsigned};
use crate::{
    body::{Begun, Peek, ResponseBody},
    challenge::{Challenge, Noted, RequestFacts, Verdict},
    outcome::SkipReason,
    resend::Resend,
    session::Renewal,
    sign::{callers_token, scrub},
    token::{Freshness, Token, TokenReason},
    url::{has_service, root_of_path},
    waiting::Login,
};

/// What an answer leads to that is not handed up.
pub(crate) enum Reaction<S, B> {
    SendAgain(Box<Resend<S, B>>),
    LogIn(Login),
}

impl<S, B> Exchange<S, B> {
    /// Looks at an answer as far as it is there. Its head is scrubbed of the token by this.
    #[inline]
    pub(crate) fn look_at<R>(
        &self,
        response: &mut Response<ResponseBody<R>>,
        context: &mut Context<'_>,
    ) -> Begun
    where
        R: Body + Unpin,
    {
        let noted = Noted::of(response.headers());
        let facts = RequestFacts {
            head: self.request.is_head,
            token: self.outcome.signed,
        };
        let begun = Peek::begin(response, noted, facts, context);
        // After the look, which knows a sign-in page by where the redirect leads.
        if let Some(token) = &self.token {
            scrub::clean(response.headers_mut(), noted, token);
        }
        begun
    }

    /// What a verdict on an answer leads to; `None` where it is handed up.
    // Always, because nearly all answers are clean, and that is less than a call.
    #[inline(always)]
    pub(crate) fn judge<R>(
        &mut self,
        response: &Response<R>,
        verdict: Verdict,
    ) -> Option<Reaction<S, B>>
    where
        S: Clone,
    {
        match verdict {
            Verdict::Challenge(challenge) => self.challenged(challenge),
            Verdict::Clean => {
                self.answered(proves(response.status(), response.headers()));
                None
            }
            // Broken off under the look.
            Verdict::More => None,
        }
    }

    /// The answer is no challenge. `proves` says whether that proves the token.
    #[inline]
    fn answered(&mut self, proves: bool) {
        let services = &self.session.services;
        if self.stage == Stage::TriedUnsigned {
            if let Some(service) = self.service_key().filter(|_| proves) {
                services.is_open(service, Instant::now());
                self.outcome.skip_reason = Some(SkipReason::ServiceIsOpen);
            }
            return;
        }
        let Some(token) = self
            .token
            .as_ref()
            .filter(|_| proves && self.outcome.signed)
        else {
            return;
        };
        token.set_proven();
        if let Some(service) = self.service_key().filter(|_| services.remembers_any()) {
            services.forget(service);
        }
    }

    /// What to do about a challenge; `None` where it is handed up.
    fn challenged(&mut self, challenge: Challenge) -> Option<Reaction<S, B>>
    where
        S: Clone,
    {
        self.outcome.returned_challenge = Some(challenge);
        self.outcome.challenge.get_or_insert(challenge);
        self.session.store.events().challenged(challenge);
        // Not the token, but its place may be what the server does not know.
        let is_unread =
            self.is_moved() && challenge == Challenge::TokenRequired && !self.only_in_query;
        if is_unread {
            if let Some(token) = self.token.clone().filter(|_| self.pause()) {
                self.only_in_query = true;
                return self.send_again(token, self.stage);
            }
        }
        match self.stage {
            Stage::First => self.challenged_at_first(challenge),
            Stage::WithSharedToken => {
                let is_replayable = self.pause();
                self.log_in(challenge, is_replayable)
            }
            Stage::AfterLogin => self.challenged_after_login(challenge),
            Stage::TriedUnsigned => {
                if let Some(service) = self.service_key() {
                    let services = &self.session.services;
                    services.calls_tokens_invalid(service, Instant::now());
                }
                None
            }
        }
    }

    fn challenged_at_first(&mut self, challenge: Challenge) -> Option<Reaction<S, B>>
    where
        S: Clone,
    {
        let session = Arc::clone(&self.session);
        if let Some(reason @ (SkipReason::LoginRefused(_) | SkipReason::ServiceRefused)) =
            self.no_second_sending.take()
        {
            session.store.events().login_withheld(&reason);
            self.outcome.skip_reason = Some(reason);
            return None;
        }
        self.warn_of_root();
        let is_replayable = self.pause();
        if let Some(unsigned) = self.unsigned.take() {
            if let Some(service) = self
                .service_key()
                .filter(|_| unsigned == Unsigned::OpenService)
            {
                session.services.forget(service);
            }
            // The current token has not been tried yet.
            let current = session.store.current();
            if let Some(token) = current.filter(|token| token.freshness() != Freshness::PastEnd) {
                if !is_replayable {
                    self.outcome.skip_reason = Some(SkipReason::BodyNotReplayable);
                    return None;
                }
                self.was_signed_at_first = true;
                return self.send_again(token, Stage::First);
            }
        }
        self.log_in(challenge, is_replayable)
    }

    /// Gets a token newer than the one that was challenged.
    fn log_in(&mut self, challenge: Challenge, is_replayable: bool) -> Option<Reaction<S, B>>
    where
        S: Clone,
    {
        let session = Arc::clone(&self.session);
        let reason = match &self.token {
            None => TokenReason::Missing,
            Some(token) if challenge == Challenge::TokenInvalid => {
                token.set_rejected(true);
                TokenReason::Rejected
            }
            Some(_) => TokenReason::RequiredDespiteToken,
        };
        let renewal = session.store.renew(self.token.as_ref(), reason);
        if !is_replayable {
            // The login goes on for the requests to come. One that failed before the sending says more.
            self.outcome
                .skip_reason
                .get_or_insert(SkipReason::BodyNotReplayable);
            return None;
        }
        match renewal {
            Renewal::Token(token) => self.send_again(token, Stage::AfterLogin),
            Renewal::Login(login) => {
                Some(Reaction::LogIn(Login::new(login, session.store.events())))
            }
            Renewal::Skipped(reason) => {
                self.outcome.skip_reason = Some(reason);
                None
            }
        }
    }

    fn challenged_after_login(&mut self, challenge: Challenge) -> Option<Reaction<S, B>>
    where
        S: Clone,
    {
        // Another process's token may be as dead as the first. In a place that the server may not read, a token says nothing.
        let token = self.token.as_ref();
        let is_fresh = token.is_some_and(|token| !token.is_from_shared_cache());
        if !is_fresh || self.is_moved() {
            return None;
        }
        let service = self.service_key()?;
        if challenge == Challenge::TokenInvalid && self.may_try_unsigned() {
            if let Some(resend) = self.without_token() {
                return Some(Reaction::SendAgain(resend));
            }
        }
        let services = &self.session.services;
        if challenge == Challenge::TokenInvalid {
            services.calls_tokens_invalid(service, Instant::now());
        } else {
            services.refuses(service, Instant::now());
        }
        if let Some(service) = &self.service {
            let events = self.session.store.events();
            events.service_refused(&service.path, challenge);
        }
        None
    }

    /// An unsigned listing would be clean, and incomplete: only a service itself is asked without a token.
    fn may_try_unsigned(&self) -> bool {
        let path = self.kept.as_deref().map(|kept| kept.head.path());
        let below_root = path.and_then(|path| path.get(self.request.root..));
        self.was_signed_at_first
            && !self.session.signing.login_first
            && below_root.is_some_and(has_service)
    }

    /// Whether the token went in a header because the query would have been too long.
    fn is_moved(&self) -> bool {
        self.outcome.signed && self.placed != self.session.signing.placement
    }

    /// Warns once of a service that lies below another root than the site's: its token service is not where it is looked
    /// for.
    fn warn_of_root(&self) {
        let Some(kept) = &self.kept else {
            return;
        };
        let expected = root_of_path(kept.head.path());
        if expected.len() > self.request.root
            && !self.session.is_warned_of_root.swap(true, Ordering::Relaxed)
        {
            self.session.store.events().outside_root(expected);
        }
    }

    /// Holds the first sending still. False where there can be no other: then it goes on.
    fn pause(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.body.pause())
    }

    /// The login that was waited for gave a token.
    pub(crate) fn logged_in(&mut self, token: Arc<Token>) -> Option<Reaction<S, B>>
    where
        S: Clone,
    {
        self.send_again(token, Stage::AfterLogin)
    }

    /// The login that was waited for gave none.
    pub(crate) fn not_logged_in(&mut self, reason: SkipReason) {
        self.outcome.skip_reason = Some(reason);
    }

    fn send_again(&mut self, token: Arc<Token>, stage: Stage) -> Option<Reaction<S, B>>
    where
        S: Clone,
    {
        // One more sending may follow: with the token in the query, after a login, or without a token.
        let mut resend = self.resend(true)?;
        callers_token::remove_token_cookie(resend.request.headers_mut());
        self.stage = match (self.stage, stage) {
            (Stage::First, Stage::AfterLogin) if token.is_from_shared_cache() => {
                Stage::WithSharedToken
            }
            _ => stage,
        };
        self.sign(&mut resend.request, token);
        Some(Reaction::SendAgain(resend))
    }

    fn without_token(&mut self) -> Option<Box<Resend<S, B>>>
    where
        S: Clone,
    {
        let resend = self.resend(false)?;
        self.outcome.signed = false;
        self.stage = Stage::TriedUnsigned;
        Some(resend)
    }

    /// One more sending, not signed yet. `None` where the body is lost.
    fn resend(&mut self, may_follow: bool) -> Option<Box<Resend<S, B>>>
    where
        S: Clone,
    {
        let (resend, next) = self.kept.take()?.resend(may_follow);
        self.kept = next;
        let resend = resend?;
        let service = NamedService::of(resend.request.uri(), self.request.root);
        self.service = Some(Box::new(service));
        self.outcome.resent = true;
        self.outcome.returned_challenge = None;
        self.outcome.skip_reason = None;
        self.session.store.events().sent_again();
        Some(Box::new(resend))
    }
}

/// Whether an answer that is no challenge proves the token: a server error or a web tier's own login says nothing of it.
#[inline]
fn proves(status: StatusCode, headers: &HeaderMap) -> bool {
    !status.is_server_error()
        && (status != StatusCode::UNAUTHORIZED || !headers.contains_key(WWW_AUTHENTICATE))
}
