//! What a token service is asked, and what becomes of that.

use std::{io, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri};

use super::super::{Answer, answer};

/// What a server at `http://gis.test/arcgis` says of itself.
pub(crate) const INFO: &str =
    r#"{"currentVersion":11,"authInfo":{"tokenServicesUrl":"http://gis.test/arcgis/tokens/"}}"#;
pub(super) const WRONG: &str = r#"{"error":{"code":400,"message":"Unable to generate token.","details":["Invalid username or password."]}}"#;

/// What a server says of itself whose token service is at `url`.
pub(crate) fn info_naming(url: &str) -> String {
    format!(
        r#"{{"currentVersion":11.3,"authInfo":{{"isTokenBasedSecurity":true,"tokenServicesUrl":"{url}"}}}}"#
    )
}

/// What becomes of a request to the token service.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// A token of its own: `secret-1`, `secret-2`, … by the number of the attempt.
    Token,
    /// A token that no server takes.
    Useless,
    /// The password is wrong.
    Refused,
    /// The service is out of order.
    Fault,
    /// There is none.
    Hangs,
    Panics,
    /// The connection fails so, and nothing is heard of the service.
    Fails(io::ErrorKind),
    /// The connection breaks in the middle of the answer.
    BreaksOff,
    Says(Answer),
    /// What becomes of it is settled at once, and heard of so much later.
    After(Duration, Box<Reply>),
}

impl Reply {
    pub(crate) fn says(body: impl Into<Bytes>) -> Self {
        Self::Says(answer(body))
    }

    pub(crate) fn page(status: StatusCode, body: &'static str) -> Self {
        let mut page = answer(body);
        *page.status_mut() = status;
        Self::Says(page)
    }

    pub(crate) fn token(text: &str) -> Self {
        Self::says(format!(r#"{{"token":"{text}","expires":4102444800000}}"#))
    }

    pub(crate) fn after(self, time: Duration) -> Self {
        Self::After(time, Box::new(self))
    }
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn path(&self) -> &str {
        self.uri.path()
    }

    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let mut form = form_urlencoded::parse(self.body.as_bytes());
        form.find_map(|(key, value)| (key == name).then(|| value.into_owned()))
    }

    /// Asks what the server is. Everything else is an attempt to get a token.
    pub(crate) fn is_for_info(&self) -> bool {
        self.path().ends_with("info")
    }
}
