//! What a site's logins share with other processes: what its vault says, and nothing without the feature `vault`.

#[cfg(not(feature = "vault"))]
pub(crate) use disabled::Sharing;
#[cfg(feature = "vault")]
pub(crate) use enabled::Sharing;

#[cfg(feature = "vault")]
mod enabled {
    use std::{fmt, sync::Arc};

    use crate::{
        error::TokenError,
        source::{
            ClientBinding, DynTokenSource, Endpoint, Fingerprint, SignOut, TokenRequest,
            TokenSource,
        },
        token::IssuedToken,
        vault::{About, SealedVault, VaultedSource},
    };

    type Source = Arc<dyn DynTokenSource>;

    /// With whom logins are shared: with all who have the same vault, if there is one.
    #[derive(Clone, Debug, Default)]
    pub(crate) struct Sharing(Option<SealedVault>);

    impl Sharing {
        pub(crate) fn through(vault: &SealedVault) -> Self {
            Self(Some(vault.clone()))
        }

        pub(crate) fn is_on(&self) -> bool {
            self.0.is_some()
        }

        /// The source of a site's tokens. `binding` is what they are bound to: not to an address, which is one machine's.
        pub(crate) fn site(&self, binding: &dyn fmt::Debug, source: Source) -> Source {
            let binding = format!("{binding:?}");
            self.shared(|| About::Site { binding }, source)
        }

        /// The login at a portal that serves all its servers. What is bound to an address is of use on one machine only.
        pub(crate) fn portal(&self, binding: &ClientBinding, source: Source) -> Source {
            if !matches!(binding, ClientBinding::Referer(_)) {
                return source;
            }
            let binding = format!("{binding:?}");
            self.shared(|| About::Portal { binding }, source)
        }

        /// A credential's logins at one token service, whatever they are for.
        pub(crate) fn turn(&self, service: &Endpoint, source: Source) -> Source {
            let service = format!("{service:?}").to_ascii_lowercase();
            self.shared(|| About::Turn { service }, source)
        }

        fn shared(&self, about: impl FnOnce() -> About, source: Source) -> Source {
            match &self.0 {
                Some(vault) => Arc::new(VaultedSource::new(vault.clone(), about(), Erased(source))),
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

#[cfg(not(feature = "vault"))]
mod disabled {
    use std::{fmt, sync::Arc};

    use crate::source::{ClientBinding, DynTokenSource, Endpoint};

    type Source = Arc<dyn DynTokenSource>;

    #[derive(Clone, Debug, Default)]
    pub(crate) struct Sharing(());

    impl Sharing {
        pub(crate) fn is_on(&self) -> bool {
            false
        }

        pub(crate) fn site(&self, _binding: &dyn fmt::Debug, source: Source) -> Source {
            source
        }

        pub(crate) fn portal(&self, _binding: &ClientBinding, source: Source) -> Source {
            source
        }

        pub(crate) fn turn(&self, _service: &Endpoint, source: Source) -> Source {
            source
        }
    }
}
