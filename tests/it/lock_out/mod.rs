//! Lock-out.

mod pauses;
