//! The first sending: whether it waits for a login, what it is signed with, and what is kept of it.

use std::sync::Arc;

use http::{Request, Uri};
use tokio::time::Instant;
use tower_service::Service;

use super::state::{Exchange, NamedService, Unsigned};
use crate::{
    body::{BodyLength, KeptBody, ReplayBody},
    outcome::SkipReason,
    resend::Kept,
    session::{Renewal, Session, Standing},
    token::{Freshness, Token, TokenReason},
    waiting::Login,
};

/// How a request starts.
pub(crate) enum Beginning {
    /// At once, signed with the token if there is one.
    Send(Option<Arc<Token>>),
    /// After a login.
    LogIn(Login),
}

impl<S, B> Exchange<S, B> {
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
}
