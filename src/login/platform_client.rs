//! The default client for logins: rustls with the platform's root certificates.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_rustls::{ConfigBuilderExt, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{Connect, HttpConnector},
    },
    rt::{TokioExecutor, TokioTimer},
};
use rustls::ClientConfig;

use crate::{error::ConfigError, login::TokenClient, tls};

impl TokenClient {
    /// A client over rustls with the platform's root certificates, and with the process's own provider of cryptography or
    /// that of the feature `ring` or `aws-lc-rs`. It follows no redirect and takes no proxy from the environment.
    ///
    /// # Errors
    ///
    /// Where there is no such provider, or the platform has no root certificates to verify a server with.
    pub fn platform() -> Result<Self, ConfigError> {
        let tls = ClientConfig::builder_with_provider(tls::provider()?)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.try_with_platform_verifier())
            .map_err(|error| {
                ConfigError::new(format!(
                    "the client for logins has no root certificates to trust ({error}); install them (Debian: the \
                     package ca-certificates), or give a client of your own with `token_client`"
                ))
            })?
            .with_no_client_auth();
        Ok(Self::from_rustls_config(tls))
    }

    /// A client like [`platform`](Self::platform)'s, with the roots and settings of `tls`, of rustls 0.23.
    pub fn from_rustls_config(tls: ClientConfig) -> Self {
        Self::over(
            HttpsConnectorBuilder::new()
                .with_tls_config(tls)
                .https_or_http()
                .enable_http1()
                .enable_http2()
                .build(),
        )
    }

    /// A client that cannot do https.
    pub(crate) fn plain_http() -> Self {
        Self::over(HttpConnector::new())
    }

    fn over<C>(connector: C) -> Self
    where
        C: Connect + Clone + Send + Sync + 'static,
    {
        let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            // Logins are rare: the server would close a connection that is kept longer before the next login.
            .pool_idle_timeout(Duration::from_secs(15))
            .build(connector);
        Self::new(client)
    }
}
