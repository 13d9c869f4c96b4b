//! The small options that sources have in common, each written once.

/// What tokens are bound to: for a builder with a field `binding`.
macro_rules! binding_setters {
    () => {
        /// What the tokens are bound to.
        #[must_use]
        pub fn binding(mut self, binding: $crate::token::TokenBinding) -> Self {
            self.binding = binding;
            self
        }

        /// Binds the tokens to this `Referer`, which every request signed with them must carry.
        #[must_use]
        pub fn referer(self, referer: impl Into<String>) -> Self {
            self.binding($crate::token::TokenBinding::Referer(referer.into()))
        }

        /// Binds the tokens to the address that the token service sees.
        #[must_use]
        pub fn bind_to_address(self) -> Self {
            self.binding($crate::token::TokenBinding::RequestIp)
        }
    };
}

/// How long tokens are asked for: for a builder with a field `lifetime`.
macro_rules! lifetime_setter {
    () => {
        /// Asks for tokens that are valid for `lifetime`, in whole minutes, at least one. The server may grant less.
        #[must_use]
        pub fn lifetime(mut self, lifetime: std::time::Duration) -> Self {
            self.lifetime = lifetime;
            self
        }
    };
}

/// Plain http: for a builder with a field `endpoint`.
macro_rules! insecure_http_setter {
    () => {
        /// Lets the secret travel over plain http, where everyone on the path can read it. Not needed on loopback.
        #[must_use]
        pub fn allow_insecure_http(mut self) -> Self {
            self.endpoint = self.endpoint.allow_insecure_http();
            self
        }
    };
}

/// User name and password in the URL: for a builder with a field `credentials_in_url`.
macro_rules! credentials_in_url_setter {
    ($(#[$documentation:meta])*) => {
        $(#[$documentation])*
        #[must_use]
        pub fn credentials_in_url(self) -> Self {
            self.with_credentials_in_url(true)
        }

        pub(super) fn with_credentials_in_url(self, credentials_in_url: bool) -> Self {
            Self {
                credentials_in_url,
                ..self
            }
        }
    };
}

pub(super) use {
    binding_setters, credentials_in_url_setter, insecure_http_setter, lifetime_setter,
};
