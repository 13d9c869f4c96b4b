//! The current token of a session: how it is got, kept and replaced.

mod back_off;
mod budget;
mod reasons;
mod refused_services;
mod renewal;
mod runtimes;
mod single_flight;
mod unsigned;
