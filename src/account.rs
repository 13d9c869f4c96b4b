//! One site and caller as a request meets them: the token store, and how its tokens are placed.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Uri};

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
    pub(crate) fn has_token(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        placement::has_token(uri, headers, self.placement)
    }

    pub(crate) fn remove_token(&self, uri: &mut Uri, headers: &mut HeaderMap) {
        placement::remove_token(uri, headers, self.placement);
    }

    pub(crate) fn sign(&self, uri: &mut Uri, headers: &mut HeaderMap, token: &Token) {
        placement::sign(uri, headers, token, self.placement, self.referer.as_ref());
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
