//! One request's decisions: what it is signed with, what is kept of it, and what a challenge leads to. The future only
//! carries them out.

mod reaction;
mod sending;
mod state;

pub(crate) use self::{
    reaction::Reaction,
    sending::Beginning,
    state::{Exchange, RequestNotes, SignedSending, Unsigned},
};
