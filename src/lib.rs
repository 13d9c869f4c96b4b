//! A layer around an HTTP client, any `Service<Request<…>>`, which takes care of ArcGIS's logins.
//!
//! Secured ArcGIS services do not answer `401`. They answer `200 OK` with
//! `{"error":{"code":499,"message":"Token Required"}}`, with a login page or with a redirect to one; the token comes
//! from an end point of its own and travels with every request. [`ArcgisAuthLayer`] sees such answers, logs in once
//! however many requests wait, signs, and sends again. Code above it never sees a login.
//!
//! ```text
//!  request ─▶ one of our sites? ── no ──▶ inner service, untouched
//!               │ yes
//!             a token of the caller's own? ── yes ──▶ inner service, untouched
//!               │ no
//!             keep an unsigned copy, sign, send ──▶ inner service
//!                                                      │
//!  answer ◀─ scrub ◀─ no ── a challenge? (status, headers, first bytes)
//!                                 │ yes
//!             one login, however many wait ── no token ──▶ the challenge, with the reason
//!               │ new token
//!             sign the copy, send again ──▶ inner service ──▶ its answer is the answer
//! ```
//!
//! # Quick start
//!
//! ```
//! use bytes::Bytes;
//! use http::Request;
//! use http_body_util::{BodyExt, Full};
//! use hyper_util::{client::legacy::Client, rt::TokioExecutor};
//! use tower::{ServiceBuilder, ServiceExt};
//! use tower_arcgis_auth::{ArcgisAuthLayer, Credential, Site};
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // A stand-in for ArcGIS Server, on loopback.
//!     let server = arcgis_stand_in::StandIn::start().await?;
//!     let (name, password) = (arcgis_stand_in::USERNAME, arcgis_stand_in::PASSWORD);
//!
//!     let site = Site::new(server.root()).credential(Credential::user(name, password));
//!     let client = ServiceBuilder::new()
//!         .layer(ArcgisAuthLayer::try_new(site)?)
//!         .service(Client::builder(TokioExecutor::new()).build_http());
//!
//!     for service in ["Parcels/MapServer", "Water/FeatureServer", "Zoning/MapServer"] {
//!         let url = server.url(&format!("rest/services/{service}?f=json"));
//!         let request = Request::get(url).body(Full::<Bytes>::default())?;
//!         let response = client.clone().oneshot(request).await?;
//!         println!("{service}: {}", response.body().outcome());
//!         let answer = response.into_body().collect().await?.to_bytes();
//!         assert!(answer.starts_with(b"{\"capabilities\""));
//!     }
//!     assert_eq!(server.counters().logins, 1);
//!     Ok(())
//! }
//! ```
//!
//! # Where to go on
//!
//! [`guide`] has a page for each kind of user (hyper, axum, reqwest, proxies, tests, many processes, failures), and the
//! reference: every option, what happens in each case, what it costs, what it protects against.
//!
//! The layer stands below what follows redirects, retries and times out, and above what decompresses:
//! [where in the stack](guide::hyper#where-in-the-stack).
//!
//! # Features
//!
//! * `axum`: [`AuthFailure`] is a response of axum's, and `ReqwestClient` an extractor. Brings the `axum-core` crate.
//! * `client` (default): the client that logs in, hyper-util over rustls with the platform's root certificates. Without
//!   it give one with [`token_client`](ArcgisAuthLayerBuilder::token_client).
//! * `identities` (default): [`Site::identity_fn`], a token for each identity. Brings the `moka` crate.
//! * `metrics`: counters, gauges and a histogram of each site for the `metrics` facade, whose names are in the module
//!   `metrics`.
//! * `redis`: `RedisTokenCache`, a shared cache in Redis. Brings the `redis` crate, and `shared-cache`.
//! * `reqwest`: `ReqwestClient` and `ReqwestService`, reqwest below the layer. TLS is by reqwest's own features.
//! * `ring`, `aws-lc-rs`: the cryptography of the login client's TLS and of Redis's. One of them is needed for https, unless the
//!   process has installed a provider of rustls before the layer is built. Neither is on by default: where a program's crates
//!   turn both of rustls's providers on, rustls's own choice (`rustls::ClientConfig::builder()`) panics in all of them. Take
//!   the one that the rest of the program uses.
//! * `sign-in`: a person's sign-in at a portal, `SignIn`. Brings the `oauth2` crate.
//! * `shared-cache`: processes share tokens and the history of logins, sealed, through a `SharedTokenCache`:
//!   `SealedTokenCache`, `Site::shared_token_cache`.
//! * `tracing` (default): one span for each login (`arcgis_login`) and events for failures, under the target
//!   `tower_arcgis_auth`; nothing per request, never a secret.

// Links to what a feature brings are broken without the feature; they are checked with all features on.
#![cfg_attr(
    not(all(feature = "identities", feature = "redis", feature = "sign-in")),
    allow(rustdoc::broken_intra_doc_links)
)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

#[cfg(all(test, feature = "shared-cache"))]
extern crate self as tower_arcgis_auth;

/// README's snippets compile.
#[cfg(all(
    doctest,
    feature = "identities",
    feature = "redis",
    feature = "reqwest"
))]
#[doc = include_str!("../README.md")]
mod readme {}

mod body;
mod challenge;
mod credential;
mod error;
mod exchange;
mod failure;
mod future;
mod guard;
#[cfg(doc)]
pub mod guide;
mod handle;
mod identity;
mod layer;
mod lock;
mod login;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(not(feature = "metrics"))]
mod metrics;
mod outcome;
mod report;
#[cfg(feature = "reqwest")]
mod reqwest_client;
mod resend;
mod resolve;
mod routes;
mod service;
mod session;
#[cfg(feature = "shared-cache")]
mod shared_cache;
mod sharing;
mod sign;
mod site;
#[cfg(any(feature = "client", feature = "redis"))]
mod tls;
mod token;
mod trace;
mod url;
mod waiting;

#[cfg(feature = "sign-in")]
pub use self::login::{SignIn, SignedIn};
#[cfg(feature = "reqwest")]
pub use self::reqwest_client::{ReqwestClient, ReqwestFuture, ReqwestService};
#[cfg(feature = "redis")]
pub use self::shared_cache::RedisTokenCache;
#[cfg(feature = "shared-cache")]
pub use self::shared_cache::{
    SealedRecord, SealedTokenCache, SharedSource, SharedTokenCache, TokenCacheError, TokenCacheKeys,
};
pub use self::{
    body::{ReplayBody, ResponseBody},
    challenge::{Challenge, RequestFacts, Verdict, detect},
    credential::{Credential, Fingerprint, Secret},
    error::{BoxError, ConfigError, TokenError},
    failure::{
        AuthFailure, FailureAsError, FailureAsErrorFuture, FailureAsErrorLayer, FailureAsStatus,
        FailureAsStatusFuture, FailureAsStatusLayer,
    },
    future::ResponseFuture,
    guard::{LockoutGuard, LoginAttempt},
    handle::{ArcgisAuthHandle, Counters, SiteHandle},
    identity::Identity,
    layer::{ArcgisAuthLayer, ArcgisAuthLayerBuilder},
    login::{
        Cancelled, ChosenSource, CredentialRequest, FederatedServer, GenerateToken, LegacyToken,
        OAuthApp, Portal, RefreshToken, RotatedToken, SiteReport, StaticToken, TokenClient,
        revoke_token,
    },
    outcome::{AuthOutcome, RenewError, SkipReason},
    report::site_report,
    service::ArcgisAuth,
    session::{SessionState, TokenState},
    sign::{CallerToken, TokenPlacement},
    site::Site,
    token::{
        BoxTokenSource, IssuedToken, OrElse, SignOut, Token, TokenBinding, TokenReason,
        TokenRequest, TokenSource, TokenSourceFn, token_source_fn,
    },
    url::{EndPoint, PathPrefix},
};
