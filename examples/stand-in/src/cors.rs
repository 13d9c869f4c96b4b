//! Cross-origin requests: what pages of other origins may read.
//!
//! ArcGIS Server lets pages of all origins in unless its property `AllowedOrigins` lists some (Esri's documentation,
//! "Restrict cross-domain requests to ArcGIS Server"). It sends `Access-Control-Allow-Origin`, with the origin in it,
//! and `Access-Control-Allow-Credentials` only where the request has an `Origin` (reported of 10.2.2 and 10.3.1). How it
//! answers a preflight is not documented: here as the Fetch standard wants it.

use http::Method;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD,
    HeaderValue, ORIGIN, VARY,
};

use crate::answer::{self, Answer};
use crate::request_parts::RequestHead;

const METHODS: &str = "GET, POST, PUT, DELETE, HEAD, OPTIONS";

/// Which pages may read the answers. See [`StandIn::set_cors`](crate::StandIn::set_cors).
///
/// ```
/// use arcgis_stand_in::{Cors, StandIn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let only_the_app = Cors::Origins(vec!["https://app.example".to_owned()]);
/// let arcgis = StandIn::builder().cors(only_the_app).start().await?;
/// arcgis.set_cors(Cors::Off);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Cors {
    /// Those of every origin, as ArcGIS Server has it when it is installed. The default.
    #[default]
    AnyOrigin,
    /// Those of these origins, such as `https://app.example`: ArcGIS Server's `AllowedOrigins`.
    Origins(Vec<String>),
    /// None; a preflight is a request like any other.
    Off,
}

impl Cors {
    /// The origin of the request, if its pages may read the answer.
    fn allowed<'a>(&self, head: &'a RequestHead) -> Option<&'a HeaderValue> {
        let origin = head.headers.get(ORIGIN)?;
        let allowed = match self {
            Self::AnyOrigin => true,
            Self::Origins(origins) => origins.iter().any(|known| known.as_bytes() == origin),
            Self::Off => false,
        };
        allowed.then_some(origin)
    }

    /// The answer to a preflight; none if the request is none. It asks for no token: browsers send none with it.
    pub(crate) fn preflight(&self, head: &RequestHead) -> Option<Answer> {
        let is_preflight = head.method == Method::OPTIONS
            && head.headers.contains_key(ORIGIN)
            && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if !is_preflight || *self == Self::Off {
            return None;
        }
        let mut answer = answer::html(String::new());
        if self.allowed(head).is_some() {
            let headers = answer.headers_mut();
            headers.insert(
                ACCESS_CONTROL_ALLOW_METHODS,
                HeaderValue::from_static(METHODS),
            );
            if let Some(names) = head.headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
                headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
            }
        }
        Some(answer)
    }

    /// Adds to an answer what the browser needs to show it to the page.
    pub(crate) fn allow(&self, head: &RequestHead, answer: &mut Answer) {
        let Some(origin) = self.allowed(head) else {
            return;
        };
        let headers = answer.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(
            ACCESS_CONTROL_ALLOW_CREDENTIALS,
            HeaderValue::from_static("true"),
        );
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
}
