//! The current token of a session: how it is got, kept and replaced.

mod back_off;
mod refused_services;
mod renewal;
mod revocation;
mod runtimes;
mod single_flight;
