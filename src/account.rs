//! One site and caller as a request meets them: the token store, and how its tokens are placed.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Arc, LazyLock},
};

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

/// What a service that refuses the account is remembered by: host, and path through its `…Server` segment. Given the
/// URI and how long the site's root is in its path.
pub(crate) fn service_key(uri: &Uri, root: usize) -> ServiceKey {
    static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    let path = uri.path();
    let service = path.get(root..).map_or(path, service_of);
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let spelling = (authority.to_ascii_lowercase(), service.to_ascii_lowercase());
    ServiceKey(HASHER.hash_one(spelling))
}

/// A service's name, hashed: callers choose how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ServiceKey(pub(crate) u64);
