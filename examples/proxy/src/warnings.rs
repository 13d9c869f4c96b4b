//! What the upstream's answers say of the command line: one warning each, for a process needs no more.
//!
//! A challenge that reaches the caller because its service lies below another root than the one that is signed; a redirect
//! to https, which leads callers around the proxy.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::{Method, Response};
use http_body_util::{BodyExt, combinators::MapFrame};
use hyper::body::{Frame, Incoming};
use tower_arcgis_auth::{RequestFacts, ResponseBody, Verdict, detect};

/// A body that is looked at as it passes.
pub(crate) type Watched =
    MapFrame<ResponseBody<Incoming>, Box<dyn FnMut(Frame<Bytes>) -> Frame<Bytes> + Send>>;

static OTHER_ROOT: AtomicBool = AtomicBool::new(false);
static HTTPS: AtomicBool = AtomicBool::new(false);

/// The root that a request for a service would be signed below, unless that is the root of the site or the warning is out.
pub(crate) fn other_root<'a>(path: &'a str, root: &str) -> Option<&'a str> {
    if OTHER_ROOT.load(Ordering::Relaxed) {
        return None;
    }
    let other = path.get(..path.to_ascii_lowercase().find("/rest/")?)?;
    let below = other.strip_prefix(root);
    let is_below = below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    (!is_below).then_some(other)
}

/// Looks at the head of an unsigned answer and, as it passes, at the first piece of its body: challenges are short.
pub(crate) fn watch(
    response: Response<ResponseBody<Incoming>>,
    method: &Method,
    signed: String,
    expected: String,
) -> Response<Watched> {
    let facts = RequestFacts::new(method, false);
    let (head, body) = response.into_parts();
    let (status, headers) = (head.status, head.headers.clone());
    let warn_of_challenge = move |start: &[u8]| {
        let verdict = detect(status, &headers, facts, start, true);
        let is_challenge = matches!(verdict, Verdict::Challenge(_));
        if is_challenge && is_first(&OTHER_ROOT) {
            tracing::warn!(
                signed,
                expected,
                "a service asks for a login below a root where nothing is signed; if its requests are to be signed, start \
                 the proxy with --upstream and the root that is expected"
            );
        }
    };
    warn_of_challenge(b"");
    let mut is_seen = false;
    let look: Box<dyn FnMut(Frame<Bytes>) -> Frame<Bytes> + Send> = Box::new(move |frame| {
        if let Some(start) = frame.data_ref().filter(|_| !is_seen) {
            is_seen = true;
            warn_of_challenge(start);
        }
        frame
    });
    Response::from_parts(head, body.map_frame(look))
}

/// `location` leads to the upstream at https, though the proxy asks it at http.
pub(crate) fn warn_of_https(upstream: &str, location: &str) {
    if is_first(&HTTPS) {
        // Without the query: there the tokens are.
        let location = location.split(['?', '#']).next().unwrap_or_default();
        tracing::warn!(
            upstream,
            location,
            "the upstream redirects to https, which leads callers around the proxy; start it with --upstream https://…"
        );
    }
}

/// Whether this warning is given for the first time.
fn is_first(warning: &AtomicBool) -> bool {
    !warning.swap(true, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::other_root;

    #[test]
    fn what_is_before_rest_is_the_root_of_a_service() {
        let cases = [
            ("/server/rest/services", Some("/server")),
            ("/gis/server/REST/services/A/MapServer", Some("/gis/server")),
            ("/rest/services", Some("")),
            ("/arcgisx/rest/services", Some("/arcgisx")),
            ("/arcgis/rest/services", None),
            ("/arcgis/deeper/rest/services", None),
            ("/portal/home", None),
            ("/rest", None),
        ];
        for (path, root) in cases {
            assert_eq!(other_root(path, "/arcgis"), root, "{path}");
        }
    }
}
