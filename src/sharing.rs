//! What a site's logins share with other processes: all that its shared cache holds, and nothing without the feature
//! `shared-cache`.

#[cfg(not(feature = "shared-cache"))]
pub(crate) use disabled::Sharing;
#[cfg(feature = "shared-cache")]
pub(crate) use enabled::Sharing;

#[cfg(feature = "shared-cache")]
mod enabled {
    use std::sync::Arc;

    use crate::{
        credential::Fingerprint,
        error::TokenError,
        guard::SharedHistory,
        shared_cache::{About, SealedTokenCache},
        token::{DynTokenSource, IssuedToken, SignOut, TokenBinding, TokenRequest, TokenSource},
    };

    type Source = Arc<dyn DynTokenSource>;

    /// The cache that a site's logins are shared through, if there is one.
    #[derive(Clone, Debug, Default)]
    pub(crate) struct Sharing(Option<SealedTokenCache>);

    impl Sharing {
        pub(crate) fn through(cache: &SealedTokenCache) -> Self {
            Self(Some(cache.clone()))
        }

        pub(crate) fn is_on(&self) -> bool {
            self.0.is_some()
        }

        /// The source of a site's tokens, which are bound to `binding`: not to an address, which is one machine's.
        pub(crate) fn site(&self, binding: &TokenBinding, source: Source) -> Source {
            let binding = binding.key();
            self.shared(About::Site { binding }, source)
        }

        /// The login at a portal that serves all its servers. What is bound to an address is of use on one machine only.
        pub(crate) fn portal(&self, binding: &TokenBinding, source: Source) -> Source {
            if !binding.is_portable() {
                return source;
            }
            let binding = binding.key();
            self.shared(About::Portal { binding }, source)
        }

        /// The histories of logins that several processes share, for one guard.
        pub(crate) fn history(&self) -> Option<Arc<dyn SharedHistory>> {
            let cache = self.0.as_ref()?;
            Some(cache.history())
        }

        fn shared(&self, about: About, source: Source) -> Source {
            match &self.0 {
                Some(cache) => Arc::new(cache.share(about, Erased(source))),
                None => source,
            }
        }
    }

    /// A source behind a pointer is a source.
    struct Erased(Source);

    impl TokenSource for Erased {
        async fn token(&self, request: TokenRequest) -> Result<IssuedToken, TokenError> {
            self.0.token(request).await
        }

        fn fingerprint(&self, fingerprint: &mut Fingerprint) {
            self.0.fingerprint(fingerprint);
        }

        async fn sign_out(&self, sign_out: SignOut) -> Result<(), TokenError> {
            self.0.sign_out(sign_out).await
        }
    }
}

#[cfg(not(feature = "shared-cache"))]
mod disabled {
    use std::sync::Arc;

    use crate::{
        guard::SharedHistory,
        token::{DynTokenSource, TokenBinding},
    };

    type Source = Arc<dyn DynTokenSource>;

    #[derive(Clone, Debug, Default)]
    pub(crate) struct Sharing(());

    impl Sharing {
        pub(crate) fn is_on(&self) -> bool {
            false
        }

        pub(crate) fn site(&self, _binding: &TokenBinding, source: Source) -> Source {
            source
        }

        pub(crate) fn portal(&self, _binding: &TokenBinding, source: Source) -> Source {
            source
        }

        pub(crate) fn history(&self) -> Option<Arc<dyn SharedHistory>> {
            None
        }
    }
}
