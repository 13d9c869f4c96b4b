//! ArcGIS errors in JSON: a state machine over bytes, of constant size and without allocation.
//!
//! It knows three envelopes. `{"error":{"code":…}}` is used by all services; `{"status":"error",
//! "messages":[…],"code":…}` is the Administrator's; `{"code":401,"description":…}` is the OGC
//! API's. Only the top level counts: features, domains and per-edit results have codes, too.

use crate::challenge::{Challenge, Step, Verdict, denial::Denial, situation::Situation};

/// What comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expect {
    /// A key or the end of an object.
    #[default]
    Key,
    /// A key, after a comma.
    NextKey,
    /// The rest of a key.
    KeyText,
    Colon,
    Value,
    /// The rest of a string.
    Text,
    /// The rest of a number, or of `true`, `false`, `null`.
    Literal,
    /// Whatever is in a container that does not matter.
    Skip,
    /// The rest of a string in such a container.
    SkipText,
    /// A comma or the end of an object.
    Comma,
    /// Nothing: the object ended, or is none.
    Nothing,
}

/// Keys that matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Key {
    #[default]
    Unknown,
    Error,
    Code,
    Status,
    Messages,
    Message,
    MessageCode,
    Subcode,
    Description,
    /// Some other key an error may have.
    Usual,
}

impl Key {
    fn of(text: &Text) -> Self {
        match text.len {
            4 if text.is(b"code") => Self::Code,
            5 if text.is(b"error") => Self::Error,
            6 if text.is(b"status") => Self::Status,
            7 if text.is(b"message") => Self::Message,
            7 if text.is(b"subcode") => Self::Subcode,
            8 if text.is(b"messages") => Self::Messages,
            11 if text.is(b"messageCode") => Self::MessageCode,
            11 if text.is(b"description") => Self::Description,
            // Proxies that parse and write again sort the keys, and add some of their own.
            _ if USUAL.iter().any(|key| text.is(key)) => Self::Usual,
            _ => Self::Unknown,
        }
    }
}

const USUAL: [&[u8]; 16] = [
    b"acceptLanguage",
    b"correlationId",
    b"detail",
    b"details",
    b"errorCode",
    b"errorMessage",
    b"errors",
    b"extendedCode",
    b"httpStatus",
    b"path",
    b"requestId",
    b"request_id",
    b"statusCode",
    b"statusMessage",
    b"success",
    b"timestamp",
];

/// The end of a key, string or literal: enough to compare it with what matters.
#[derive(Debug, Default)]
struct Text {
    /// The last bytes, as a big number; in bytes because a `u128` would align the whole detector.
    window: [u8; 16],
    len: u16,
}

impl Text {
    fn push(&mut self, byte: u8) {
        self.window = (u128::from_ne_bytes(self.window) << 8 | u128::from(byte)).to_ne_bytes();
        self.len = self.len.saturating_add(1);
    }

    /// The same as pushing every byte of `run`, in one go.
    fn extend(&mut self, run: &[u8], lower: bool) {
        let mut last = [0; 16];
        let kept = run.len().min(last.len());
        last[16 - kept..].copy_from_slice(&run[run.len() - kept..]);
        if lower {
            last.make_ascii_lowercase();
        }
        // Nothing is left of the window where the run fills it.
        let before = u128::from_ne_bytes(self.window).checked_shl(8 * kept as u32);
        self.window = (before.unwrap_or(0) | u128::from_be_bytes(last)).to_ne_bytes();
        let len = u16::try_from(run.len()).unwrap_or(u16::MAX);
        self.len = self.len.saturating_add(len);
    }

    fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether this is the text; it must be shorter than the window.
    fn is(&self, text: &[u8]) -> bool {
        usize::from(self.len) == text.len() && self.ends_with(text)
    }

    fn ends_with(&self, text: &[u8]) -> bool {
        self.last().ends_with(text)
    }

    fn last(&self) -> [u8; 16] {
        u128::from_ne_bytes(self.window).to_be_bytes()
    }

    /// A code of three digits.
    fn code(&self) -> Option<u16> {
        let [.., a, b, c] = self.last();
        let digits = [a, b, c];
        (self.len == 3 && digits.iter().all(u8::is_ascii_digit)).then(|| {
            digits
                .iter()
                .fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'))
        })
    }
}

/// Whether these bytes, from behind an object's opening brace, begin with a key that no error has: then the object is data.
/// Four letters mostly tell.
#[inline]
pub(super) fn begins_with_data(bytes: &[u8]) -> bool {
    match bytes {
        [b'"', a, b, c, d, ..] if !may_begin_key_of_error([*a, *b, *c, *d]) => true,
        _ => has_key_of_data(bytes),
    }
}

/// Whether the key of an error may begin like this. Escapes may stand for anything.
#[inline]
fn may_begin_key_of_error(start: [u8; 4]) -> bool {
    matches!(
        &start,
        b"acce"
            | b"code"
            | b"corr"
            | b"desc"
            | b"deta"
            | b"erro"
            | b"exte"
            | b"http"
            | b"mess"
            | b"path"
            | b"requ"
            | b"stat"
            | b"subc"
            | b"succ"
            | b"time"
    ) || start.contains(&b'\\')
}

/// The same, by the whole key, behind white space.
fn has_key_of_data(bytes: &[u8]) -> bool {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    let start = bytes.iter().position(|byte| !is_blank(byte));
    let Some(key) = start.and_then(|start| bytes[start..].strip_prefix(b"\"")) else {
        return false;
    };
    let end = memchr::memchr2(b'"', b'\\', key).filter(|end| key[*end] == b'"');
    end.is_some_and(|end| {
        let mut text = Text::default();
        text.extend(&key[..end], false);
        Key::of(&text) == Key::Unknown
    })
}

#[derive(Debug, Default)]
pub(super) struct Json {
    text: Text,
    expect: Expect,
    /// In an escape: 5 after the backslash, 4 to 1 hexadecimal digits to go.
    escape: u8,
    unicode: u16,
    /// The key whose value is being read, at top level and in `error`.
    key: Key,
    /// How deep in a container that does not matter.
    skip: u16,
    /// In the top-level `error` object.
    in_error: bool,
    denial: Denial,
    /// Top-level `code`.
    code: Option<u16>,
    /// `code` in `error`; only kept where the rest of the error matters.
    error_code: Option<u16>,
    seen: Seen,
}

/// What the top level has shown.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    key: bool,
    error_object: bool,
    status_error: bool,
    messages: bool,
    code: bool,
    /// A `description` that speaks of a token.
    description: bool,
}

impl Json {
    /// Takes bytes from behind the opening brace.
    pub(super) fn push(&mut self, bytes: &[u8], situation: &Situation) -> Step {
        let mut rest = bytes;
        loop {
            if self.escape == 0 && self.is_plain() {
                let len = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
                let (run, tail) = rest.split_at(len);
                self.text.extend(run, self.expect != Expect::KeyText);
                rest = tail;
            }
            let Some((&byte, tail)) = rest.split_first() else {
                return Step::More;
            };
            rest = tail;
            match self.byte(byte, situation) {
                Step::More => {}
                step => return step,
            }
        }
    }

    /// In a string of which only the end matters, so that it can be read in one go.
    fn is_plain(&self) -> bool {
        match self.expect {
            Expect::KeyText => true,
            Expect::Text | Expect::SkipText => !self.reads_words(),
            _ => false,
        }
    }

    /// Whether the words in the value at hand matter.
    fn reads_words(&self) -> bool {
        self.in_error || matches!(self.key, Key::Messages | Key::Description)
    }

    pub(super) fn finish(&mut self, situation: &Situation) -> Step {
        // Cut off: what is complete counts.
        if let Some(code) = self.error_code {
            return Step::Decided(self.denial.judge(code, situation.token));
        }
        match self.top_level(situation) {
            Step::More => Step::Silent,
            step => step,
        }
    }

    /// The verdict under status 498 or 499 on an object that has none of ArcGIS's envelopes, where
    /// something else may show that it comes `from_arcgis`; `None` if the status decides.
    pub(super) fn flat(&self, from_arcgis: bool) -> Option<Verdict> {
        if self.seen.error_object
            || (self.seen.status_error && self.seen.messages)
            || !self.seen.key
        {
            return None;
        }
        if !from_arcgis {
            return Some(Verdict::Clean);
        }
        match self.code? {
            498 => Some(Verdict::Challenge(Challenge::TokenInvalid)),
            499 => Some(Verdict::Challenge(Challenge::TokenRequired)),
            401 | 403 => None,
            _ => Some(Verdict::Clean),
        }
    }

    fn byte(&mut self, byte: u8, situation: &Situation) -> Step {
        let blank = matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        match self.expect {
            Expect::KeyText | Expect::Text | Expect::SkipText => {
                return self.string(byte, situation);
            }
            Expect::Literal => {
                if !blank && !matches!(byte, b',' | b'}') {
                    self.text.push(byte);
                    return Step::More;
                }
                self.expect = Expect::Comma;
                match self.scalar(false, situation) {
                    Step::More if blank => return Step::More,
                    // The delimiter is read below.
                    Step::More => {}
                    step => return step,
                }
            }
            Expect::Nothing => return Step::Silent,
            _ if blank => return Step::More,
            _ => {}
        }
        match (self.expect, byte) {
            (Expect::Key | Expect::NextKey, b'"') => {
                self.text.clear();
                self.expect = Expect::KeyText;
            }
            (Expect::Colon, b':') => self.expect = Expect::Value,
            (Expect::Value, b'"') => {
                self.text.clear();
                self.expect = Expect::Text;
            }
            (Expect::Value, b'{' | b'[') => return self.container(byte, situation),
            (Expect::Value, b'-' | b'0'..=b'9' | b'a'..=b'z') => {
                self.text.clear();
                self.text.push(byte);
                self.expect = Expect::Literal;
            }
            (Expect::Skip, b'"') => {
                self.text.clear();
                self.expect = Expect::SkipText;
            }
            (Expect::Skip, b'{' | b'[') => self.skip += 1,
            (Expect::Skip, b'}' | b']') => {
                self.skip -= 1;
                if self.skip == 0 {
                    self.expect = Expect::Comma;
                    return self.value_done(situation);
                }
            }
            (Expect::Skip, _) => {}
            (Expect::Comma, b',') => self.expect = Expect::NextKey,
            (Expect::Key | Expect::Comma, b'}') if self.in_error => {
                self.in_error = false;
                self.expect = Expect::Comma;
                if let Some(code) = self.error_code {
                    return Step::Decided(self.denial.judge(code, situation.token));
                }
            }
            // The end, or no JSON.
            _ => {
                self.expect = Expect::Nothing;
                return Step::Silent;
            }
        }
        Step::More
    }

    /// A byte of a string, escapes resolved.
    fn string(&mut self, byte: u8, situation: &Situation) -> Step {
        let char = match (self.escape, byte) {
            (0, b'"') => return self.string_done(situation),
            (0, b'\\') => {
                self.escape = 5;
                return Step::More;
            }
            (0, _) => byte,
            (5, b'u') => {
                self.escape = 4;
                self.unicode = 0;
                return Step::More;
            }
            (5, _) => {
                self.escape = 0;
                match byte {
                    b'"' | b'\\' | b'/' => byte,
                    _ => b' ',
                }
            }
            _ => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0) as u16;
                self.unicode = self.unicode << 4 | digit;
                self.escape -= 1;
                if self.escape > 0 {
                    return Step::More;
                }
                // What is not ASCII matches nothing.
                u8::try_from(self.unicode)
                    .ok()
                    .filter(u8::is_ascii)
                    .unwrap_or(0xFF)
            }
        };
        if self.expect == Expect::KeyText {
            self.text.push(char);
            return Step::More;
        }
        self.text.push(char.to_ascii_lowercase());
        if !self.reads_words() {
            return Step::More;
        }
        if self.in_error || self.key == Key::Messages {
            let message = self.key == Key::Message && self.expect == Expect::Text;
            // The Administrator has a list of them.
            let any_message = message || self.key == Key::Messages;
            match char {
                b'y' | b'Y' if any_message => {
                    self.denial.directory |= self.text.ends_with(b"directory");
                }
                b'l' | b'L' if message => self.denial.ssl |= self.text.ends_with(b"ssl"),
                b'n' | b'N' if message => {
                    self.denial.permission |= self.text.ends_with(b"permission");
                }
                b's' | b'S' => {
                    self.denial.credentials |= self.text.ends_with(b"lid credentials");
                }
                b'd' | b'D' => {
                    self.denial.credentials |= self.text.ends_with(b"name or password");
                    self.denial.disabled |= any_message && self.text.ends_with(b"disabled");
                }
                _ => {}
            }
        } else if matches!(char, b'n' | b'N') {
            self.seen.description |= self.text.ends_with(b"token");
        }
        Step::More
    }

    fn string_done(&mut self, situation: &Situation) -> Step {
        match self.expect {
            Expect::KeyText => {
                self.expect = Expect::Colon;
                self.key = Key::of(&self.text);
                let first = !self.seen.key;
                self.seen.key = true;
                // An answer shows at its first key what it is; reading on would only hold it up.
                if first && self.key == Key::Unknown && !situation.failed {
                    return Step::Decided(None);
                }
                Step::More
            }
            Expect::SkipText => {
                self.expect = Expect::Skip;
                Step::More
            }
            _ => {
                self.expect = Expect::Comma;
                self.scalar(true, situation)
            }
        }
    }

    fn container(&mut self, byte: u8, situation: &Situation) -> Step {
        if !self.in_error {
            match (self.key, byte) {
                (Key::Error, b'{') => {
                    self.in_error = true;
                    self.seen.error_object = true;
                    self.expect = Expect::Key;
                    return Step::More;
                }
                (Key::Messages, b'[') => self.seen.messages = true,
                // Data, not an error.
                (Key::Unknown, _) if !situation.failed => return Step::Decided(None),
                _ => {}
            }
        }
        self.skip = 1;
        self.expect = Expect::Skip;
        Step::More
    }

    /// A string, number or word is complete.
    fn scalar(&mut self, quoted: bool, situation: &Situation) -> Step {
        match (self.in_error, self.key) {
            (true, Key::Code) => match self.text.code() {
                Some(code @ (401 | 403)) => self.error_code = Some(code),
                Some(code) => return Step::Decided(self.denial.judge(code, situation.token)),
                // Some other number: a code, and none of ours.
                None if !quoted && !self.text.is(b"null") => return Step::Decided(None),
                None => {}
            },
            (true, Key::MessageCode) => {
                self.denial.blocked |= [&b"com_0056"[..], b"com_0057", b"sb_0008"]
                    .iter()
                    .any(|code| self.text.is(code));
            }
            (true, Key::Subcode) if !self.text.is(b"null") => {
                self.denial.subcode = Some(match (self.text.len, self.text.last()) {
                    (1, [.., digit @ b'0'..=b'9']) => digit - b'0',
                    _ => u8::MAX,
                });
            }
            (false, Key::Code) => {
                self.code = self.text.code();
                self.seen.code = true;
            }
            (false, Key::Status) => self.seen.status_error |= quoted && self.text.is(b"error"),
            _ => {}
        }
        self.value_done(situation)
    }

    fn value_done(&self, situation: &Situation) -> Step {
        if self.in_error {
            return Step::More;
        }
        self.top_level(situation)
    }

    /// The envelopes without an `error` object.
    fn top_level(&self, situation: &Situation) -> Step {
        // The OGC API leaves it to the server what a code looks like.
        if situation.unauthorized && self.seen.code && self.seen.description {
            let code = self.code.filter(|code| matches!(code, 498 | 499));
            return Step::Decided(Denial::default().judge(code.unwrap_or(401), situation.token));
        }
        match self.code {
            Some(code) if self.seen.status_error && self.seen.messages => {
                Step::Decided(self.denial.judge(code, situation.token))
            }
            _ => Step::More,
        }
    }
}
