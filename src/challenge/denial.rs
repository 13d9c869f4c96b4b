//! What an ArcGIS error asks for, by its code and what is said beside it.

use crate::challenge::Challenge;

/// What an ArcGIS error says besides its code.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Denial {
    /// Its `messageCode` names an organisation or subscription that is blocked.
    pub(super) blocked: bool,
    /// Its `subcode`, if there is one; 255 if that is no digit.
    pub(super) subcode: Option<u8>,
    /// Its message speaks of SSL.
    pub(super) ssl: bool,
    /// Its message speaks of permissions.
    pub(super) permission: bool,
    /// It complains of a user name and password, not of a token.
    pub(super) credentials: bool,
    /// Its message speaks of a directory, ...
    pub(super) directory: bool,
    /// ... and of something that is disabled.
    pub(super) disabled: bool,
}

impl Denial {
    /// Takes in what a message says. JSON does the same while it arrives.
    pub(super) fn note(&mut self, message: &str) {
        let message = message.to_ascii_lowercase();
        self.ssl |= message.contains("ssl");
        self.permission |= message.contains("permission");
        self.credentials |=
            message.contains("lid credentials") || message.contains("name or password");
        self.directory |= message.contains("directory");
        self.disabled |= message.contains("disabled");
    }

    /// What an ArcGIS error with this code asks for.
    pub(super) fn judge(self, code: u16, token: bool) -> Option<Challenge> {
        let either = if token {
            Challenge::TokenInvalid
        } else {
            Challenge::TokenRequired
        };
        match code {
            498 => Some(Challenge::TokenInvalid),
            499 => Some(Challenge::TokenRequired),
            401 if !self.credentials => Some(either),
            403 if self.blocked || self.credentials || (self.ssl && !self.permission) => None,
            // "Services Directory has been disabled": HTML is off for all users, whatever the token.
            403 if self.directory && self.disabled => None,
            403 => match self.subcode {
                // A user without the right stays without it, whatever the token.
                None => (!token).then_some(Challenge::TokenRequired),
                Some(2) => Some(either),
                // 4 asks for https; the others are not about tokens.
                Some(_) => None,
            },
            _ => None,
        }
    }
}
