//! Failed logins never lock an account: ArcGIS locks one after five in 15 minutes.

mod across_sites;
mod attempts;
mod changed_credentials;
mod concurrent_logins;
mod credential_fn;
mod dropped_runtimes;
mod identities;
mod own_sources;
mod refusals;
mod sign_out;
mod unanswered;
