//! Sign-in pages and error pages in HTML.
//!
//! Every public directory page has links that say "Login" and "Get Token", so words prove nothing: a
//! sign-in page has a form that is sent to a sign-in address, with a password in it.

use super::{
    Challenge, Denial, Situation, Step,
    markup::{Piece, Raw, unescape},
    redirect,
    words::{collapse, wording},
};

#[derive(Debug, Default)]
pub(super) struct Html {
    /// In a form that signs somebody in.
    in_form: bool,
    /// A password is asked for, anywhere.
    password: bool,
    /// The script of the portal's sign-in page was there.
    oauth: bool,
    /// The title starts with "Error:".
    error: bool,
    /// What the title says.
    titled: Option<Challenge>,
    label: Label,
}

/// What an error page said last.
#[derive(Debug, Default, PartialEq, Eq)]
enum Label {
    #[default]
    None,
    /// "Error:", so the message follows, whatever it says.
    Error,
    /// "Code:", so the code follows.
    Code,
}

impl Html {
    pub(super) fn piece(&mut self, piece: Piece<'_>, situation: &Situation) -> Step {
        match piece {
            Piece::Open(tag) if tag.name.eq_ignore_ascii_case(b"form") => {
                self.in_form = tag
                    .attribute(b"action")
                    .is_some_and(|action| redirect::is_login_target(action.as_bytes()));
            }
            Piece::Open(tag) if tag.name.eq_ignore_ascii_case(b"input") => {
                self.password |= tag
                    .attribute(b"type")
                    .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("password"));
                if self.password && self.in_form {
                    return Step::Decided(Some(Challenge::LoginPage));
                }
            }
            Piece::Close(name) if name.eq_ignore_ascii_case(b"form") => self.in_form = false,
            Piece::Raw(Raw::Title, text) => self.title(text),
            Piece::Raw(Raw::Script, text) => {
                self.oauth |= memchr::memmem::find(text, b"oAuthInfo").is_some()
                    && memchr::memmem::find(text, b"oauth_state").is_some();
            }
            Piece::Text(text) if self.error => return self.message(text, situation),
            _ => {}
        }
        if self.oauth && self.password {
            return Step::Decided(Some(Challenge::LoginPage));
        }
        Step::More
    }

    pub(super) fn finish(&self) -> Step {
        match self.titled {
            Some(challenge) => Step::Decided(Some(challenge)),
            None => Step::Silent,
        }
    }

    fn title(&mut self, text: &[u8]) {
        let title = collapse(&unescape(text));
        if let Some(message) = strip_label(&title, "error") {
            self.error = true;
            self.titled = wording(message);
        }
    }

    /// A piece of text on an error page: the code is what follows a label of its own.
    fn message(&mut self, text: &[u8], situation: &Situation) -> Step {
        let text = collapse(&unescape(text));
        if text.is_empty() {
            return Step::More;
        }
        let code = match std::mem::take(&mut self.label) {
            // A message may well speak of codes.
            Label::Error => return Step::More,
            Label::Code => Some(text.as_str()),
            Label::None => {
                if strip_label(&text, "error") == Some("") {
                    self.label = Label::Error;
                }
                match strip_label(&text, "code") {
                    Some("") => {
                        self.label = Label::Code;
                        None
                    }
                    code => code,
                }
            }
        };
        let Some(code) = code else {
            return Step::More;
        };
        let code = code.trim_start_matches(':').trim();
        if code.is_empty() {
            self.label = Label::Code;
            return Step::More;
        }
        match code.parse() {
            Ok(code) => Step::Decided(Denial::default().judge(code, situation.token)),
            Err(_) => Step::More,
        }
    }
}

/// What follows "label:".
fn strip_label<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(label.len())?;
    if !start.eq_ignore_ascii_case(label) {
        return None;
    }
    rest.trim_start().strip_prefix(':').map(str::trim)
}
