//! How to use it, a page for each kind of user, and every option and odd case.
//!
//! | you have | page |
//! | --- | --- |
//! | hyper's client, or any tower service | [`hyper`] |
//! | an axum service | [`axum`] |
//! | reqwest | [`reqwest`] |
//! | a proxy of your own, or no code at all | [`proxies`] |
//! | tests without an ArcGIS | [`testing`] |
//! | many processes | [`sharing`] |
//! | callers who must be told when a login fails | [`failures`] |
//!
//! For reference: [`options`], [`logins`], [`behaviour`] in each case, [`cost`], [`security`].
//!
//! A map or a table of ArcGIS is called a *service* there, `…/rest/services/Roads/MapServer`. A *token* is an opaque text that
//! expires; a POST to `generateToken` returns one, often bound to a `Referer`. Error 499 means that no token arrived, 498 that
//! the token is not valid, or no longer; both mostly come under HTTP 200. A *service* of tower takes a request and gives a
//! response; a *layer* wraps one service into another. This crate's layer wraps an HTTP client.

#[doc = include_str!("axum.md")]
pub mod axum {}

#[doc = include_str!("behaviour.md")]
pub mod behaviour {}

#[doc = include_str!("cost.md")]
pub mod cost {}

#[doc = include_str!("failures.md")]
pub mod failures {}

#[doc = include_str!("hyper.md")]
pub mod hyper {}

// The pages' examples run where their features are on; the pages are there always.
#[cfg(any(not(doctest), feature = "identities"))]
#[cfg_attr(docsrs, doc(auto_cfg = false))]
#[doc = include_str!("logins.md")]
pub mod logins {}

#[doc = include_str!("options.md")]
pub mod options {}

#[doc = include_str!("proxies.md")]
pub mod proxies {}

#[cfg(any(not(doctest), feature = "reqwest"))]
#[cfg_attr(docsrs, doc(auto_cfg = false))]
#[doc = include_str!("reqwest.md")]
pub mod reqwest {}

#[doc = include_str!("security.md")]
pub mod security {}

#[cfg(any(not(doctest), feature = "redis"))]
#[cfg_attr(docsrs, doc(auto_cfg = false))]
#[doc = include_str!("sharing.md")]
pub mod sharing {}

#[doc = include_str!("testing.md")]
pub mod testing {}
