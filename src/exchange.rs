//! One request's decisions: what it is signed with, what is kept of it, and what a challenge leads to. The future only
//! carries them out.

use std::{
    mem,
    sync::{Arc, atomic::Ordering},
    task::Context,
};

use http::{HeaderMap, Request, Response, StatusCode, Uri, header::WWW_AUTHENTICATE};
use http_body::Body;
use tokio::time::Instant;
use tower_service::Service;

use crate::{
    body::{Begun, BodyLength, KeptBody, Peek, ReplayBody, ResponseBody},
    challenge::{Challenge, Noted, RequestFacts, Verdict},
    outcome::{AuthOutcome, SkipReason},
    resend::{Kept, Resend},
    session::{Renewal, Session, Standing},
    sign::{QueryToken, TokenPlacement, cache_control, callers_token, scrub},
    token::{Freshness, Token, TokenReason},
    url::{ServiceKey, has_service, root_of_path, service_key},
    waiting::Login,
};

/// What a request carries through all its states.
pub(crate) struct Exchange<S, B> {
    pub(crate) session: Arc<Session>,
    outcome: AuthOutcome,
    request: RequestNotes,
    /// The request's service, named only when that may matter.
    service: Option<Box<NamedService>>,
    stage: Stage,
    /// Why the first sending is not signed though there is a token.
    unsigned: Option<Unsigned>,
    /// The first signed sending had a token of before the request.
    was_signed_at_first: bool,
    /// Where the last token went.
    placed: TokenPlacement,
    /// The server does not read the header that a long URL's token went in.
    only_in_query: bool,
    /// Why a challenge could not be acted on, where that is known beforehand: then no copy is kept.
    no_second_sending: Option<SkipReason>,
    /// What the last sending was signed with; before the first, what it is signed with if no login gives better.
    token: Option<Arc<Token>>,
    /// Boxed: moving it along with the future costs more than the allocation.
    kept: Option<Box<Kept<S, B>>>,
}

/// What is noted of a request when it comes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestNotes {
    /// How long the site's root is in the URI's path.
    pub(crate) root: usize,
    pub(crate) is_head: bool,
    /// What the query has of the caller's tokens, before it is signed.
    pub(crate) query_token: QueryToken,
}

/// A request's service.
struct NamedService {
    /// What the memory of refused services calls it.
    key: ServiceKey,
    /// The request's path, for the log.
    path: Box<str>,
}

impl NamedService {
    fn of(uri: &Uri, root: usize) -> Self {
        Self {
            key: service_key(uri, root),
            path: uri.path().chars().take(200).collect(),
        }
    }
}

/// A first sending under way.
pub(crate) struct SignedSending<S, B> {
    pub(crate) token: Arc<Token>,
    pub(crate) placed: TokenPlacement,
    pub(crate) kept: Option<Box<Kept<S, B>>>,
}

/// Where an exchange stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// No login has been made for it.
    First,
    /// Sent again with a token of another process's login, which may have died since: a login of its own may follow.
    WithSharedToken,
    /// Sent again with the token of a login.
    AfterLogin,
    /// Sent again without a token, because the service called a fresh one invalid.
    TriedUnsigned,
}

/// Why a request goes unsigned though there is a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsigned {
    /// A browser carries an `agstoken` cookie along. A challenge to it says nothing of the site's token.
    TokenCookie,
    /// The service is open, and refuses tokens.
    OpenService,
}

/// How a request starts.
pub(crate) enum Beginning {
    /// At once, signed with the token if there is one.
    Send(Option<Arc<Token>>),
    /// After a login.
    LogIn(Login),
}

/// What an answer leads to that is not handed up.
pub(crate) enum Reaction<S, B> {
    SendAgain(Box<Resend<S, B>>),
    LogIn(Login),
}

impl<S, B> Exchange<S, B> {
    pub(crate) fn new(
        session: Arc<Session>,
        request: RequestNotes,
        unsigned: Option<Unsigned>,
    ) -> Self {
        Self {
            session,
            outcome: AuthOutcome::default(),
            request,
            service: None,
            stage: Stage::First,
            unsigned,
            was_signed_at_first: false,
            placed: TokenPlacement::default(),
            only_in_query: false,
            no_second_sending: None,
            token: None,
            kept: None,
        }
    }

    /// The exchange of a request that was sent with a token about which there was nothing to decide.
    #[inline]
    pub(crate) fn signed(
        session: Arc<Session>,
        request: RequestNotes,
        sent: SignedSending<S, B>,
    ) -> Self {
        let is_kept = sent.kept.is_some();
        Self {
            session,
            outcome: AuthOutcome {
                signed: true,
                ..AuthOutcome::default()
            },
            request,
            service: None,
            stage: Stage::First,
            unsigned: None,
            was_signed_at_first: is_kept,
            placed: sent.placed,
            only_in_query: false,
            no_second_sending: (!is_kept).then_some(SkipReason::BodyNotReplayable),
            token: Some(sent.token),
            kept: sent.kept,
        }
    }

    /// Decides what is kept and what is waited for before anything is sent.
    pub(crate) fn before_sending(&mut self, uri: &Uri, length: BodyLength) -> Beginning {
        let Session {
            store,
            services,
            signing,
            ..
        } = &*self.session;
        if services.remembers_any() {
            let service = NamedService::of(uri, self.request.root);
            let standing = services.standing(service.key, Instant::now());
            self.service = Some(Box::new(service));
            match standing {
                Some(Standing::Refuses) => {
                    self.no_second_sending = Some(SkipReason::ServiceRefused)
                }
                Some(Standing::Open) => self.unsigned = Some(Unsigned::OpenService),
                None => {}
            }
        }
        let token = store.current();
        // Sent unsigned, a request can be sent again with the token there is.
        let needs_login = token.is_none() || self.unsigned.is_none();
        if let Some(error) = store.refused_login().filter(|_| needs_login) {
            self.no_second_sending = Some(SkipReason::LoginRefused(error));
        }
        let is_kept = length.is_within(self.session.settings.replay_limit);
        if self.no_second_sending.is_none() && !is_kept {
            self.no_second_sending = Some(SkipReason::BodyNotReplayable);
        }
        if let Some(unsigned) = self.unsigned {
            if unsigned == Unsigned::OpenService {
                self.outcome.skip_reason = Some(SkipReason::ServiceIsOpen);
            }
            return Beginning::Send(None);
        }
        // A challenge would cost such a body: what is known to be missing or dead is got first.
        let is_precious = !is_kept || !length.is_known();
        let renewal = match &token {
            None if is_precious || signing.login_first => store.renew(None, TokenReason::Missing),
            None => return Beginning::Send(None),
            Some(current) => match current.freshness() {
                Freshness::PastEnd => store.renew(Some(current), TokenReason::Expired),
                _ if is_precious && current.is_rejected() => {
                    store.renew(Some(current), TokenReason::Rejected)
                }
                Freshness::NearEnd => {
                    store.renew_ahead(current);
                    return Beginning::Send(token);
                }
                Freshness::Fresh => return Beginning::Send(token),
            },
        };
        match renewal {
            Renewal::Token(token) => Beginning::Send(Some(token)),
            Renewal::Login(login) => {
                self.token = token;
                Beginning::LogIn(Login::new(login, store.events()))
            }
            // A token past its end by the clock may still be taken: nothing better is to be had.
            Renewal::Skipped(_) if token.is_some() => Beginning::Send(token),
            Renewal::Skipped(reason) => {
                self.outcome.skip_reason = Some(reason);
                Beginning::Send(None)
            }
        }
    }

    /// What the first sending is signed with where the login before it gave nothing.
    pub(crate) fn without_login(&mut self, reason: SkipReason) -> Option<Arc<Token>> {
        if self.token.is_none() {
            self.outcome.skip_reason = Some(reason);
        }
        self.token.take()
    }

    fn service_key(&self) -> Option<ServiceKey> {
        self.service.as_ref().map(|service| service.key)
    }

    /// Whether a challenge could be acted on, as far as that is known beforehand.
    pub(crate) fn may_send_again(&self) -> bool {
        self.no_second_sending.is_none()
    }

    fn sign<T>(&mut self, request: &mut Request<T>, token: Arc<Token>) {
        let takes_header = !self.only_in_query && token.takes_esri_header();
        let query_token = self.request.query_token;
        let signing = &self.session.signing;
        self.placed = signing.sign(request, &token, takes_header, query_token);
        self.outcome.signed = true;
        self.token = Some(token);
    }

    /// The first sending of a request, which may be the only one, by a service that goes along with it.
    pub(crate) fn send_first<T>(
        &mut self,
        mut service: S,
        request: Request<T>,
        token: Option<Arc<Token>>,
        keep: impl FnOnce(T, usize) -> (ReplayBody<B>, KeptBody<B>),
        bare: impl FnOnce(T) -> ReplayBody<B>,
    ) -> S::Future
    where
        S: Service<Request<ReplayBody<B>>>,
    {
        if self.may_send_again() {
            self.send_and_keep(service, request, token, keep)
        } else {
            self.send(&mut service, request, token, bare)
        }
    }

    /// The only sending of a request, signed with the token if there is one.
    // Inlined, because a call copies the request once more.
    #[inline]
    pub(crate) fn send<T>(
        &mut self,
        service: &mut S,
        mut request: Request<T>,
        token: Option<Arc<Token>>,
        bare: impl FnOnce(T) -> ReplayBody<B>,
    ) -> S::Future
    where
        S: Service<Request<ReplayBody<B>>>,
    {
        if let Some(token) = token {
            self.sign(&mut request, token);
        }
        service.call(request.map(bare))
    }

    /// The first sending of a request. What others could be made from is taken before it is signed.
    pub(crate) fn send_and_keep<T>(
        &mut self,
        service: S,
        request: Request<T>,
        token: Option<Arc<Token>>,
        keep: impl FnOnce(T, usize) -> (ReplayBody<B>, KeptBody<B>),
    ) -> S::Future
    where
        S: Service<Request<ReplayBody<B>>>,
    {
        let limit = self.session.settings.replay_limit;
        let (sent, kept) = Kept::send(
            service,
            request,
            |request| {
                if let Some(token) = token {
                    self.was_signed_at_first = true;
                    self.sign(request, token);
                }
            },
            |body| keep(body, limit),
        );
        self.kept = Some(kept);
        sent
    }

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

    /// Attaches what happened to what goes up.
    #[inline]
    pub(crate) fn finish<R: Body>(&mut self, response: &mut Response<ResponseBody<R>>) {
        let is_for_one = self.outcome.signed || self.outcome.returned_challenge.is_some();
        if self.session.signing.private_answers && is_for_one {
            cache_control::make_private(response.headers_mut());
        }
        let says_nothing = !self.outcome.is_worth_telling() && !self.outcome.resent;
        if says_nothing && !self.session.settings.outcome_in_every_response {
            let body = response.body_mut();
            body.set_signed(self.outcome.signed);
            body.set_token(self.token.take());
        } else {
            self.tell(response);
        }
    }

    fn tell<R: Body>(&mut self, response: &mut Response<ResponseBody<R>>) {
        let outcome = mem::take(&mut self.outcome);
        let is_notable = outcome.is_worth_telling();
        if is_notable {
            self.session.store.events().answered(&outcome);
        }
        if self.session.settings.outcome_in_every_response || is_notable {
            response.extensions_mut().insert(outcome.clone());
        }
        let body = response.body_mut();
        body.set_outcome(outcome);
        body.set_token(self.token.take());
    }

    /// The inner service failed.
    pub(crate) fn broke_off(&self) {
        if self.outcome.resent {
            self.session.store.events().resend_failed();
        }
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
