//! The token service: `generateToken` on both doors, and the login page's sign-in.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, SET_COOKIE};
use hyper::body::Incoming;
use serde_json::Value;

use crate::answer::{self, Answer, HTML, JSON};
use crate::asked::{Asked, Pairs};
use crate::body::{self, Step};
use crate::fault::TokenFault;
use crate::gate;
use crate::pages;
use crate::router::read;
use crate::state::{State, lock};

const MIB: usize = 1024 * 1024;
const HUGE_MIB: u64 = 64;

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
    let arrived = read(state, asked, body).await;
    state.count(|counters| counters.login_attempts += 1);
    gate::pass(&state.logins_held).await;

    let fault = past_hanging(state).await;
    let usual = || usual(state, asked, &arrived.form, door);
    Ok(match fault {
        None => usual(),
        Some(TokenFault::Slow(delay)) => {
            tokio::time::sleep(delay).await;
            usual()
        }
        Some(TokenFault::Mislabelled) => {
            let mut answer = usual();
            answer
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static(HTML));
            answer
        }
        Some(TokenFault::Huge) => {
            let mut answer = usual();
            let blank = Bytes::from(vec![b' '; MIB]);
            *answer.body_mut() = body::scripted([Step::Repeat(blank, HUGE_MIB)]);
            answer
        }
        Some(TokenFault::Reset) => return Err(io::ErrorKind::ConnectionReset.into()),
        Some(TokenFault::Refuse) => refused(state, door),
        Some(TokenFault::DeadToken) => {
            state.count(|counters| counters.logins += 1);
            let text = lock(&state.tokens).unused_text();
            let lifetime = lock(&state.settings).token_lifetime;
            issued(state, door, &text, lifetime)
        }
        Some(fault) => broken(state, fault),
    })
}

/// The fault now set, once it is not [`TokenFault::Hang`].
async fn past_hanging(state: &State) -> Option<TokenFault> {
    let mut faults = state.fault.subscribe();
    match faults
        .wait_for(|fault| *fault != Some(TokenFault::Hang))
        .await
    {
        Ok(fault) => fault.clone(),
        Err(_) => None,
    }
}

/// Faults that have nothing to do with what was asked.
fn broken(state: &State, fault: TokenFault) -> Answer {
    match fault {
        TokenFault::Status(code) => answer::status(answer::html(pages::plain("Trouble")), code),
        TokenFault::Html => answer::html(pages::plain("Maintenance")),
        TokenFault::Garbage => answer::bytes(
            JSON,
            Bytes::from_static(&[0x00, 0xff, 0xfe, b'{', 0x80, 0x01, b'"', 0xc3]),
        ),
        TokenFault::Empty => answer::bytes(JSON, Bytes::new()),
        TokenFault::Truncated => {
            let start = Bytes::from_static(br#"{"token":"AAAA"#);
            // Two pauses: one for the head, one for the start of the body.
            let body = body::scripted([Step::Data(start), Step::Pause, Step::Pause, Step::Fail]);
            answer::with_header(answer::labelled(JSON, body), CONTENT_LENGTH, "256")
        }
        TokenFault::PortalRefuse => {
            state.count(|counters| counters.login_refusals += 1);
            let details = Value::from(vec!["Invalid username or password."]);
            answer::bytes(
                JSON,
                answer::error_text(400, "Unable to generate token.", &details),
            )
        }
        TokenFault::NoToken => answer::bytes(JSON, "{}"),
        TokenFault::OddToken => answer::bytes(
            JSON,
            r#"{"token":"<b>not a\r\ntoken</b>","expires":4102444800000}"#,
        ),
        TokenFault::Redirect(url) => answer::status(answer::redirect(&url), 307),
        // Handled before.
        _ => answer::status(answer::html(pages::plain("Trouble")), 500),
    }
}

fn usual(state: &State, asked: &Asked, form: &Pairs, door: Door) -> Answer {
    if ["username", "password"]
        .iter()
        .any(|name| asked.query.get(name).is_some())
    {
        return refuse(
            state,
            door,
            405,
            "Generate Token request should not contain username and password in the query string.",
            Value::Array(Vec::new()),
        );
    }
    if asked.method != Method::POST {
        return refuse(
            state,
            door,
            405,
            "Generate Token request must be a POST.",
            Value::Array(Vec::new()),
        );
    }
    let bound = match form.get("client").unwrap_or("requestip") {
        "referer" | "referrer" => form.get("referer").map(|referer| Some(referer.to_owned())),
        "ip" => form.get("ip").map(|_| None),
        "requestip" => Some(None),
        _ => None,
    };
    let Some(referer) = bound else {
        return refuse(
            state,
            door,
            201,
            "Exception in generating token",
            "Client id cannot be determined".into(),
        );
    };
    let asked_for = match form.get("expiration").map(str::parse::<u64>) {
        None => None,
        Some(Ok(minutes)) if minutes > 0 => Some(Duration::from_secs(minutes.saturating_mul(60))),
        Some(_) => {
            return refuse(
                state,
                door,
                400,
                "Unable to generate token.",
                "Invalid expiration".into(),
            );
        }
    };

    let now = state.clock.now();
    let user = form.get("username").unwrap_or_default();
    if !lock(&state.accounts).check(user, form.get("password").unwrap_or_default(), now) {
        return refused(state, door);
    }
    let longest = lock(&state.settings).token_lifetime;
    let lifetime = asked_for.map_or(longest, |asked_for| asked_for.min(longest));
    let text = lock(&state.tokens).issue(user, referer, now + lifetime);
    state.count(|counters| counters.logins += 1);
    issued(state, door, &text, lifetime)
}

fn issued(state: &State, door: Door, text: &str, lifetime: Duration) -> Answer {
    let expires = state.clock.wall_millis(state.clock.now() + lifetime);
    let quoted = door == Door::Admin || lock(&state.settings).string_expires;
    answer::bytes(
        JSON,
        if quoted {
            format!(r#"{{"token":"{text}","expires":"{expires}"}}"#)
        } else {
            format!(r#"{{"token":"{text}","expires":{expires}}}"#)
        },
    )
}

/// A wrong password, an unknown user, a locked account: all the same words.
fn refused(state: &State, door: Door) -> Answer {
    refuse(
        state,
        door,
        401,
        "You are not authorized to access this information",
        "Invalid credentials".into(),
    )
}

fn refuse(state: &State, door: Door, code: u16, message: &str, details: Value) -> Answer {
    state.count(|counters| counters.login_refusals += 1);
    answer::bytes(
        JSON,
        match door {
            Door::Services => answer::error_text(code, message, &details),
            Door::Admin => answer::admin_error_text(code, message),
        },
    )
}

/// The login page's form: a cookie and a way back, or the page again.
pub(crate) async fn sign_in(state: &State, asked: &Asked, body: Incoming) -> io::Result<Answer> {
    let arrived = read(state, asked, body).await;
    state.count(|counters| counters.login_attempts += 1);
    let now = state.clock.now();
    let user = arrived.form.get("username").unwrap_or_default();
    let back = arrived
        .form
        .get("redirect")
        .unwrap_or("/arcgis/rest/services");
    if !lock(&state.accounts).check(user, arrived.form.get("password").unwrap_or_default(), now) {
        state.count(|counters| counters.login_refusals += 1);
        return Ok(answer::html(pages::login_page(back)));
    }
    let lifetime = lock(&state.settings).token_lifetime;
    let text = lock(&state.tokens).issue(user, None, now + lifetime);
    state.count(|counters| counters.logins += 1);
    Ok(answer::with_header(
        answer::redirect(back),
        SET_COOKIE,
        &format!("agstoken={text}; Path=/arcgis/rest; HttpOnly"),
    ))
}
