//! Why the service cannot start.

use std::{error::Error, fmt};

/// A setting that cannot work, in a sentence for the person who made it. Holds no secret.
#[derive(Debug)]
pub struct SetUpError(String);

impl SetUpError {
    /// With these words, which name the setting and what to do.
    pub fn new(message: impl fmt::Display) -> Self {
        Self(message.to_string())
    }
}

impl fmt::Display for SetUpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for SetUpError {}
