//! Requests that are sent again.

mod bodies;
mod sockets;
