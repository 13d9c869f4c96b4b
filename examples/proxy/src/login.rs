//! Who to be at the ArcGIS: what the command line and the environment name, and the one credential made of it.

use std::{env, fmt, fs, io, path::Path};

use tower_arcgis_auth::{Credential, IssuedToken, Secret};

const PASSWORD: &str = "ARCGIS_PASSWORD";
const CLIENT_SECRET: &str = "ARCGIS_CLIENT_SECRET";
const API_KEY: &str = "ARCGIS_API_KEY";
const TOKEN: &str = "ARCGIS_TOKEN";

/// Who to be.
#[derive(Debug)]
pub(crate) struct Login {
    account: Account,
    credential: Credential,
}

/// A login as it may be logged.
#[derive(Debug)]
pub(crate) enum Account {
    User(String),
    App(String),
    /// The token that is in this place.
    Token(String),
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "user {name}"),
            Self::App(id) => write!(f, "application {id}"),
            Self::Token(place) => write!(f, "a token ({place})"),
        }
    }
}

impl Login {
    pub(crate) fn user(name: &str, password: impl Into<Secret>) -> Self {
        Self {
            account: Account::User(name.to_owned()),
            credential: Credential::user(name, password),
        }
    }

    pub(crate) fn app(id: &str, secret: Secret) -> Self {
        Self {
            account: Account::App(id.to_owned()),
            credential: Credential::app(id, secret),
        }
    }

    /// The token or API key that is in this place.
    pub(crate) fn made_elsewhere(place: String, token: Secret) -> Self {
        Self {
            account: Account::Token(place),
            credential: Credential::token(token),
        }
    }

    pub(crate) fn account(&self) -> &Account {
        &self.account
    }

    pub(crate) fn credential(&self) -> Credential {
        self.credential.clone()
    }

    pub(crate) fn is_app(&self) -> bool {
        matches!(self.account, Account::App(_))
    }

    pub(crate) fn is_ready_token(&self) -> bool {
        matches!(self.account, Account::Token(_))
    }
}

/// What the command line names of a credential. The rest is in the environment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<'a> {
    pub(crate) username: Option<&'a str>,
    pub(crate) password_file: Option<&'a Path>,
    pub(crate) client_id: Option<&'a str>,
    pub(crate) client_secret_file: Option<&'a Path>,
}

impl Named<'_> {
    /// What there is that says whom to be. A secret alone does not.
    pub(crate) fn identity(&self) -> Result<Option<&'static str>, String> {
        Ok(if self.username.is_some() {
            Some("a user (--username or ARCGIS_USERNAME)")
        } else if self.client_id.is_some() {
            Some("an application (--client-id or ARCGIS_CLIENT_ID)")
        } else if is_set(API_KEY)? {
            Some("an API key (ARCGIS_API_KEY)")
        } else if is_set(TOKEN)? {
            Some("a token (ARCGIS_TOKEN)")
        } else {
            None
        })
    }

    /// The one login; none where nothing is named.
    pub(crate) fn login(&self) -> Result<Option<Login>, String> {
        let password = Kept::find("password", self.password_file, "--password-file", PASSWORD)?;
        let client_secret = Kept::find(
            "client secret",
            self.client_secret_file,
            "--client-secret-file",
            CLIENT_SECRET,
        )?;
        let key = is_set(API_KEY)?;
        let token = is_set(TOKEN)?;
        let user_at = self
            .username
            .map(|_| "--username or ARCGIS_USERNAME")
            .or(password.as_ref().map(|kept| kept.place));
        let app_at = self
            .client_id
            .map(|_| "--client-id or ARCGIS_CLIENT_ID")
            .or(client_secret.as_ref().map(|kept| kept.place));
        let given: Vec<String> = [
            user_at.map(|place| format!("a user's ({place})")),
            app_at.map(|place| format!("an application's ({place})")),
            key.then(|| format!("an API key ({API_KEY})")),
            token.then(|| format!("a token ({TOKEN})")),
        ]
        .into_iter()
        .flatten()
        .collect();
        if given.len() > 1 {
            return Err(format!(
                "there are several credentials: {}; keep one, and leave the others out",
                given.join(", ")
            ));
        }
        if user_at.is_some() {
            return self.user(password).map(Some);
        }
        if app_at.is_some() {
            return self.app(client_secret).map(Some);
        }
        let variable = match (key, token) {
            (true, _) => API_KEY,
            (_, true) => TOKEN,
            _ => return Ok(None),
        };
        check_token(variable)?;
        Ok(Some(Login::made_elsewhere(
            variable.to_owned(),
            Secret::env(variable),
        )))
    }

    fn user(&self, password: Option<Kept>) -> Result<Login, String> {
        match (self.username, password) {
            (Some(name), Some(password)) => Ok(Login::user(name, password.secret)),
            (Some(_), None) => Err(format!(
                "there is a user and no password; put it into the environment variable {PASSWORD} or name a file with \
                 --password-file"
            )),
            (None, _) => Err(format!(
                "there is a password ({PASSWORD} or --password-file) and no user; add --username or ARCGIS_USERNAME"
            )),
        }
    }

    fn app(&self, client_secret: Option<Kept>) -> Result<Login, String> {
        match (self.client_id, client_secret) {
            (Some(id), Some(secret)) => Ok(Login::app(id, secret.secret)),
            (Some(_), None) => Err(format!(
                "there is an application and no client secret; put it into the environment variable {CLIENT_SECRET} \
                 or name a file with --client-secret-file"
            )),
            (None, _) => Err(format!(
                "there is a client secret ({CLIENT_SECRET} or --client-secret-file) and no application; add \
                 --client-id or ARCGIS_CLIENT_ID"
            )),
        }
    }
}

/// A secret, and what it was named by.
pub(crate) struct Kept {
    place: &'static str,
    pub(crate) secret: Secret,
}

impl Kept {
    /// The secret in the file or else in the variable. A file that is no use now is an error: it may change later.
    pub(crate) fn find(
        what: &str,
        file: Option<&Path>,
        option: &'static str,
        variable: &'static str,
    ) -> Result<Option<Self>, String> {
        if let Some(file) = file {
            check_file(what, file)?;
            return Ok(Some(Self {
                place: option,
                secret: Secret::file(file),
            }));
        }
        Ok(is_set(variable)?.then(|| Self {
            place: variable,
            secret: Secret::env(variable),
        }))
    }
}

/// Whether the variable holds anything. An empty one is how service managers spell "none".
fn is_set(variable: &str) -> Result<bool, String> {
    match env::var(variable) {
        Ok(text) => Ok(!is_blank(&text)),
        Err(env::VarError::NotPresent) => Ok(false),
        Err(env::VarError::NotUnicode(_)) => Err(format!(
            "{variable} is not UTF-8; ArcGIS takes secrets in UTF-8"
        )),
    }
}

fn is_blank(text: &str) -> bool {
    text.trim_end_matches(['\r', '\n']).is_empty()
}

fn check_file(what: &str, file: &Path) -> Result<(), String> {
    let shown = file.display();
    let text = fs::read_to_string(file).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => {
            format!("the {what} file {shown} is not UTF-8; ArcGIS takes secrets in UTF-8")
        }
        _ => format!("the {what} file {shown} cannot be read: {error}"),
    })?;
    if is_blank(&text) {
        return Err(format!("the {what} file {shown} is empty"));
    }
    Ok(())
}

/// Whether the text can be a token at all.
fn check_token(variable: &str) -> Result<(), String> {
    let text = env::var(variable).unwrap_or_default();
    match IssuedToken::try_new(text) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!(
            "{variable} has characters in it that no token has; copy it again, without quotes"
        )),
    }
}
