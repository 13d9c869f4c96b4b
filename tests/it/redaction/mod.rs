//! No secret is shown in a `Debug` or an error.

mod debug;
mod errors;
mod shown;
