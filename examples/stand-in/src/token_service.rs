//! The token service: `generateToken` on both doors, and the login page's sign-in.

use std::io;
use std::time::Duration;

use http::Method;
use http::header::SET_COOKIE;
use hyper::body::Incoming;
use serde_json::Value;

use crate::answer::{self, Answer, JSON};
use crate::asked::{Asked, Pairs};
use crate::binding::Binding;
use crate::expiration;
use crate::hatch::Maker;
use crate::pages;
use crate::state::{State, lock};

/// Which `generateToken`: they differ in how they write `expires` and errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// `/arcgis/tokens/generateToken`
    Services,
    /// `/arcgis/admin/generateToken`
    Admin,
}

/// `generateToken`.
pub(crate) async fn generate(
    state: &State,
    asked: &Asked,
    body: Incoming,
    door: Door,
) -> io::Result<Answer> {
    let form = state.host.read(asked, body).await.form;
    state.count_attempt(form.get("username"));
    let login = Login {
        state,
        asked,
        form: &form,
        door,
    };
    state.logins.serve(&login).await
}

/// One request to `generateToken`.
struct Login<'a> {
    state: &'a State,
    asked: &'a Asked,
    form: &'a Pairs,
    door: Door,
}

impl Maker for Login<'_> {
    fn usual(&self) -> Answer {
        if ["username", "password"]
            .iter()
            .any(|name| self.asked.query.get(name).is_some())
        {
            return self.refuse(
                405,
                "Generate Token request should not contain username and password in the query string.",
                Value::Array(Vec::new()),
            );
        }
        if self.asked.method != Method::POST {
            return self.refuse(
                405,
                "Generate Token request must be a POST.",
                Value::Array(Vec::new()),
            );
        }
        let client = self.form.get("client").unwrap_or("requestip");
        let Some(binding) = Binding::of_client(client, self.form, self.asked.from) else {
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
            None => self.refused(),
        }
    }

    /// A wrong password, an unknown user, a locked account: all the same words.
    fn refused(&self) -> Answer {
        self.refuse(
            401,
            "You are not authorized to access this information",
            "Invalid credentials".into(),
        )
    }

    fn dead(&self) -> Answer {
        self.state.count_login(self.form.get("username"));
        let text = lock(&self.state.tokens).unused_text();
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
        let quoted = self.door == Door::Admin || lock(&self.state.settings).string_expires;
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
            match self.door {
                Door::Services => answer::error_text(code, message, &details),
                Door::Admin => answer::admin_error_text(code, message),
            },
        )
    }
}

/// The login page's form: a cookie and a way back, or the page again.
pub(crate) async fn sign_in(state: &State, asked: &Asked, body: Incoming) -> io::Result<Answer> {
    let form = state.host.read(asked, body).await.form;
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
