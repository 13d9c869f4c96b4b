//! SOAP faults and OGC exception reports. Only in them, and only where they state the fault, does a
//! wording count: capabilities and metadata have free text.

use crate::challenge::{
    Challenge, Step,
    tags::{Piece, Tag, local, unescape},
    words::wording,
};

#[derive(Debug)]
pub(super) struct Xml {
    root: Root,
    /// In the fault's own statement.
    in_fault: bool,
    /// The text being collected.
    text: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Root {
    /// A SOAP message, before its body.
    Envelope,
    /// In its body: a fault comes first or not at all.
    Body,
    Report,
}

impl Xml {
    /// A document with this root, if such a document can carry a challenge.
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        let root = if is(b"Envelope") {
            Root::Envelope
        } else if is(b"ServiceExceptionReport")
            || is(b"ExceptionReport")
            || is(b"Fault")
            || is(b"ServiceException")
        {
            Root::Report
        } else {
            return None;
        };
        Some(Self {
            root,
            in_fault: root == Root::Report,
            text: None,
        })
    }

    pub(super) fn piece(&mut self, piece: Piece<'_>) -> Step {
        match piece {
            Piece::Open(tag) => return self.open(tag),
            Piece::Text(text) => self.collect(|| unescape(text).into_owned()),
            Piece::Verbatim(text) => {
                self.collect(|| String::from_utf8_lossy(text).into_owned());
            }
            Piece::Close(name) if states_fault(local(name)) => {
                let text = self.text.take().unwrap_or_default();
                if let Some(challenge) = wording(&text).or_else(|| code(&text)) {
                    return Step::Decided(Some(challenge));
                }
            }
            _ => {}
        }
        Step::More
    }

    fn open(&mut self, tag: Tag<'_>) -> Step {
        let name = tag.local();
        if !self.in_fault {
            match self.root {
                Root::Envelope if name.eq_ignore_ascii_case(b"Body") => self.root = Root::Body,
                Root::Body if name.eq_ignore_ascii_case(b"Fault") => self.in_fault = true,
                // An answer.
                Root::Body => return Step::Silent,
                Root::Envelope | Root::Report => {}
            }
            return Step::More;
        }
        let attribute = if name.eq_ignore_ascii_case(b"ServiceException") {
            tag.attribute(b"code")
        } else if name.eq_ignore_ascii_case(b"Exception") {
            tag.attribute(b"exceptionCode")
        } else {
            None
        };
        if let Some(challenge) = attribute.and_then(|value| code(&value)) {
            return Step::Decided(Some(challenge));
        }
        self.text = (states_fault(name) && !tag.empty).then(String::new);
        Step::More
    }

    fn collect(&mut self, more: impl FnOnce() -> String) {
        if let Some(text) = &mut self.text {
            text.push_str(&more());
        }
    }
}

/// Elements that say what went wrong.
fn states_fault(name: &[u8]) -> bool {
    [
        &b"faultstring"[..],
        b"faultcode",
        b"Text",
        b"ServiceException",
        b"ExceptionText",
    ]
    .iter()
    .any(|other| name.eq_ignore_ascii_case(other))
}

fn code(text: &str) -> Option<Challenge> {
    match text.trim() {
        "498" => Some(Challenge::TokenInvalid),
        "499" => Some(Challenge::TokenRequired),
        _ => None,
    }
}
