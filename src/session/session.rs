//! One session: its token store, how its token travels, and the services that no login helps.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use http::{HeaderValue, Request};

use super::{
    services::RefusedServices,
    store::{Forgotten, TokenStore},
};
use crate::{
    sign::{CallerToken, QueryToken, TokenPlacement, placement},
    token::Token,
};

/// What the layer's settings say of every request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LayerSettings {
    /// Bytes of a body that are kept.
    pub(crate) replay_limit: usize,
    /// How long a request waits for a login before its first sending.
    pub(crate) login_timeout: Duration,
    /// Clean answers get an outcome in their extensions, too.
    pub(crate) outcome_in_every_response: bool,
}

/// The shared state of one site and identity.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) store: Arc<TokenStore>,
    pub(crate) signing: Signing,
    /// Here because every request has its session at hand.
    pub(crate) settings: LayerSettings,
    pub(crate) services: RefusedServices,
    /// A service outside the site's root was challenged, and warned of.
    pub(crate) is_warned_of_root: AtomicBool,
}

impl Session {
    pub(crate) fn new(store: Arc<TokenStore>, signing: Signing, settings: LayerSettings) -> Self {
        Self {
            store,
            signing,
            settings,
            services: RefusedServices::default(),
            is_warned_of_root: AtomicBool::new(false),
        }
    }

    /// The token of a request about which there is nothing to decide: it is fresh, and nothing is remembered of any service.
    #[inline]
    pub(crate) fn unremarkable_token(&self) -> Option<Arc<Token>> {
        if self.services.remembers_any() {
            return None;
        }
        self.store.unremarkable_token()
    }

    /// Forgets all but what token services have not forgotten either.
    pub(crate) fn forget(&self) -> Forgotten {
        self.services.clear();
        self.store.forget()
    }
}

/// How a site's requests are signed.
#[derive(Clone, Debug)]
pub(crate) struct Signing {
    pub(crate) placement: TokenPlacement,
    pub(crate) caller_token: CallerToken,
    /// What the token is bound to, if it is bound to a `Referer`.
    pub(crate) referer: Option<HeaderValue>,
    /// What comes back is for one identity: no cache may hand it to another.
    pub(crate) private_answers: bool,
    /// A request without a token waits for the login.
    pub(crate) login_first: bool,
}

impl Signing {
    /// Puts the token on a request, and `only_in_query` where the server has not taken a header. Says where it went. See
    /// [`placement::sign`].
    #[inline]
    pub(crate) fn sign<B>(
        &self,
        request: &mut Request<B>,
        token: &Token,
        query_token: QueryToken,
        only_in_query: bool,
    ) -> TokenPlacement {
        let referer = self.referer.as_ref();
        let takes_header = !only_in_query && token.takes_esri_header();
        placement::sign(
            request,
            token,
            self.placement,
            takes_header,
            query_token,
            referer,
        )
    }
}
