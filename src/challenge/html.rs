//! Sign-in pages and error pages in HTML.
//!
//! Every public directory page has links that say "Login" and "Get Token", so words prove nothing: a
//! sign-in page has a form that is sent to a sign-in address, with a password in it.

use crate::challenge::{
    Challenge, Denial, Situation, Step,
    json::Json,
    markup::{Piece, Raw, unescape},
    redirect,
    words::{collapse, wording},
};

/// Elements that a page with nothing in it has.
const FRAME: [&str; 7] = ["html", "head", "title", "meta", "body", "pre", "textarea"];

#[derive(Debug, Default)]
pub(super) struct Html {
    /// In a form that signs somebody in.
    in_form: bool,
    /// The title speaks of ArcGIS.
    arcgis: bool,
    /// There is more on the page than a frame around one text.
    furnished: bool,
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
                self.furnished = true;
                self.in_form = tag.attribute(b"action").is_some_and(|action| {
                    redirect::is_login_target(action.as_bytes(), self.arcgis)
                });
            }
            Piece::Open(tag) if tag.name.eq_ignore_ascii_case(b"input") => {
                self.furnished = true;
                let password = tag
                    .attribute(b"type")
                    .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("password"));
                self.password |= password;
                if password && self.in_form {
                    return Step::Decided(Some(Challenge::LoginPage));
                }
            }
            Piece::Open(tag) if !self.furnished => {
                self.furnished = !FRAME
                    .iter()
                    .any(|name| tag.name.eq_ignore_ascii_case(name.as_bytes()));
            }
            Piece::Close(name) if name.eq_ignore_ascii_case(b"form") => self.in_form = false,
            Piece::Raw(Raw::Title, text) => self.title(text),
            Piece::Raw(Raw::Script, text) => {
                self.oauth |= memchr::memmem::find(text, b"oAuthInfo").is_some()
                    && memchr::memmem::find(text, b"oauth_state").is_some();
            }
            Piece::Text(text) if self.error => return self.message(text, situation),
            Piece::Raw(Raw::Other("textarea"), text) | Piece::Text(text) if !self.furnished => {
                return self.wrapped(text, situation);
            }
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
        self.arcgis =
            memchr::memmem::find(&title.to_ascii_lowercase().into_bytes(), b"arcgis").is_some();
        // The frame of ArcGIS's own has a message after the colon; "Error" alone is anybody's.
        let message = strip_label(&title, "error").filter(|message| !message.is_empty());
        if let Some(message) = message {
            self.error = true;
            self.titled = wording(message);
        }
    }

    /// JSON for a script in the parent frame: `callback.html` has it in a bare text area.
    fn wrapped(&mut self, text: &[u8], situation: &Situation) -> Step {
        let text = unescape(text);
        let text = text.trim();
        self.furnished |= !text.is_empty();
        let Some(object) = text.strip_prefix('{') else {
            return Step::More;
        };
        let mut json = Json::default();
        match json.push(object.as_bytes(), situation) {
            Step::More => json.finish(situation),
            step => step,
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
            Label::Error if strip_label(&text, "code") != Some("") => return Step::More,
            Label::Code => Some(text.as_str()),
            Label::None | Label::Error => {
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
        let digits = code.find(|char: char| !char.is_ascii_alphanumeric());
        match code[..digits.unwrap_or(code.len())].parse() {
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
    let rest = rest.trim();
    // The colon may be in the next element.
    if rest.is_empty() {
        return Some(rest);
    }
    rest.strip_prefix(':').map(str::trim)
}
