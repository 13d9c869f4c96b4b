//! How tokens are got, kept and renewed.

mod budget;
mod credentials;
mod explore;
mod generate_token;
mod odd_token_services;
mod portal;
mod refused_services;
mod single_flight;
mod sources;
mod token_store;
