//! `generateToken` with a user name and a password.

use std::time::Duration;

use http::Method;
use serde_json::json;

use crate::answer::Answer;
use crate::binding::Binding;
use crate::expiration;
use crate::issuer::TokenRequest;
use crate::portal::reply;
use crate::portal::state::{PortalState, in_query};
use crate::request_parts::{Fields, RequestHead};
use crate::state::lock;

const UNABLE: &str = "Unable to generate token.";

/// One login.
pub(crate) struct Login<'a> {
    pub(crate) portal: &'a PortalState,
    pub(crate) head: &'a RequestHead,
    pub(crate) form: &'a Fields,
}

impl Login<'_> {
    fn user(&self) -> &str {
        self.form.get("username").unwrap_or_default()
    }

    /// The binding asked for; without a `client`, the `referer` if there is one, and else the address.
    fn binding(&self) -> Option<Binding> {
        let usual = match self.form.get("referer") {
            Some(_) => "referer",
            None => "requestip",
        };
        let client = self.form.get("client").unwrap_or(usual);
        Binding::of_client(client, self.form, self.head.from)
    }

    fn refuse(&self, code: u16, message: &str, details: Option<&str>) -> Answer {
        self.count_refusal();
        reply::error(code, message, details)
    }

    fn issued(&self, text: &str, lifetime: Duration) -> Answer {
        lock(&self.portal.host.user_counters).count(self.user(), |of_user| of_user.logins += 1);
        self.portal.count(|counters| counters.logins += 1);
        issued(self.portal, text, lifetime)
    }
}

impl TokenRequest for Login<'_> {
    fn usual_answer(&self) -> Answer {
        if in_query(self.head, &["username", "password"]) {
            let message =
                "POST request should not contain username and password in the query string";
            return self.refuse(405, message, None);
        }
        if self.head.method != Method::POST {
            return self.refuse(405, "Method not allowed.", None);
        }
        if self.user().is_empty() {
            return self.refuse(400, UNABLE, Some("'username' must be specified."));
        }
        let Some(password) = self.form.get("password") else {
            return self.refuse(400, UNABLE, Some("'password' must be specified."));
        };
        let Some(binding) = self.binding() else {
            return self.refuse(400, UNABLE, Some("Invalid client."));
        };
        let Ok(asked_for) = expiration::asked_for(self.form) else {
            return self.refuse(400, UNABLE, Some("Invalid expiration."));
        };
        let now = self.portal.host.clock.now();
        if !lock(&self.portal.host.accounts).check(self.user(), password, now) {
            return self.refusal();
        }
        let lifetime = self.portal.lifetime(asked_for);
        let text = self.portal.issue(self.user(), binding, lifetime);
        self.issued(&text, lifetime)
    }

    /// A wrong password, an unknown user, a locked account: all the same words.
    fn refusal(&self) -> Answer {
        self.refuse(400, UNABLE, Some("Invalid username or password."))
    }

    fn dead_token(&self) -> Answer {
        let text = lock(&self.portal.host.tokens).unused_text();
        self.issued(&text, self.portal.lifetime(None))
    }

    fn count_refusal(&self) {
        self.portal.count(|counters| counters.login_refusals += 1);
    }
}

/// A token as `generateToken` gives it.
pub(crate) fn issued(portal: &PortalState, text: &str, lifetime: Duration) -> Answer {
    let clock = &portal.host.clock;
    let expires = clock.wall_millis(clock.now() + lifetime);
    let ssl = lock(&portal.settings).ssl;
    // By hand for the order of the fields, and because 128 bits are no JSON number to the library.
    reply::text(format!(
        r#"{{"token":{},"expires":{expires},"ssl":{ssl}}}"#,
        json!(text)
    ))
}
