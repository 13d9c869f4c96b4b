//! What a site's logins share with other processes: what its vault says, and nothing without the feature `vault`.

#[cfg(not(feature = "shared-cache"))]
pub(crate) use disabled::Sharing;
#[cfg(feature = "shared-cache")]
pub(crate) use enabled::Sharing;

#[cfg(feature = "shared-cache")]
mod enabled {
    use std::{fmt, sync::Arc};

    use crate::{
        credential::Fingerprint,
        error::TokenError,
        shared_cache::{About, SealedTokenCache, SharedSource},
        token::TokenBinding,
        token::{DynTokenSource, IssuedToken, SignOut, TokenRequest, TokenSource},
    };

    type Source = Arc<dyn DynTokenSource>;

    /// With whom logins are shared: with all who have the same vault, if there is one.
    #[derive(Clone, Debug, Default)]
    pub(crate) struct Sharing(Option<SealedTokenCache>);

    impl Sharing {
        pub(crate) fn through(vault: &SealedTokenCache) -> Self {
            Self(Some(vault.clone()))
        }

        pub(crate) fn is_on(&self) -> bool {
            self.0.is_some()
        }

        /// The source of a site's tokens. `binding` is what they are bound to: not to an address, which is one machine's.
        /// `is_users` of a source of the user's own, which takes no turns.
        pub(crate) fn site(
            &self,
            binding: &dyn fmt::Debug,
            is_users: bool,
            source: Source,
        ) -> Source {
            let binding = format!("{binding:?}");
            self.shared(About::Site { binding }, is_users, source)
        }

        /// The login at a portal that serves all its servers. What is bound to an address is of use on one machine only.
        pub(crate) fn portal(&self, binding: &TokenBinding, source: Source) -> Source {
            if !matches!(binding, TokenBinding::Referer(_)) {
                return source;
            }
            let binding = format!("{binding:?}");
            self.shared(About::Portal { binding }, false, source)
        }

        /// A credential's logins at one token service, whatever they are for.
        pub(crate) fn turn(&self, service: &Endpoint, source: Source) -> Source {
            let service = format!("{service:?}").to_ascii_lowercase();
            self.shared(About::Turn { service }, true, source)
        }

        fn shared(&self, about: About, counts: bool, source: Source) -> Source {
            let Some(vault) = self.0.clone() else {
                return source;
            };
            let source = Erased(source);
            if counts {
                Arc::new(SharedSource::new(vault, about, source))
            } else {
                Arc::new(SharedSource::above_turns(vault, about, source))
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
