//! An ArcGIS Server for tests: real HTTP on a loopback port, no ArcGIS and no licence for it.
//!
//! [`StandIn`] serves secured and public services, hands out tokens, and misbehaves on demand: every shape a
//! challenge comes in ([`ChallengeShape`]), every way a token service breaks ([`TokenFault`]), and gates that hold
//! requests until a test lets them go, so that no test has to sleep. It counts and keeps what it received.
//!
//! The [guide] has all challenges and how to choose them, a test in full, and how to use the program from other languages.
//! `Certificate` (feature `https`) is for https, [`Cors`] for pages of other origins.
//!
//! It comes in several personalities ([`Personality`]), and federated with a [`Portal`] that has logins, token exchange,
//! OAuth and API keys of its own.
//!
//! HTTP/1 and HTTP/2 (prior knowledge, clear text) are spoken on the same port. Time is tokio's: `tokio::time::advance`
//! expires tokens and opens locked accounts.
//!
//! ```
//! use arcgis_stand_in::{ChallengeShape, PASSWORD, StandIn, USERNAME};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let arcgis = StandIn::start().await?;
//! arcgis.set_challenge("Parcels/MapServer", ChallengeShape::LoginRedirect);
//!
//! // Point the code under test at `arcgis.root()` with `USERNAME` and `PASSWORD`, run it, then:
//! arcgis.revoke_all_tokens();
//! assert_eq!(arcgis.counters().logins, 0);
//! assert!(arcgis.root().starts_with("http://127.0.0.1:"));
//! # let _ = (USERNAME, PASSWORD);
//! # Ok(())
//! # }
//! ```

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod accounts;
mod answer;
mod binding;
mod body;
mod builder;
#[cfg(feature = "https")]
mod certificate;
mod challenge;
mod challenge_shape;
mod clock;
mod control;
mod cors;
mod digest;
mod expiration;
mod export;
mod fault;
mod gate;
#[cfg(any(doc, doctest))]
pub mod guide;
mod host;
mod info;
mod issuer;
mod journal;
mod legacy;
mod pages;
mod personality;
mod picture;
mod portal;
mod prefixes;
mod presented_token;
mod request_parts;
mod resources;
mod router;
mod server;
mod server_control;
mod services;
mod stand_in;
mod state;
mod token_service;
mod token_text;
mod tokens;
mod transport;
mod unknown_name;
mod user_counters;

pub use builder::StandInBuilder;
#[cfg(feature = "https")]
pub use certificate::Certificate;
pub use challenge_shape::ChallengeShape;
pub use cors::Cors;
pub use digest::digest;
pub use fault::TokenFault;
pub use gate::Gate;
pub use journal::{Counters, Received};
pub use legacy::LegacyRefusal;
pub use personality::Personality;
pub use portal::{Portal, PortalBuilder, PortalCounters};
pub use services::Refusal;
pub use stand_in::StandIn;
pub use unknown_name::UnknownName;
pub use user_counters::UserCounters;

/// The user every stand-in knows unless the builder says otherwise.
pub const USERNAME: &str = "gis";

/// The password of [`USERNAME`]: full of characters that go wrong when a form is not encoded.
pub const PASSWORD: &str = "stand-in password & 100% + ?#";

/// The examples of the read-me, compiled and run with the doctests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadMe;
