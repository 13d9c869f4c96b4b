//! What is on the wire, between browser and service and between service and ArcGIS. For pages in a real browser see
//! `browser.rs`.

mod cookies;
mod forms;
mod forwarding;
mod own_users;
mod pages;
mod program;
mod signing_in;
mod start;
#[path = "../support/mod.rs"]
mod support;
mod visitor;
