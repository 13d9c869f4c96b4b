//! What an answer is: judged by the layer's own detector, and then by what is left.

use http::{HeaderMap, StatusCode, header, response::Parts};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tower_arcgis_auth::{Challenge, RequestFacts, Verdict, detect};

/// An answer of the server, or that there was none.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) kind: Kind,
    status: Option<StatusCode>,
    /// The server's own words, or why there are none.
    pub(crate) says: Option<String>,
    /// Only ArcGIS answers like that.
    pub(crate) is_arcgis: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What was asked for.
    Open,
    Challenge(Challenge),
    /// The web server in front of ArcGIS wants a login of its own.
    WebServerLogin,
    /// Somewhere else, and not to a login.
    Redirect,
    /// The account may not.
    Forbidden,
    Error,
    /// HTML where a service's answer should be.
    Page,
    Unreachable,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Challenge(challenge) => challenge.as_str(),
            Self::WebServerLogin => "web_server_login",
            Self::Redirect => "redirect",
            Self::Forbidden => "forbidden",
            Self::Error => "error",
            Self::Page => "page",
            Self::Unreachable => "unreachable",
        }
    }
}

impl Answer {
    pub(crate) fn unreachable(why: String) -> Self {
        Self {
            kind: Kind::Unreachable,
            status: None,
            says: Some(why),
            is_arcgis: false,
        }
    }

    /// `beginning` is the body, or as much of it as was read. Words that repeat one of `secrets` are left out.
    pub(crate) fn judge(
        parts: &Parts,
        beginning: &[u8],
        facts: RequestFacts,
        secrets: &[String],
    ) -> Self {
        let json: Option<Value> = serde_json::from_slice(beginning).ok();
        let (kind, said) = judge(parts, beginning, json.as_ref(), facts);
        let is_arcgis = matches!(kind, Kind::Challenge(_)) || json.as_ref().is_some_and(is_arcgis);
        Self {
            kind,
            is_arcgis,
            status: Some(parts.status),
            says: said.map(|said| said.in_one_line(secrets)),
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({
            "kind": self.kind.as_str(),
            "status": self.status.map(|status| status.as_u16()),
            "says": self.says,
        })
    }

    pub(crate) fn in_words(&self) -> String {
        let meaning = match self.kind {
            Kind::Open => "open",
            Kind::Challenge(Challenge::TokenRequired) => "asks for a token",
            Kind::Challenge(Challenge::TokenInvalid) => "calls the token invalid",
            Kind::Challenge(Challenge::LoginPage) => "a login page",
            Kind::Challenge(Challenge::LoginRedirect) => "a redirect to a login",
            Kind::Challenge(_) => "asks for a login",
            Kind::WebServerLogin => "the web server in front of ArcGIS wants a login of its own",
            Kind::Redirect => "a redirect",
            Kind::Forbidden => "forbidden",
            Kind::Error => "an error",
            Kind::Page => "a page that is no service's answer",
            Kind::Unreachable => "cannot be reached",
        };
        let status = self
            .status
            .map(|status| format!("HTTP {}", status.as_u16()));
        let details: Vec<String> = status.into_iter().chain(self.says.clone()).collect();
        format!("{meaning} ({})", details.join(": "))
    }
}

/// What a server said, and what of it is shown. Secrets are looked for in all of it: of one that a cut goes through,
/// what is left is still a secret.
struct Said {
    whole: String,
    shown: String,
}

impl Said {
    fn all(words: String) -> Self {
        Self {
            shown: words.clone(),
            whole: words,
        }
    }

    /// A server's words, fit for a terminal.
    fn in_one_line(self, secrets: &[String]) -> String {
        if repeat_one_of(&self.whole, secrets) || repeat_one_of(&self.shown, secrets) {
            return LEFT_OUT.to_owned();
        }
        without_controls(&self.shown).chars().take(200).collect()
    }
}

fn judge(
    parts: &Parts,
    beginning: &[u8],
    json: Option<&Value>,
    facts: RequestFacts,
) -> (Kind, Option<Said>) {
    let Parts {
        status, headers, ..
    } = parts;
    let error = json
        .and_then(error_in)
        .map(|(code, words)| (code, Said::all(words)));
    if let Verdict::Challenge(challenge) = detect(*status, headers, facts, beginning, true) {
        return (Kind::Challenge(challenge), error.map(|(_, words)| words));
    }
    if *status == StatusCode::UNAUTHORIZED {
        let asks: Vec<&str> = headers
            .get_all(header::WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        let schemes: Vec<&str> = asks
            .iter()
            .filter_map(|ask| ask.split_whitespace().next())
            .collect();
        if !schemes.is_empty() {
            let said = Said {
                whole: asks.join(", "),
                shown: schemes.join(", "),
            };
            return (Kind::WebServerLogin, Some(said));
        }
    }
    if status.is_redirection() {
        let said = text(headers, header::LOCATION).map(|location| Said {
            shown: without_query(&location),
            whole: location,
        });
        return (Kind::Redirect, said);
    }
    if let Some((code, words)) = error {
        let forbidden = matches!(code, Some(401 | 403));
        return (
            if forbidden {
                Kind::Forbidden
            } else {
                Kind::Error
            },
            Some(words),
        );
    }
    if !status.is_success() {
        let forbidden = matches!(*status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        return (
            if forbidden {
                Kind::Forbidden
            } else {
                Kind::Error
            },
            None,
        );
    }
    let says_html = text(headers, header::CONTENT_TYPE).is_some_and(|kind| kind.contains("html"));
    let kind = if says_html && json.is_none() {
        Kind::Page
    } else {
        Kind::Open
    };
    (kind, None)
}

/// Whether this is a resource or an error of the REST API, or its directory.
fn is_arcgis(json: &Value) -> bool {
    let has = |name| json.get(name).is_some();
    has("currentVersion") || (has("folders") && has("services")) || error_in(json).is_some()
}

/// Code and words of an error at the top of a REST answer, or of the administrator's.
fn error_in(json: &Value) -> Option<(Option<u64>, String)> {
    let (error, message) = match json.get("error") {
        Some(error @ Value::Object(_)) => (error, error.get("message")?.as_str()?.to_owned()),
        _ if json.get("status").and_then(Value::as_str) == Some("error") => {
            let messages = json.get("messages")?.as_array()?;
            (json, messages.first()?.as_str()?.to_owned())
        }
        _ => return None,
    };
    let code = error.get("code").and_then(Value::as_u64);
    let words = match code {
        Some(code) => format!("{code} {message}"),
        None => message,
    };
    Some((code, words))
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn without_query(url: &str) -> String {
    url.split(['?', '#']).next().unwrap_or_default().to_owned()
}

const LEFT_OUT: &str = "its words are left out: they repeat a secret";

/// `words`, unless they repeat one of `secrets`.
pub(crate) fn without(words: String, secrets: &[String]) -> String {
    if repeat_one_of(&words, secrets) {
        LEFT_OUT.to_owned()
    } else {
        words
    }
}

/// Whether `words` repeat one of `secrets`, as it is or as URLs, forms, JSON and HTML write it.
fn repeat_one_of(words: &str, secrets: &[String]) -> bool {
    // A terminal shows nothing of control characters: what they take apart is read in one.
    let words = without_controls(words);
    let readings = [
        decoded(&words),
        decoded(&words.replace('+', " ")),
        from_html(&words),
        words,
    ];
    let readings = readings.map(|reading| without_controls(&reading));
    let is_repeated = |secret: &String| {
        let secret = without_controls(secret);
        let in_json = Value::from(secret.as_str()).to_string();
        let in_json = in_json.trim_matches('"');
        !secret.is_empty()
            && readings
                .iter()
                .any(|reading| reading.contains(&secret) || reading.contains(in_json))
    };
    secrets.iter().any(is_repeated)
}

fn decoded(words: &str) -> String {
    percent_decode_str(words).decode_utf8_lossy().into_owned()
}

fn from_html(words: &str) -> String {
    let escapes = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#x27;", "'"),
        // The last: what it stands before may be another's rest.
        ("&amp;", "&"),
    ];
    escapes
        .iter()
        .fold(words.to_owned(), |words, (escape, char)| {
            words.replace(escape, char)
        })
}

fn without_controls(words: &str) -> String {
    words.chars().filter(|char| !char.is_control()).collect()
}
