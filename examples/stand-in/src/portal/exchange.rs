//! `generateToken` with `request=getToken`: a server token for a portal token.

use std::sync::Arc;

use http::Method;

use crate::answer::Answer;
use crate::binding::{Binding, Caller};
use crate::expiration;
use crate::issuer::TokenRequest;
use crate::portal::login;
use crate::portal::reply;
use crate::portal::state::{PortalState, in_query};
use crate::request_parts::{Fields, RequestHead};
use crate::state::{State, lock};
use crate::tokens::Standing;

const UNABLE: &str = "Unable to generate token";

/// One exchange.
pub(crate) struct Exchange<'a> {
    pub(crate) portal: &'a PortalState,
    pub(crate) head: &'a RequestHead,
    pub(crate) form: &'a Fields,
}

impl Exchange<'_> {
    /// Whether it is one at all, and no login.
    pub(crate) fn is_meant(head: &RequestHead, form: &Fields) -> bool {
        form.get("request")
            .or_else(|| head.query.get("request"))
            .is_some_and(|request| request.eq_ignore_ascii_case("getToken"))
    }

    fn server_url(&self) -> Option<&str> {
        let form = self.form;
        form.get("serverUrl").or_else(|| form.get("serverURL"))
    }

    /// The federated server asked for.
    fn server(&self) -> Option<Arc<State>> {
        self.portal.server(self.server_url()?)
    }

    /// What the portal token is worth; the form may vouch for its `Referer`.
    fn standing(&self, token: &str) -> Standing {
        let caller = self.head.caller();
        let now = self.portal.host.clock.now();
        let tokens = lock(&self.portal.host.tokens);
        match tokens.standing(token, caller, now) {
            Standing::WrongReferer => {
                let referer = self.form.get("referer");
                tokens.standing(token, Caller { referer, ..caller }, now)
            }
            standing => standing,
        }
    }

    /// The binding asked for; without a `client`, the `referer` if there is one, and else none.
    fn binding(&self) -> Option<Binding> {
        match self.form.get("client") {
            Some(client) => Binding::of_client(client, self.form, self.head.from),
            None => Some(Binding::of_referer(self.form.get("referer"))),
        }
    }

    fn refuse(&self, answer: Answer) -> Answer {
        self.count_refusal();
        answer
    }

    fn unable(&self, details: &str) -> Answer {
        self.refuse(reply::error(400, UNABLE, Some(details)))
    }

    fn count_exchange(&self, user: &str) {
        lock(&self.portal.host.user_counters).count(user, |of_user| of_user.exchanges += 1);
        self.portal.count(|counters| counters.exchanges += 1);
    }
}

impl TokenRequest for Exchange<'_> {
    fn usual_answer(&self) -> Answer {
        if in_query(self.head, &["token", "username", "password"]) {
            let message = "POST request should not contain a token in the query string";
            return self.refuse(reply::error(405, message, None));
        }
        if self.head.method != Method::POST {
            return self.refuse(reply::error(405, "Method not allowed.", None));
        }
        let Some(token) = self.form.get("token") else {
            return self.refuse(reply::token_required());
        };
        let user = match self.standing(token) {
            Standing::Good { user } => user,
            standing => {
                self.portal.count_mismatch(&standing);
                return self.refuse(reply::invalid_token());
            }
        };
        if self.server_url().is_none() {
            return self.unable("'serverUrl' must be specified.");
        }
        let Some(server) = self.server() else {
            return self.refusal();
        };
        let Some(binding) = self.binding() else {
            return self.unable("Invalid client.");
        };
        let Ok(asked_for) = expiration::asked_for(self.form) else {
            return self.unable("Invalid expiration.");
        };
        let (text, lifetime) = server.issue(&user, binding, asked_for);
        self.count_exchange(&user);
        login::issued(self.portal, &text, lifetime)
    }

    fn refusal(&self) -> Answer {
        self.unable("Unable to generate token for this server")
    }

    fn dead_token(&self) -> Answer {
        let token = self.form.get("token").unwrap_or_default();
        if let Standing::Good { user } = self.standing(token) {
            self.count_exchange(&user);
        } else {
            self.portal.count(|counters| counters.exchanges += 1);
        }
        let text = lock(&self.portal.host.tokens).unused_text();
        login::issued(self.portal, &text, self.portal.lifetime(None))
    }

    fn count_refusal(&self) {
        self.portal
            .count(|counters| counters.exchange_refusals += 1);
    }
}
