//! Sign-in pages and error pages in HTML.
//!
//! Every public directory page has links that say "Login" and "Get Token", so words prove nothing: a
//! sign-in page has a form that is sent to a sign-in address, with a password in it, or one that
//! posts itself to an identity provider.

use crate::challenge::{
    Challenge, Step,
    denial::Denial,
    json::Json,
    redirect::{Target, asks_identity_provider},
    situation::Situation,
    tags::{Piece, Raw, Tag, unescape},
    words::{collapse, wording},
};

/// Elements that a page with nothing in it has.
const FRAME: [&str; 7] = ["html", "head", "title", "meta", "body", "pre", "textarea"];

#[derive(Debug, Default)]
pub(super) struct Html {
    form: Form,
    /// The title speaks of ArcGIS.
    arcgis: bool,
    /// There is more on the page than a frame around one text.
    furnished: bool,
    /// A password is asked for, anywhere.
    password: bool,
    /// The script of the portal's sign-in page was there.
    oauth: bool,
    page: Page,
    in_heading: bool,
    /// What the title says.
    titled: Option<Challenge>,
    label: Label,
    denial: Denial,
}

/// What of ArcGIS's own a page is.
#[derive(Debug, Default, PartialEq, Eq)]
enum Page {
    #[default]
    Other,
    /// The title starts with "Error:": what ArcGIS Server's Services Directory says.
    ServerError,
    /// The title is the Portal Directory's.
    Portal,
    /// And a heading says "Error".
    PortalError,
}

/// The form at hand.
#[derive(Debug, Default)]
struct Form {
    open: bool,
    /// A password in it signs a person in.
    takes_password: bool,
    /// It is sent to where OAuth 2 or OpenID Connect begins.
    authorize: bool,
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
                self.form = Form::of(tag, self.arcgis);
            }
            Piece::Open(tag) if tag.name.eq_ignore_ascii_case(b"input") => {
                self.furnished = true;
                let password = tag
                    .attribute(b"type")
                    .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("password"));
                self.password |= password;
                if (password && self.form.takes_password) || self.form.asks(tag) {
                    return Step::Decided(Some(Challenge::LoginPage));
                }
            }
            Piece::Open(tag) if is_heading(tag.name) => {
                self.furnished = true;
                self.in_heading = true;
            }
            Piece::Open(tag) if !self.furnished => {
                self.furnished = !FRAME
                    .iter()
                    .any(|name| tag.name.eq_ignore_ascii_case(name.as_bytes()));
            }
            Piece::Close(name) if name.eq_ignore_ascii_case(b"form") => self.form = Form::default(),
            Piece::Close(name) if is_heading(name) => self.in_heading = false,
            Piece::Raw(Raw::Title, text) => self.title(text),
            Piece::Raw(Raw::Script, text) => {
                self.oauth |= memchr::memmem::find(text, b"oAuthInfo").is_some()
                    && memchr::memmem::find(text, b"oauth_state").is_some();
            }
            Piece::Text(text) if self.page == Page::ServerError => {
                return self.message(text, situation);
            }
            Piece::Text(text)
                if self.page == Page::Portal
                    && self.in_heading
                    && collapse(&unescape(text)).eq_ignore_ascii_case("error") =>
            {
                self.page = Page::PortalError;
            }
            Piece::Text(text) if self.page == Page::PortalError => {
                return self.portal_message(text, situation);
            }
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
        let lower = title.to_ascii_lowercase();
        self.arcgis = lower.contains("arcgis");
        // The frame of ArcGIS's own has a message after the colon; "Error" alone may be any server's.
        let message = strip_label(&title, "error").filter(|message| !message.is_empty());
        if let Some(message) = message {
            self.page = Page::ServerError;
            self.titled = wording(message);
            self.denial.note(message);
        } else if lower.contains("arcgis portal directory") {
            self.page = Page::Portal;
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
            Label::Error if strip_label(&text, "code") != Some("") => {
                self.denial.note(&text);
                return Step::More;
            }
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
            Ok(code) => Step::Decided(self.denial.judge(code, situation.token)),
            Err(_) => Step::More,
        }
    }

    /// A piece of text on an error page of the Portal Directory: the message, then "Error:" and the code, be it in one
    /// piece or in several.
    fn portal_message(&mut self, text: &[u8], situation: &Situation) -> Step {
        let text = collapse(&unescape(text));
        let mut said = text.as_str();
        if std::mem::take(&mut self.label) == Label::None {
            let Some(at) = text.to_ascii_lowercase().rfind("error") else {
                self.denial.note(&text);
                return Step::More;
            };
            let (message, labelled) = text.split_at(at);
            self.denial.note(message);
            match strip_label(labelled, "error") {
                Some(code) => said = code,
                // A word in the message.
                None => return Step::More,
            }
        }
        let code = said.trim_start_matches(':').trim();
        if code.is_empty() {
            self.label = Label::Error;
            return Step::More;
        }
        match code.parse() {
            Ok(code) => Step::Decided(self.denial.judge(code, situation.token)),
            Err(_) => Step::More,
        }
    }
}

impl Form {
    fn of(tag: Tag<'_>, arcgis: bool) -> Self {
        let action = tag.attribute(b"action");
        let target = action.as_ref().map(|action| Target::of(action.as_bytes()));
        Self {
            open: true,
            takes_password: target.is_some_and(|target| target.takes_password(arcgis)),
            authorize: target.is_some_and(Target::is_authorize),
        }
    }

    /// Whether this field asks an identity provider to sign a person in.
    fn asks(&self, tag: Tag<'_>) -> bool {
        if !self.open {
            return false;
        }
        let (Some(name), Some(value)) = (tag.attribute(b"name"), tag.attribute(b"value")) else {
            return false;
        };
        let (name, value) = (name.trim(), value.trim());
        asks_identity_provider(name.as_bytes(), value.as_bytes())
            || (self.authorize && name.eq_ignore_ascii_case("client_id") && !value.is_empty())
    }
}

fn is_heading(name: &[u8]) -> bool {
    matches!(name, [b'h' | b'H', b'1'..=b'6'])
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
