//! One site and caller as a request meets them: the token store, and how its tokens are placed.

use std::sync::Arc;

use http::{HeaderValue, Request, Uri};

use crate::{
    endpoint::service_of,
    placement::{self, TokenPlacement},
    site::CallerToken,
    store::TokenStore,
    token::Token,
};

#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) store: Arc<TokenStore>,
    pub(crate) placement: TokenPlacement,
    pub(crate) caller_token: CallerToken,
    /// What the token is bound to, if it is bound to a `Referer`.
    pub(crate) referer: Option<HeaderValue>,
}

impl Account {
    pub(crate) fn has_token<B>(&self, request: &Request<B>) -> bool {
        placement::has_token(request.uri(), request.headers(), self.placement)
    }

    pub(crate) fn remove_token<B>(&self, request: &mut Request<B>) {
        placement::remove_token(request, self.placement);
    }

    pub(crate) fn sign<B>(&self, request: &mut Request<B>, token: &Token) {
        placement::sign(request, token, self.placement, self.referer.as_ref());
    }
}

/// What a service that refuses the account is remembered by: host and path through its `…Server` segment.
pub(crate) fn service_key(uri: &Uri) -> String {
    let mut key = uri
        .authority()
        .map(|authority| authority.as_str().to_owned())
        .unwrap_or_default();
    key.push_str(service_of(uri.path()));
    key.make_ascii_lowercase();
    key
}
