//! The service's own users: a file with a name and an argon2 hash on each line.

use std::{
    fs,
    path::{Path, PathBuf},
};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use secrecy::{ExposeSecret, SecretString};

use crate::error::SetUpError;

/// A file of users. It is read again for every sign-in: a user who is added or removed counts with the next.
#[derive(Clone, Debug)]
pub struct UsersFile {
    path: PathBuf,
}

impl UsersFile {
    /// The file at `path`.
    ///
    /// # Errors
    ///
    /// Where it cannot be read, has a line that is no user's, or no user at all.
    pub fn try_new(path: impl Into<PathBuf>) -> Result<Self, SetUpError> {
        let path = path.into();
        Users::read(&path)?;
        Ok(Self { path })
    }

    /// Whether the password is that of the user. It takes as long for a name that nobody has. Blocks for the time of a hash.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read any more.
    pub(crate) fn accepts(&self, name: &str, password: &SecretString) -> Result<bool, SetUpError> {
        Ok(Users::read(&self.path)?.accept(name, password))
    }
}

/// The line of a user for such a file: the name, a colon, and the argon2id hash of the password with a new salt.
///
/// ```
/// let line = arcgis_portal::line_for("ada", &"s3cret maps".to_owned().into())?;
/// assert!(line.starts_with("ada:$argon2id$"));
/// assert!(arcgis_portal::line_for("a:b", &"s3cret maps".to_owned().into()).is_err());
/// # Ok::<(), arcgis_portal::SetUpError>(())
/// ```
///
/// # Errors
///
/// Where the name cannot stand in the file, or the password is empty.
pub fn line_for(name: &str, password: &SecretString) -> Result<String, SetUpError> {
    if !is_name(name) {
        return Err(SetUpError::new(
            "a user's name has no colon, `#`, line break or blank at its ends, and is not empty",
        ));
    }
    if password.expose_secret().is_empty() {
        return Err(SetUpError::new(
            "the password is empty: write it to standard input",
        ));
    }
    let hash = Argon2::default()
        .hash_password(password.expose_secret().as_bytes())
        .map_err(|error| SetUpError::new(format!("the password cannot be hashed: {error}")))?;
    Ok(format!("{name}:{hash}"))
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.trim() == name && !name.contains([':', '#', '\n', '\r'])
}

/// The users of the file, as it is now. At least one.
struct Users {
    first: User,
    others: Vec<User>,
}

struct User {
    name: String,
    hash: PasswordHash,
}

impl Users {
    fn read(path: &Path) -> Result<Self, SetUpError> {
        let name = path.display();
        let text = fs::read_to_string(path).map_err(|error| {
            SetUpError::new(format!("the users' file {name} cannot be read: {error}"))
        })?;
        let lines = text.lines().enumerate();
        let mut users = lines
            .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
            .map(|(index, line)| {
                User::read(line).ok_or_else(|| {
                    SetUpError::new(format!(
                        "line {} of the users' file {name} is not a name, a colon and an argon2 hash; `arcgis-portal hash \
                         NAME` makes one",
                        index + 1
                    ))
                })
            });
        let first = users.next().transpose()?.ok_or_else(|| {
            SetUpError::new(format!(
                "the users' file {name} has no user in it; `arcgis-portal hash NAME` makes a line for one"
            ))
        })?;
        let others = users.collect::<Result<_, _>>()?;
        Ok(Self { first, others })
    }

    /// For a name that nobody has, the first user's hash is worked out all the same: the time must not say who is a user.
    fn accept(&self, name: &str, password: &SecretString) -> bool {
        let mut users = std::iter::once(&self.first).chain(&self.others);
        let (user, is_known) = match users.find(|user| user.name == name) {
            Some(user) => (user, true),
            None => (&self.first, false),
        };
        let password = password.expose_secret().as_bytes();
        let is_right = Argon2::default()
            .verify_password(password, &user.hash)
            .is_ok();
        is_right && is_known
    }
}

impl User {
    fn read(line: &str) -> Option<Self> {
        let (name, hash) = line.split_once(':')?;
        let hash = PasswordHash::new(hash.trim()).ok()?;
        // Only with these there is something to compare.
        let is_whole = hash.salt.is_some() && hash.hash.is_some();
        let is_argon2 = hash.algorithm.as_str().starts_with("argon2");
        (is_name(name) && is_whole && is_argon2).then(|| Self {
            name: name.to_owned(),
            hash,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretString {
        text.to_owned().into()
    }

    fn file(name: &str, text: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("arcgis-portal-users-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn a_user_is_accepted_with_the_own_password_only() {
        let ada = line_for("ada", &secret("s3cret maps")).unwrap();
        let bob = line_for("bob", &secret("other maps")).unwrap();
        let path = file("two", &format!("# people\n\n{ada}\n{bob}\n"));
        let users = UsersFile::try_new(path).unwrap();
        for (name, password, is_accepted) in [
            ("ada", "s3cret maps", true),
            ("bob", "other maps", true),
            ("bob", "s3cret maps", false),
            ("ada", "", false),
            ("Ada", "s3cret maps", false),
            // The first user's password opens nothing to a name that nobody has.
            ("eve", "s3cret maps", false),
        ] {
            let accepted = users.accepts(name, &secret(password)).unwrap();
            assert_eq!(accepted, is_accepted, "{name}");
        }
    }

    #[test]
    fn a_user_who_is_removed_is_not_accepted_any_more() {
        let (ada, bob) = (
            line_for("ada", &secret("s3cret maps")).unwrap(),
            line_for("bob", &secret("other maps")).unwrap(),
        );
        let path = file("removed", &format!("{ada}\n{bob}\n"));
        let users = UsersFile::try_new(&path).unwrap();
        assert!(users.accepts("ada", &secret("s3cret maps")).unwrap());
        fs::write(path, bob).unwrap();
        assert!(!users.accepts("ada", &secret("s3cret maps")).unwrap());
    }

    #[test]
    fn a_file_that_cannot_work_is_named_with_its_line() {
        let error = |name: &str, text: &str| {
            let error = UsersFile::try_new(file(name, text)).unwrap_err();
            error.to_string()
        };
        assert!(error("none", "# nobody\n").contains("no user in it"));
        let plain = error("plain", "# people\nada:s3cret maps\n");
        assert!(
            plain.contains("line 2") && !plain.contains("s3cret"),
            "{plain}"
        );
        assert!(error("other", "ada:$2b$12$abcdefghijklmnopqrstuv").contains("line 1"));
        assert!(UsersFile::try_new("/no/such/file").is_err());
    }

    #[test]
    fn a_hash_has_a_salt_of_its_own() {
        let line = || line_for("ada", &secret("s3cret maps")).unwrap();
        assert_ne!(line(), line());
        assert!(line_for("ada", &secret("")).is_err());
        assert!(line_for("ada\nbob", &secret("x")).is_err());
    }
}
