//! From a request to the site it is for: by its path, or by the URL that it has behind a `?`.

mod page;
mod route;
mod serves;

use std::sync::Arc;

use bytes::Bytes;
use http::{
    Response, Uri,
    header::{CONTENT_TYPE, HeaderValue},
    request::Parts,
    uri::PathAndQuery,
};
use http_body_util::Full;
use serde_json::json;

use self::page::Page;
pub(crate) use self::{
    route::{Back, Forwards, Listed, Mount, Route},
    serves::{Scheme, Serves},
};
use crate::{access::SiteAccess, forward::Forward, refusal::Refusal};

/// All sites of a proxy.
pub(crate) struct Routes {
    kind: Kind,
}

enum Kind {
    /// One server, all of whose paths are the proxy's own.
    One(Box<Route>),
    /// Sites of a file, the longest path first.
    Many(Arc<[Arc<Route>]>),
}

/// Where a request goes, its head turned towards there.
pub(crate) struct Found<'a> {
    pub(crate) access: &'a SiteAccess,
    pub(crate) forward: &'a Forward,
    pub(crate) back: Back,
}

/// A request that goes nowhere.
pub(crate) enum Unrouted {
    Refused(Refusal),
    /// It asks whether the proxy is there.
    Ping,
}

impl Routes {
    pub(crate) fn one(route: Route) -> Self {
        Self {
            kind: Kind::One(Box::new(route)),
        }
    }

    pub(crate) fn many(mut routes: Vec<Route>) -> Self {
        // Of two with the same path the file's first comes first.
        routes.sort_by_key(|route| std::cmp::Reverse(route.serves.depth()));
        Self {
            kind: Kind::Many(routes.into_iter().map(Arc::new).collect()),
        }
    }

    /// The site that a request is for. Its head has the site's own path then.
    pub(crate) fn find(&self, head: &mut Parts) -> Result<Found<'_>, Unrouted> {
        match &self.kind {
            Kind::One(route) => Ok(route.found(route.is_https(), Back::Same)),
            Kind::Many(routes) => find_of_many(routes, head),
        }
    }
}

fn find_of_many<'a>(
    routes: &'a Arc<[Arc<Route>]>,
    head: &mut Parts,
) -> Result<Found<'a>, Unrouted> {
    let refused = |refusal| Err(Unrouted::Refused(refusal));
    match Page::of(&head.uri) {
        Some(Page::Ping) => return Err(Unrouted::Ping),
        Some(Page::Target { page, target }) => {
            let Some(target) = target else {
                return refused(Refusal::Target);
            };
            let Some((route, path)) = route::of_url(routes, &target) else {
                return refused(Refusal::Unlisted);
            };
            set_path(head, &path, target.query())?;
            let back = Back::page(page, Arc::clone(routes));
            return Ok(route.found(route.is_https_for(&target), back));
        }
        None => {}
    }
    let path = head.uri.path();
    let mounted = routes
        .iter()
        .filter_map(|route| Some((route, route.mount.as_ref()?.rest_of(path)?)))
        .max_by_key(|(route, _)| route.mount.as_ref().map(Mount::depth));
    let Some((route, rest)) = mounted else {
        return refused(Refusal::Unlisted);
    };
    if !route.serves.allows_rest(rest) {
        return refused(Refusal::Unlisted);
    }
    let path = route.serves.path_with(rest);
    let query = head.uri.query().map(str::to_owned);
    set_path(head, &path, query.as_deref())?;
    Ok(route.found(route.is_https(), Back::mount(Arc::clone(routes))))
}

/// Gives the head the path that the site has.
fn set_path(head: &mut Parts, path: &str, query: Option<&str>) -> Result<(), Unrouted> {
    let target = match query {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    let mut parts = std::mem::take(&mut head.uri).into_parts();
    parts.path_and_query = Some(target.map_err(|_| Unrouted::Refused(Refusal::Target))?);
    // With an authority there has to be a scheme; HTTP/2 has both, and HTTP/1 neither.
    head.uri = Uri::from_parts(parts).map_err(|_| Unrouted::Refused(Refusal::Target))?;
    Ok(())
}

impl Route {
    fn found(&self, asked_https: bool, back: Back) -> Found<'_> {
        Found {
            access: &self.access,
            forward: self.forward(asked_https),
            back,
        }
    }
}

/// The answer to `/proxy?ping`, with the names that resource-proxy has in it.
pub(crate) fn ping() -> Response<Full<Bytes>> {
    let version = env!("CARGO_PKG_VERSION");
    let body = json!({
        "Proxy Version": version,
        "Configuration File": "OK",
        "Log File": "OK",
    });
    let mut response = Response::new(Full::from(body.to_string()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    crate::headers::set_no_store(headers);
    response
}
