//! A tower layer that signs requests to secured ArcGIS services.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod account;
mod body;
mod challenge;
mod clean;
mod endpoint;
mod error;
mod future;
mod layer;
mod outcome;
mod placement;
mod service;
mod site;
mod source;
mod store;
mod token;
mod trace;

pub use self::{
    body::{ReplayBody, ResponseBody},
    challenge::{Challenge, RequestFacts, Verdict, detect},
    error::{BoxError, ConfigError, TokenError},
    future::ResponseFuture,
    layer::{ArcgisAuthLayer, ArcgisAuthLayerBuilder},
    outcome::{AuthOutcome, Withheld},
    placement::TokenPlacement,
    service::ArcgisAuth,
    site::{CallerToken, Site},
    source::{
        ClientBinding, Credential, GenerateToken, TokenClient, TokenReason, TokenRequest,
        TokenSource, TokenSourceFn, token_source_fn,
    },
    token::{IssuedToken, Token},
};
