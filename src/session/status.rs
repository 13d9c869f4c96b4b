//! What a session tells of itself: its token but for the text, and why it makes no login.

use std::{fmt, time::Duration};

use crate::{identity::Identity, outcome::SkipReason, token::Token};

/// The session of one site and identity: its token, and why it has none or gets no new one.
#[derive(Clone, Debug)]
pub struct SessionState {
    pub(crate) identity: Option<Identity>,
    pub(crate) token: Option<TokenState>,
    pub(crate) no_login: Option<SkipReason>,
    pub(crate) is_logging_in: bool,
    pub(crate) logins_left: u32,
}

impl SessionState {
    /// The identity, where each has a token of its own.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// The token that requests are signed with, if there is one.
    pub fn token(&self) -> Option<&TokenState> {
        self.token.as_ref()
    }

    /// Why no login would be made now, if one were wanted.
    pub fn skip_reason(&self) -> Option<&SkipReason> {
        self.no_login.as_ref()
    }

    /// Whether a login is under way.
    pub fn is_logging_in(&self) -> bool {
        self.is_logging_in
    }

    /// How many logins challenges may cause now: at most 20, one more every 30 seconds.
    pub fn logins_left(&self) -> u32 {
        self.logins_left
    }
}

impl fmt::Display for SessionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.token {
            Some(token) => write!(f, "{token}")?,
            None => f.write_str("no token")?,
        }
        if self.is_logging_in {
            f.write_str(", logging in")?;
        }
        if let Some(reason) = &self.no_login {
            write!(f, ", {reason}")?;
        }
        Ok(())
    }
}

/// What is known of a token, but for its text.
#[derive(Clone, Debug)]
pub struct TokenState {
    generation: u64,
    age: Duration,
    expires_in: Option<Duration>,
    is_proven: bool,
}

impl TokenState {
    pub(crate) fn of(token: &Token) -> Self {
        Self {
            generation: token.generation(),
            age: token.age(),
            expires_in: token.expires_in(),
            is_proven: token.is_proven(),
        }
    }

    /// Which token of this session it is, counted from 1.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// How long ago it was got.
    pub fn age(&self) -> Duration {
        self.age
    }

    /// How long it is good for by what the server said; zero where that is over, `None` where the server did not say.
    pub fn expires_in(&self) -> Option<Duration> {
        self.expires_in
    }

    /// Whether a request signed with it got an answer that is no challenge.
    pub fn is_proven(&self) -> bool {
        self.is_proven
    }
}

impl fmt::Display for TokenState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "token {} of {} s ago",
            self.generation,
            self.age.as_secs()
        )?;
        if let Some(rest) = self.expires_in {
            write!(f, ", good for {} s", rest.as_secs())?;
        }
        if !self.is_proven {
            f.write_str(", not yet known to work")?;
        }
        Ok(())
    }
}
