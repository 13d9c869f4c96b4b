//! The handle on a running layer: listing, signing out, renewing, counting.

mod renew;
mod sign_out;
mod sources;
mod status;
mod whose;
