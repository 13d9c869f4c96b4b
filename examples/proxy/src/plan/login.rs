//! The one login of a site in a file.

use std::env;

use crate::{
    config::{SecretText, SiteConfig},
    login::Login,
};

/// The login that the site's settings name, if they name one.
pub(super) fn login_of(settings: &SiteConfig) -> Result<Option<Login>, String> {
    let given: Vec<&str> = [
        settings.username.as_ref().map(|_| "username"),
        settings.client_id.as_ref().map(|_| "client-id"),
        settings.token.as_ref().map(|_| "token"),
    ]
    .into_iter()
    .flatten()
    .collect();
    if given.len() > 1 {
        return Err(format!(
            "there are several credentials ({}); keep one",
            given.join(", ")
        ));
    }
    match (
        pair(
            "username",
            "password",
            settings.username.as_ref(),
            settings.password.as_ref(),
        )?,
        pair(
            "client-id",
            "client-secret",
            settings.client_id.as_ref(),
            settings.client_secret.as_ref(),
        )?,
        &settings.token,
    ) {
        (Some((name, password)), ..) => Ok(Some(Login::user(
            &value(name)?,
            readable(password)?.secret(),
        ))),
        (_, Some((id, secret)), _) => Ok(Some(Login::app(&value(id)?, readable(secret)?.secret()))),
        (.., Some(token)) => Ok(Some(Login::made_elsewhere(
            token.place().to_owned(),
            readable(token)?.secret(),
        ))),
        (None, None, None) => Ok(None),
    }
}

fn pair<'a>(
    name: &str,
    secret_name: &str,
    text: Option<&'a String>,
    secret: Option<&'a SecretText>,
) -> Result<Option<(&'a str, &'a SecretText)>, String> {
    match (text, secret) {
        (Some(text), Some(secret)) => Ok(Some((text, secret))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(format!(
            "there is a {name} and no {secret_name}; write it as {secret_name} = \"env:NAME\" or \"file:PATH\""
        )),
        (None, Some(_)) => Err(format!("there is a {secret_name} and no {name}")),
    }
}

/// A name as it stands there, or in a variable.
fn value(text: &str) -> Result<String, String> {
    match text.strip_prefix("env:") {
        Some(variable) => set(variable),
        None => Ok(text.to_owned()),
    }
}

/// A secret that is not there would only come out at the first login.
fn readable(secret: &SecretText) -> Result<&SecretText, String> {
    if let Some(variable) = secret.variable() {
        set(variable)?;
    } else if let Some(path) = secret.place().strip_prefix("file:") {
        if !secret.is_written_down() {
            std::fs::read(path)
                .map_err(|error| format!("the file {path} cannot be read: {error}"))?;
        }
    }
    Ok(secret)
}

fn set(variable: &str) -> Result<String, String> {
    env::var(variable)
        .ok()
        .filter(|value| !value.is_empty())
        .ok_or_else(|| format!("the environment variable {variable} is not set"))
}
