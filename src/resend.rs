//! What further sendings of a request are made from: its head as the caller made it, its body, and the service.

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

use tower_service::Service;

use crate::body::{KeptBody, ReplayBody};

/// What further sendings are made from.
pub(crate) struct Kept<S, B> {
    pub(crate) service: S,
    pub(crate) head: UnsignedHead,
    pub(crate) body: KeptBody<B>,
}

/// A further sending, and the service that gets ready for it.
pub(crate) struct Resend<S, B> {
    pub(crate) service: S,
    pub(crate) request: Request<ReplayBody<B>>,
}

/// The head of a request as the caller made it: it holds no secret of ours.
#[derive(Clone)]
pub(crate) struct UnsignedHead {
    method: Method,
    uri: Uri,
    version: Version,
    /// Flat, because cloning a `HeaderMap` takes two allocations and this takes one.
    headers: Vec<(HeaderName, HeaderValue)>,
    extensions: Extensions,
}

impl<S, B> Kept<S, B> {
    /// The first sending of a request, and what others can be made from, which is taken before the request is `sign`ed.
    #[inline]
    pub(crate) fn send<T>(
        service: S,
        mut request: Request<T>,
        sign: impl FnOnce(&mut Request<T>),
        keep: impl FnOnce(T) -> (ReplayBody<B>, KeptBody<B>),
    ) -> (S::Future, Box<Self>)
    where
        S: Service<Request<ReplayBody<B>>>,
    {
        // Made where it stays, and the service called there: moving them costs as much as all headers.
        let mut kept = Box::new(Self {
            service,
            head: UnsignedHead::of(&request),
            body: KeptBody::Empty,
        });
        sign(&mut request);
        let (head, body) = request.into_parts();
        let (body, kept_body) = keep(body);
        kept.body = kept_body;
        let sent = kept.service.call(Request::from_parts(head, body));
        (sent, kept)
    }
}

impl<S: Clone, B> Kept<S, B> {
    /// One more sending, not signed yet, and what another could be made from if one `may_follow`. No sending where the body is
    /// lost. A sending still under way fails by this: the service may not get ready for the next before it is rid of that.
    pub(crate) fn resend(self, may_follow: bool) -> (Option<Resend<S, B>>, Option<Box<Self>>) {
        let body = if may_follow { self.body.copy() } else { None };
        let next = body.map(|body| {
            Box::new(Self {
                service: self.service.clone(),
                head: self.head.clone(),
                body,
            })
        });
        let resend = self.body.take().map(|body| Resend {
            service: self.service,
            request: self.head.into_request(body),
        });
        (resend, next)
    }
}

impl UnsignedHead {
    // Always, because a call would copy the head once more.
    #[inline(always)]
    pub(crate) fn of<T>(request: &Request<T>) -> Self {
        let mut headers = Vec::with_capacity(request.headers().len());
        // Extended by an iterator it would ask again and again how much is to come.
        for (name, value) in request.headers() {
            headers.push((name.clone(), value.clone()));
        }
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            headers,
            extensions: request.extensions().clone(),
        }
    }

    pub(crate) fn path(&self) -> &str {
        self.uri.path()
    }

    fn into_request<T>(self, body: T) -> Request<T> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.version_mut() = self.version;
        *request.extensions_mut() = self.extensions;
        let mut headers = HeaderMap::with_capacity(self.headers.len() + 1);
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        *request.headers_mut() = headers;
        request
    }
}
