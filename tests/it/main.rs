//! The tests of the layer in one program: what it does, a folder or file a subject.

mod detection;
mod replay;
mod response_body;
mod support;
