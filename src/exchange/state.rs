//! One request between its arrival and its answer: what is known of it, and what of that goes up.

use std::{mem, sync::Arc};

use http::{Request, Response, Uri};
use http_body::Body;

use crate::{
    body::ResponseBody,
    outcome::{AuthOutcome, SkipReason},
    resend::Kept,
    session::Session,
    sign::{QueryToken, TokenPlacement, cache_control},
    token::Token,
    url::{ServiceKey, service_key},
};

/// What a request carries through all its states.
pub(crate) struct Exchange<S, B> {
    pub(crate) session: Arc<Session>,
    pub(super) outcome: AuthOutcome,
    pub(super) request: RequestNotes,
    /// The request's service, named only when that may matter.
    pub(super) service: Option<Box<NamedService>>,
    pub(super) stage: Stage,
    /// Why the first sending is not signed though there is a token.
    pub(super) unsigned: Option<Unsigned>,
    /// The first signed sending had a token of before the request.
    pub(super) was_signed_at_first: bool,
    /// Where the last token went.
    pub(super) placed: TokenPlacement,
    /// The server does not read the header that a long URL's token went in.
    pub(super) only_in_query: bool,
    /// Why a challenge could not be acted on, where that is known beforehand: then no copy is kept.
    pub(super) no_second_sending: Option<SkipReason>,
    /// What the last sending was signed with; before the first, what it is signed with if no login gives better.
    pub(super) token: Option<Arc<Token>>,
    /// Boxed: moving it along with the future costs more than the allocation.
    pub(super) kept: Option<Box<Kept<S, B>>>,
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
pub(super) struct NamedService {
    /// What the memory of refused services calls it.
    pub(super) key: ServiceKey,
    /// The request's path, for the log.
    pub(super) path: Box<str>,
}

impl NamedService {
    pub(super) fn of(uri: &Uri, root: usize) -> Self {
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
pub(super) enum Stage {
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

    pub(super) fn service_key(&self) -> Option<ServiceKey> {
        self.service.as_ref().map(|service| service.key)
    }

    /// Whether a challenge could be acted on, as far as that is known beforehand.
    pub(crate) fn may_send_again(&self) -> bool {
        self.no_second_sending.is_none()
    }

    pub(super) fn sign<T>(&mut self, request: &mut Request<T>, token: Arc<Token>) {
        let query_token = self.request.query_token;
        let signing = &self.session.signing;
        self.placed = signing.sign(request, &token, query_token, self.only_in_query);
        self.outcome.signed = true;
        self.token = Some(token);
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
}
