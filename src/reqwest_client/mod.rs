//! reqwest below the layer, set up so that no token leaks: as a service, and as a client.

mod body;
mod client;
mod service;

pub use self::{
    client::ReqwestClient,
    service::{ReqwestFuture, ReqwestService},
};
