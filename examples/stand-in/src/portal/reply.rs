//! Answers as a portal words and labels them.

use serde_json::{Value, json};

use crate::answer::{self, Answer};

const JSON: &str = "application/json; charset=utf-8";

pub(crate) fn json(value: &Value) -> Answer {
    text(value.to_string())
}

pub(crate) fn text(text: String) -> Answer {
    answer::bytes(JSON, text)
}

/// The REST error; its `details` are one sentence or none.
pub(crate) fn error(code: u16, message: &str, details: Option<&str>) -> Answer {
    let details: Vec<&str> = details.into_iter().collect();
    text(answer::error_text(code, message, &json!(details)))
}

/// 498.
pub(crate) fn invalid_token() -> Answer {
    error(498, "Invalid token.", None)
}

/// 499.
pub(crate) fn token_required() -> Answer {
    coded(499, "Token Required")
}

/// 403.
pub(crate) fn forbidden() -> Answer {
    coded(
        403,
        "You do not have permissions to access this resource or perform this operation.",
    )
}

/// With the message code of all that has to do with rights.
fn coded(code: u16, message: &str) -> Answer {
    let message = Value::from(message);
    text(format!(
        r#"{{"error":{{"code":{code},"messageCode":"GWM_0003","message":{message},"details":[]}}}}"#
    ))
}

/// An error of the OAuth end points: their own fields, but inside an object and under HTTP 200.
pub(crate) fn oauth_error(code: u16, error: &str, description: &str) -> Answer {
    json(&json!({ "error": {
        "code": code,
        "error": error,
        "error_description": description,
        "message": description,
        "details": [],
    } }))
}
