//! How tokens are got, kept and renewed.

mod credentials;
mod explore;
mod generate_token;
mod sources;
