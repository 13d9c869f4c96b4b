//! What is a challenge: the detector by itself.

mod challenge;
mod corpus;
