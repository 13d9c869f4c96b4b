//! Reads what a token service answers: a token, a refusal, or something broken. Every ArcGIS product has its own form of
//! each, mostly under HTTP 200.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Response, StatusCode, header};
use serde_json::Value;

use crate::{error::TokenError, token::IssuedToken, url::redact};

/// How much of a server's own words an error repeats, in characters.
const LONGEST_MESSAGE: usize = 200;

/// The token in `answer`, or why there is none. `place` names the service in errors; errors must not hold the `secrets`,
/// even if the server repeats them.
pub(super) fn read_token(
    answer: &Response<Bytes>,
    place: &str,
    secrets: &[&str],
) -> Result<IssuedToken, Failure> {
    let json = read_json(answer, place, secrets)?;
    let token = token_in(&json, answer).unwrap_or_else(|| Err(neither(answer, place)));
    Ok(token?)
}

/// The token of a `generateToken` answer, if there is one.
fn token_in(
    json: &serde_json::Map<String, Value>,
    answer: &Response<Bytes>,
) -> Option<Result<IssuedToken, TokenError>> {
    let token = json.get("token").and_then(Value::as_str)?;
    Some(
        IssuedToken::try_new(token).map(|issued| match lifetime(json, answer) {
            Some(lifetime) => issued.valid_for(lifetime),
            None => issued,
        }),
    )
}

pub(super) fn neither(answer: &Response<Bytes>, place: &str) -> TokenError {
    TokenError::fault(format!(
        "{place} answered {} with JSON that holds neither a token nor an error; check that a token service is there",
        answer.status()
    ))
}

/// The JSON object in `answer`, unless it is an error.
pub(super) fn read_json(
    answer: &Response<Bytes>,
    place: &str,
    secrets: &[&str],
) -> Result<serde_json::Map<String, Value>, Failure> {
    if answer.status().is_redirection() {
        return Err(redirected(answer, place));
    }
    let json = match serde_json::from_slice(answer.body()) {
        Ok(Value::Object(json)) => Some(json),
        _ => None,
    };
    match (json.as_ref().and_then(Refusal::in_json), json) {
        (Some(refusal), _) => {
            let said = refusal.said(answer, secrets);
            let error = refusal.error(answer.status(), place, &said);
            Err(Failure {
                code: refusal.code,
                is_about_lifetime: is_about_lifetime(&refusal.words),
                said: Some(said),
                ..Failure::of(answer, error)
            })
        }
        (None, _) if is_denied(answer.status()) => Err(Failure::of(answer, denied(answer, place))),
        (None, Some(json)) => Ok(json),
        (None, None) => Err(Failure::of(answer, no_json(answer, place, secrets))),
    }
}

pub(super) fn is_denied(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}

/// A refusal in words that are not ArcGIS's: a page, or JSON of a gateway's own.
fn denied(answer: &Response<Bytes>, place: &str) -> TokenError {
    TokenError::refused(format!(
        "{place} refused the login with {}; check user name and password, and whether the web server in front of it asks for \
         a login of its own",
        answer.status()
    ))
    // It may let other machines pass.
    .only_here()
}

/// An answer that is no token, with ArcGIS's code for it.
pub(super) struct Failure {
    /// The answer's, if there was one.
    pub(super) status: Option<StatusCode>,
    pub(super) code: Option<i64>,
    /// The server refuses the lifetime that was asked for, and not the credential.
    pub(super) is_about_lifetime: bool,
    /// ArcGIS's code and words, fit for an error.
    pub(super) said: Option<String>,
    pub(super) error: TokenError,
}

impl Failure {
    /// This error, read from this answer.
    pub(super) fn of(answer: &Response<Bytes>, error: TokenError) -> Self {
        Self {
            status: Some(answer.status()),
            ..error.into()
        }
    }

    /// Whether no such token service is there.
    pub(super) fn is_absent(&self) -> bool {
        let code = self
            .code
            .or(self.status.map(|status| i64::from(status.as_u16())));
        matches!(code, Some(404 | 405))
    }

    /// The same of an answer to a request for this lifetime. Where none was asked for, none was refused: the words are about
    /// something else then, and the refusal counts.
    pub(super) fn asked_for(self, lifetime: Option<Duration>) -> Self {
        Self {
            is_about_lifetime: self.is_about_lifetime && lifetime.is_some(),
            ..self
        }
    }
}

impl From<TokenError> for Failure {
    fn from(error: TokenError) -> Self {
        Self {
            status: None,
            code: None,
            is_about_lifetime: false,
            said: None,
            error,
        }
    }
}

impl From<Failure> for TokenError {
    fn from(failure: Failure) -> Self {
        failure.error
    }
}

struct Refusal {
    code: Option<i64>,
    words: String,
}

impl Refusal {
    /// The error in an answer, in each of ArcGIS's envelopes.
    fn in_json(json: &serde_json::Map<String, Value>) -> Option<Self> {
        match json.get("error") {
            Some(Value::Object(error)) => Some(Self {
                code: error.get("code").and_then(integer),
                words: words([error.get("message"), error.get("details")]),
            }),
            // RFC 6749, as a gateway in front of a portal writes it.
            Some(Value::String(error)) => Some(Self {
                code: matches!(error.as_str(), "server_error" | "temporarily_unavailable")
                    .then_some(503),
                words: words([json.get("error"), json.get("error_description")]),
            }),
            _ if json.get("status").and_then(Value::as_str) == Some("error") => Some(Self {
                code: json.get("code").and_then(integer),
                words: words([json.get("messages"), None]),
            }),
            _ => None,
        }
    }

    fn said(&self, answer: &Response<Bytes>, secrets: &[&str]) -> String {
        // As sent, and with JSON's escapes resolved; before the words are cut or put on one line.
        let repeats = |secret: &&str| {
            repeats(answer.body(), secret) || repeats(self.words.as_bytes(), secret)
        };
        let said = if secrets.iter().any(repeats) {
            "(its words are left out: they repeat a secret)".to_owned()
        } else {
            one_line(&self.words)
        };
        let code = self.code.map_or_else(
            || answer.status().as_u16().to_string(),
            |code| code.to_string(),
        );
        format!("{code} {said}")
    }

    fn error(&self, status: StatusCode, place: &str, said: &str) -> TokenError {
        if is_refusal(self.code, &self.words, status) {
            let check = if place.contains("/oauth2/") {
                "the client id, and the secret, refresh token or code that goes with it"
            } else {
                "user name (case counts) and password, and that the account is not locked"
            };
            TokenError::refused(format!("{place} refused the login: {said}; check {check}"))
        } else {
            TokenError::fault(format!("{place} makes no login now: {said}"))
        }
    }
}

/// Some versions refuse a lifetime above their maximum, in words that are not documented: these name the parameter, or its
/// subject. The words of a refused credential do not.
pub(super) fn is_about_lifetime(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    ["expiration", "lifetime", "life time", "validity"]
        .iter()
        .any(|word| words.contains(word))
}

/// Whether `body` holds `secret`, plain or in an encoding that servers echo.
fn repeats(body: &[u8], secret: &str) -> bool {
    let in_form: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let in_url = percent_encoding::utf8_percent_encode(secret, percent_encoding::NON_ALPHANUMERIC);
    let in_json = Value::from(secret).to_string();
    let spellings = [
        secret.to_owned(),
        in_form.to_ascii_lowercase(),
        in_url.to_string().to_ascii_lowercase(),
        in_json.trim_matches('"').to_owned(),
    ];
    let lower = body.to_ascii_lowercase();
    spellings
        .iter()
        .filter(|spelling| !spelling.is_empty())
        .any(|spelling| {
            memchr::memmem::find(body, spelling.as_bytes()).is_some()
                || memchr::memmem::find(&lower, spelling.as_bytes()).is_some()
        })
}

/// 400 and 401 are wrong credentials (portal, server), 201 an account that cannot get tokens or a `client` without its
/// address, 403 an account without the right. Other 4xx count as refusals as well, because one failed login too many locks
/// the account; but not those about the service or the request, nor 400 for a URL with nothing there.
fn is_refusal(code: Option<i64>, words: &str, status: StatusCode) -> bool {
    match code {
        Some(400) => !words.starts_with("Invalid URL"),
        Some(404 | 405 | 408 | 429 | 498 | 499) => false,
        Some(code) => code == 201 || (400..500).contains(&code),
        None => !status.is_server_error() && !matches!(status.as_u16(), 404 | 405 | 429),
    }
}

/// A redirect is not followed: the password would go to any host that the server names.
pub(super) fn redirected(answer: &Response<Bytes>, place: &str) -> Failure {
    let location = answer.headers().get(header::LOCATION);
    let location = location.map_or_else(
        || "somewhere".to_owned(),
        |location| redact(String::from_utf8_lossy(location.as_bytes())),
    );
    let error = TokenError::fault(format!(
        "{place} redirects to {location}, and a login is not redirected; if that is the right place, give the site's \
         root as it is there (https instead of http, say), or name the token service with `token_url`"
    ));
    Failure::of(answer, error)
}

fn no_json(answer: &Response<Bytes>, place: &str, secrets: &[&str]) -> TokenError {
    let status = answer.status();
    let kind = answer
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map_or("no content type", |kind| {
            // Before it is cut.
            if secrets
                .iter()
                .any(|secret| repeats(kind.as_bytes(), secret))
            {
                "a content type that repeats a secret"
            } else {
                kind.get(..60).unwrap_or(kind)
            }
        });
    TokenError::fault(format!(
        "{place} answered {status} ({kind}), which is no JSON; check that a token service is there"
    ))
}

/// How long the token is valid, by the server's own clock, so that a wrong clock on either side changes nothing. `expires`
/// is epoch milliseconds, a number or (ArcGIS Server's admin API) a string.
fn lifetime(json: &serde_json::Map<String, Value>, answer: &Response<Bytes>) -> Option<Duration> {
    let expires = Duration::from_millis(json.get("expires").and_then(integer)?.try_into().ok()?);
    let now = answer
        .headers()
        .get(header::DATE)
        .and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok())
        .unwrap_or_else(SystemTime::now)
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()?;
    // An expiry in the past is a wrong clock. The next challenge shows whether the token works.
    expires
        .checked_sub(now)
        .filter(|lifetime| !lifetime.is_zero())
}

pub(super) fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// A server's own words, all of them.
fn words<const N: usize>(values: [Option<&Value>; N]) -> String {
    let mut all = String::new();
    for value in values.into_iter().flatten() {
        match value {
            Value::String(text) => append(&mut all, text),
            Value::Array(items) => {
                for item in items.iter().filter_map(Value::as_str) {
                    append(&mut all, item);
                }
            }
            _ => {}
        }
    }
    all
}

fn append(all: &mut String, words: &str) {
    if !all.is_empty() {
        all.push_str(": ");
    }
    all.push_str(words);
}

/// The beginning of `words`, fit for one line.
fn one_line(words: &str) -> String {
    words
        .chars()
        .map(|char| if char.is_control() { ' ' } else { char })
        .take(LONGEST_MESSAGE)
        .collect()
}
