//! Finds out from the first bytes what a body is. Content types are no help: ArcGIS Server sends
//! JSON as `text/plain`, under an image's URL, or with no type at all.

use crate::challenge::{Step, json::Json, markup::Markup, situation::Situation};

/// A callback's name is short; more than this before the parenthesis is prose.
const CALLBACK: u16 = 512;

/// What the body has turned out to be.
#[derive(Debug)]
pub(super) enum Scan {
    /// White space and byte order mark so far.
    Blank {
        mark: u8,
    },
    /// Perhaps `callback(`.
    Callback {
        len: u16,
        comment: Comment,
    },
    /// `callback(`, so an object must follow.
    Argument,
    Json(Json),
    Markup(Box<Markup>),
    /// Nothing that could be a challenge of its own.
    Other,
}

/// Where in a comment in front of a callback we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comment {
    Outside,
    Slash,
    Inside,
    Star,
}

impl Default for Scan {
    fn default() -> Self {
        Self::Blank { mark: 0 }
    }
}

impl Scan {
    pub(super) fn push(&mut self, mut bytes: &[u8], situation: &Situation) -> Step {
        loop {
            match self {
                Self::Json(json) => return json.push(bytes, situation),
                Self::Markup(markup) => return markup.push(bytes, situation),
                Self::Other => return Step::Silent,
                Self::Blank { .. } | Self::Callback { .. } | Self::Argument => {}
            }
            let Some((&byte, rest)) = bytes.split_first() else {
                return Step::More;
            };
            // What is not JSON may still be HTML that starts with words.
            let other = || {
                if situation.html {
                    Self::Markup(Box::default())
                } else {
                    Self::Other
                }
            };
            let keep = match self {
                Self::Blank { mark } => match (byte, *mark) {
                    (0xEF, 0) | (0xBB, 1) => {
                        *mark += 1;
                        false
                    }
                    (0xBF, 2) => {
                        *mark = 3;
                        false
                    }
                    (_, 1 | 2) => {
                        *self = Self::Other;
                        false
                    }
                    (b' ' | b'\t' | b'\r' | b'\n', _) => {
                        // A mark is only one at the very start.
                        *mark = 3;
                        false
                    }
                    (b'{', _) => {
                        *self = Self::Json(Json::default());
                        false
                    }
                    (b'<', _) => {
                        *self = Self::Markup(Box::default());
                        true
                    }
                    (b'(', _) => {
                        *self = Self::Argument;
                        false
                    }
                    (b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$' | b'/' | b';', _) => {
                        *self = Self::Callback {
                            len: 0,
                            comment: Comment::Outside,
                        };
                        true
                    }
                    _ => {
                        *self = other();
                        true
                    }
                },
                Self::Callback { len, comment } => {
                    *len += 1;
                    let next = match (*comment, byte) {
                        (Comment::Outside, b'/') => Some(Comment::Slash),
                        (Comment::Slash, b'*') => Some(Comment::Inside),
                        (Comment::Inside | Comment::Star, b'*') => Some(Comment::Star),
                        (Comment::Star, b'/') => Some(Comment::Outside),
                        (Comment::Inside | Comment::Star, _) => Some(Comment::Inside),
                        // Express writes `/**/ typeof cb === 'function' && cb({`.
                        (
                            Comment::Outside,
                            b'a'..=b'z'
                            | b'A'..=b'Z'
                            | b'0'..=b'9'
                            | b' '
                            | b'\t'
                            | b'\r'
                            | b'\n'
                            | b'_'
                            | b'$'
                            | b'.'
                            | b'['
                            | b']'
                            | b'\''
                            | b'"'
                            | b'='
                            | b'&'
                            | b';',
                        ) => Some(Comment::Outside),
                        _ => None,
                    };
                    match next {
                        Some(next) if *len < CALLBACK => {
                            *comment = next;
                            false
                        }
                        _ if *comment == Comment::Outside && byte == b'(' => {
                            *self = Self::Argument;
                            false
                        }
                        _ => {
                            *self = other();
                            true
                        }
                    }
                }
                _ => match byte {
                    b' ' | b'\t' | b'\r' | b'\n' => false,
                    b'{' => {
                        *self = Self::Json(Json::default());
                        false
                    }
                    _ => {
                        *self = other();
                        true
                    }
                },
            };
            if !keep {
                bytes = rest;
            }
        }
    }

    pub(super) fn finish(&mut self, situation: &Situation) -> Step {
        match self {
            Self::Json(json) => json.finish(situation),
            Self::Markup(markup) => markup.finish(situation),
            _ => Step::Silent,
        }
    }
}
