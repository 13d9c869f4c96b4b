//! The token service: both `generateToken` end points, and the login page's sign-in.

use std::io;
use std::time::Duration;

use http::Method;
use http::header::SET_COOKIE;
use hyper::body::Incoming;
use serde_json::Value;

use crate::answer::{self, Answer, JSON};
use crate::binding::Binding;
use crate::expiration;
use crate::issuer::TokenRequest;
use crate::pages;
use crate::request_parts::{Fields, RequestHead};
use crate::state::{State, lock};

/// Which `generateToken`: they differ in how they write `expires` and errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndPoint {
    /// `/arcgis/tokens/generateToken`
    Services,
    /// `/arcgis/admin/generateToken`
    Admin,
}

/// `generateToken`.
pub(crate) async fn generate(
    state: &State,
    head: &RequestHead,
    body: Incoming,
    end_point: EndPoint,
) -> io::Result<Answer> {
    let form = state.host.read(head, body).await.form;
    state.count_attempt(form.get("username"));
    let login = Login {
        state,
        head,
        form: &form,
        end_point,
    };
    state.logins.serve(&login).await
}

/// One request to `generateToken`.
struct Login<'a> {
    state: &'a State,
    head: &'a RequestHead,
    form: &'a Fields,
    end_point: EndPoint,
}

impl TokenRequest for Login<'_> {
    fn usual_answer(&self) -> Answer {
        if ["username", "password"]
            .iter()
            .any(|name| self.head.query.get(name).is_some())
        {
            return self.refuse(
                405,
                "Generate Token request should not contain username and password in the query string.",
                Value::Array(Vec::new()),
            );
        }
        if self.head.method != Method::POST {
            return self.refuse(
                405,
                "Generate Token request must be a POST.",
                Value::Array(Vec::new()),
            );
        }
        let client = self.form.get("client").unwrap_or("requestip");
        let Some(binding) = Binding::of_client(client, self.form, self.head.from) else {
            return self.refuse(
                201,
                "Exception in generating token",
                "Client id cannot be determined".into(),
            );
        };
        let Ok(asked_for) = expiration::asked_for(self.form) else {
            return self.refuse(
                400,
                "Unable to generate token.",
                "Invalid expiration".into(),
            );
        };
        let user = self.form.get("username").unwrap_or_default();
        let password = self.form.get("password").unwrap_or_default();
        match self.state.log_in(user, password, binding, asked_for) {
            Some((text, lifetime)) => self.issued(&text, lifetime),
            None => self.refusal(),
        }
    }

    /// A wrong password, an unknown user, a locked account: all the same words.
    fn refusal(&self) -> Answer {
        self.refuse(
            401,
            "You are not authorized to access this information",
            "Invalid credentials".into(),
        )
    }

    fn dead_token(&self) -> Answer {
        self.state.count_login(self.form.get("username"));
        let text = lock(&self.state.host.tokens).unused_text();
        let lifetime = lock(&self.state.settings).token_lifetime;
        self.issued(&text, lifetime)
    }

    fn count_refusal(&self) {
        self.state.count(|counters| counters.login_refusals += 1);
    }
}

impl Login<'_> {
    fn issued(&self, text: &str, lifetime: Duration) -> Answer {
        let clock = &self.state.host.clock;
        let expires = clock.wall_millis(clock.now() + lifetime);
        let quoted = self.end_point == EndPoint::Admin || lock(&self.state.settings).string_expires;
        answer::bytes(
            JSON,
            if quoted {
                format!(r#"{{"token":"{text}","expires":"{expires}"}}"#)
            } else {
                format!(r#"{{"token":"{text}","expires":{expires}}}"#)
            },
        )
    }

    fn refuse(&self, code: u16, message: &str, details: Value) -> Answer {
        self.count_refusal();
        answer::bytes(
            JSON,
            match self.end_point {
                EndPoint::Services => answer::error_text(code, message, &details),
                EndPoint::Admin => answer::admin_error_text(code, message),
            },
        )
    }
}

/// The login page's form: a cookie and a way back, or the page again.
pub(crate) async fn sign_in(
    state: &State,
    head: &RequestHead,
    body: Incoming,
) -> io::Result<Answer> {
    let form = state.host.read(head, body).await.form;
    state.count_attempt(form.get("username"));
    let user = form.get("username").unwrap_or_default();
    let password = form.get("password").unwrap_or_default();
    let back = form.get("redirect").unwrap_or("/arcgis/rest/services");
    let Some((text, _)) = state.log_in(user, password, Binding::Free, None) else {
        state.count(|counters| counters.login_refusals += 1);
        return Ok(answer::html(pages::login_page(back)));
    };
    Ok(answer::with_header(
        answer::redirect(back),
        SET_COOKIE,
        &format!("agstoken={text}; Path=/arcgis/rest; HttpOnly"),
    ))
}
