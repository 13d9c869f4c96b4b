//! A login page in front of secured ArcGIS services: people sign in once, in a browser, and see the maps of all of them.
//!
//! Browser → this service → the layer `tower-arcgis-auth` → ArcGIS. There are two kinds of login ([`Login`]):
//!
//! * [`Login::Arcgis`]: each person has an ArcGIS account. The name and the password of the login page are checked at
//!   ArcGIS's token service, once; from then on the layer gets each person's own tokens.
//! * [`Login::Own`]: the names and passwords are this service's own. ArcGIS has one account, which nobody sees.
//!
//! The password of an ArcGIS account is kept in memory as long as the person is signed in: tokens die, and only the
//! password gets new ones without asking again. It is wiped when the session ends.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod attempts;
mod cookie;
mod describe;
mod error;
mod forward;
mod gis;
mod headers;
mod login;
mod maps;
mod next;
mod page;
mod people;
mod portal;
mod session;
mod session_store;
mod sign_in;
mod users;

pub use self::{
    error::SetUpError,
    login::Login,
    maps::{Drawn, MapService},
    portal::{Portal, Settings},
    users::{UsersFile, line_for},
};
