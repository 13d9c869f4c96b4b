//! Who to be: the one credential the command line and the environment name, and how to write it in code.

use std::fmt;

use tower_arcgis_auth::{Credential, IssuedToken};

pub(crate) struct Who {
    pub(crate) credential: Credential,
    /// What must never be printed.
    pub(crate) secrets: Vec<String>,
    name: String,
    /// As Rust, the secrets read from the environment.
    pub(crate) code: String,
    /// What `arcgis-proxy` takes of it on its command line.
    pub(crate) options: Vec<String>,
    /// The variables that code and proxy read.
    pub(crate) variables: Vec<&'static str>,
    /// An API key or a token made elsewhere: there is no login.
    pub(crate) is_ready_token: bool,
    /// An account that failures lock.
    pub(crate) is_user: bool,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Who {
    pub(crate) fn user(name: &str, password: &str) -> Self {
        Self {
            credential: Credential::user(name, password),
            secrets: vec![password.to_owned()],
            name: format!("the user {name}"),
            code: format!("Credential::user({name:?}, Secret::env(\"ARCGIS_PASSWORD\"))"),
            options: vec!["--username".to_owned(), name.to_owned()],
            variables: vec!["ARCGIS_PASSWORD"],
            is_ready_token: false,
            is_user: true,
        }
    }

    fn app(id: &str, secret: &str) -> Self {
        Self {
            credential: Credential::app(id, secret),
            secrets: vec![secret.to_owned()],
            name: format!("the application {id}"),
            code: format!("Credential::app({id:?}, Secret::env(\"ARCGIS_CLIENT_SECRET\"))"),
            options: vec!["--client-id".to_owned(), id.to_owned()],
            variables: vec!["ARCGIS_CLIENT_SECRET"],
            is_ready_token: false,
            is_user: false,
        }
    }

    fn token(variable: &'static str, text: &str) -> Self {
        Self {
            credential: Credential::token(text),
            secrets: vec![text.to_owned()],
            name: format!("the owner of {variable}"),
            code: format!("Credential::token(Secret::env(\"{variable}\"))"),
            options: Vec::new(),
            variables: vec![variable],
            is_ready_token: true,
            is_user: false,
        }
    }
}

/// The one credential there is, if any.
pub(crate) fn read(
    username: Option<&str>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Who>, String> {
    // An empty variable is how service managers spell "none".
    let set = |name: &str| variable(name).filter(|text| !text.is_empty());
    let username = username
        .map(str::to_owned)
        .or_else(|| set("ARCGIS_USERNAME"));
    let password = set("ARCGIS_PASSWORD");
    let (id, secret) = (set("ARCGIS_CLIENT_ID"), set("ARCGIS_CLIENT_SECRET"));
    let (key, token) = (set("ARCGIS_API_KEY"), set("ARCGIS_TOKEN"));

    let is_user = username.is_some() || password.is_some();
    let is_app = id.is_some() || secret.is_some();
    let kinds = [is_user, is_app, key.is_some(), token.is_some()];
    if kinds.iter().filter(|is_there| **is_there).count() > 1 {
        return Err(
            "there are several credentials: a user's, an application's (ARCGIS_CLIENT_ID), ARCGIS_API_KEY or \
             ARCGIS_TOKEN; keep one, and unset the others"
                .to_owned(),
        );
    }
    if is_user {
        return match (username, password) {
            (Some(name), Some(password)) => Ok(Some(Who::user(&name, &password))),
            (Some(_), None) => {
                Err("there is a user and no password; set ARCGIS_PASSWORD".to_owned())
            }
            _ => {
                Err("there is a password and no user; add --username or ARCGIS_USERNAME".to_owned())
            }
        };
    }
    if is_app {
        return match (id, secret) {
            (Some(id), Some(secret)) => Ok(Some(Who::app(&id, &secret))),
            _ => Err(
                "an application has an ARCGIS_CLIENT_ID and an ARCGIS_CLIENT_SECRET; set both"
                    .to_owned(),
            ),
        };
    }
    let given = [("ARCGIS_API_KEY", key), ("ARCGIS_TOKEN", token)];
    for (variable, text) in given {
        let Some(text) = text else { continue };
        if IssuedToken::try_new(text.as_str()).is_err() {
            return Err(format!(
                "{variable} has characters in it that no token has; copy it again, without quotes"
            ));
        }
        return Ok(Some(Who::token(variable, &text)));
    }
    Ok(None)
}
