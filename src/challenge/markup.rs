//! Documents of HTML and XML, read as they arrive. What a document asks for is decided by the
//! first thing in it that decides, so the verdict does not depend on how it was cut into frames.

use crate::challenge::{
    Step,
    html::Html,
    situation::Situation,
    tags::{Piece, Raw, Tag, piece},
    xml::Xml,
};

/// A document being read.
#[derive(Debug, Default)]
pub(super) struct Markup {
    buf: Vec<u8>,
    /// Everything before is done with.
    done: usize,
    /// The length at which reading on is worth while: a quarter more than last time, so that a
    /// document in one-byte frames is not read over and over.
    next: usize,
    /// Inside an element whose content is text up to its end tag.
    raw: Option<Raw>,
    /// An XML declaration was there.
    declared: bool,
    kind: Kind,
}

#[derive(Debug, Default)]
enum Kind {
    #[default]
    Unknown,
    Html(Html),
    Xml(Xml),
    /// A document that is no challenge.
    Other,
}

impl Markup {
    pub(super) fn push(&mut self, bytes: &[u8], situation: &Situation) -> Step {
        if matches!(self.kind, Kind::Other) {
            return Step::Silent;
        }
        self.buf.extend_from_slice(bytes);
        if self.buf.len() < self.next {
            return Step::More;
        }
        self.next = self.buf.len() + self.buf.len() / 4 + 1;
        self.read(situation, false)
    }

    pub(super) fn finish(&mut self, situation: &Situation) -> Step {
        match self.read(situation, true) {
            Step::More => {}
            step => return step,
        }
        match &mut self.kind {
            Kind::Html(html) => html.finish(),
            Kind::Unknown | Kind::Xml(_) | Kind::Other => Step::Silent,
        }
    }

    fn read(&mut self, situation: &Situation, ended: bool) -> Step {
        while let Some((piece, end)) = piece(&self.buf, self.done, self.raw, ended) {
            self.done = end;
            self.raw = None;
            if let Kind::Unknown = self.kind {
                match piece {
                    Piece::Declaration => self.declared = true,
                    Piece::Open(tag) => self.kind = self.root(tag),
                    // Not even a fragment, but something that happens to start with `<`.
                    Piece::Text(text) if !situation.html && !text.trim_ascii().is_empty() => {
                        self.kind = Kind::Other;
                    }
                    _ => {}
                }
            }
            let step = match (&mut self.kind, piece) {
                (Kind::Html(html), piece) => {
                    if let Piece::Open(tag) = piece {
                        self.raw = Raw::of(tag.name);
                    }
                    html.piece(piece, situation)
                }
                (Kind::Xml(xml), piece) => xml.piece(piece),
                (Kind::Unknown, _) => Step::More,
                (Kind::Other, _) => Step::Silent,
            };
            match step {
                Step::More => {}
                Step::Silent => {
                    self.kind = Kind::Other;
                    return step;
                }
                Step::Decided(_) => return step,
            }
        }
        Step::More
    }

    /// What a document with this root element is.
    fn root(&self, tag: Tag<'_>) -> Kind {
        let name = tag.local();
        if let Some(xml) = Xml::of(name) {
            return Kind::Xml(xml);
        }
        // Without declaration and namespace it may be a fragment of HTML.
        let fragment = !self.declared && name.len() == tag.name.len();
        if fragment || name.eq_ignore_ascii_case(b"html") {
            Kind::Html(Html::default())
        } else {
            Kind::Other
        }
    }
}
