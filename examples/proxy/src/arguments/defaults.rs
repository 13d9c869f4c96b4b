//! Options that a file has, where the command line and the environment are silent.

use clap::Command;

use crate::config::Defaults;

/// Options that make no sense in a file, or have another name there.
const NOT_IN_FILES: [&str; 8] = [
    "config",
    "check",
    "convert",
    "upstream",
    "username",
    "password-file",
    "client-id",
    "client-secret-file",
];

/// The command line's description with the file's values as defaults.
pub(super) fn with_defaults(command: Command, defaults: &Defaults) -> Result<Command, String> {
    for (name, _) in defaults {
        let is_known = command
            .get_arguments()
            .any(|argument| argument.get_long() == Some(name));
        if !is_known || NOT_IN_FILES.contains(&name.as_str()) {
            return Err(format!(
                "`{name}` is no option of a file; `arcgis-proxy --help` has their names, and a site's login belongs under its \
                 [[site]]"
            ));
        }
    }
    Ok(command.mut_args(|argument| {
        let given = defaults
            .iter()
            .find(|(name, _)| argument.get_long() == Some(name));
        match given {
            Some((_, values)) => argument.default_values(values.clone()),
            None => argument,
        }
    }))
}
