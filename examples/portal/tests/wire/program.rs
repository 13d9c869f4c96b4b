//! The program: its options, and hashes for the users' file.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use arcgis_portal::UsersFile;

use crate::support::temporary;

fn run(arguments: &[&str], input: &str) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_arcgis-portal"))
        .args(arguments)
        .env_remove("ARCGIS_PASSWORD")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    program
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    program.wait_with_output().unwrap()
}

#[test]
fn a_password_from_standard_input_becomes_a_line_of_the_users_file() {
    let output = run(&["hash", "ada"], "s3cret maps\n");
    assert!(output.status.success());
    let line = String::from_utf8(output.stdout).unwrap();
    assert!(line.starts_with("ada:$argon2id$v=19$"), "{line}");
    assert!(!line.contains("s3cret"));
    let path = temporary("hashed");
    std::fs::write(&path, line).unwrap();
    UsersFile::try_new(path).unwrap();
    assert_eq!(run(&["hash", "ada"], "\n").status.code(), Some(2));
}

#[test]
fn help_says_how_people_sign_in() {
    let output = run(&["--help"], "");
    let help = String::from_utf8(output.stdout).unwrap();
    for text in [
        "--map",
        "--tiles",
        "--users",
        "--insecure-cookies",
        "ARCGIS_PASSWORD",
        "hash",
    ] {
        assert!(help.contains(text), "{text}");
    }
}

#[test]
fn options_that_cannot_work_say_why() {
    let map = "https://gis.test/arcgis/rest/services/Roads/MapServer";
    let users = temporary("users-of-program");
    std::fs::write(&users, run(&["hash", "ada"], "x").stdout).unwrap();
    let users = users.to_str().unwrap();
    for (arguments, why) in [
        (&["--map", "https://gis.test/arcgis"][..], "/rest/services/"),
        (
            &["--map", map, "--users", "/no/such/file"],
            "cannot be read",
        ),
        (&["--map", map, "--users", users], "--username"),
        (
            &["--map", map, "--users", users, "--username", "gis"],
            "ARCGIS_PASSWORD",
        ),
        (&["--map", map, "--username", "gis"], "--users"),
        (
            &["--map", "http://gis.test/arcgis/rest/services/A/MapServer"],
            "plain http",
        ),
    ] {
        let output = run(arguments, "");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(why), "{arguments:?}: {error}");
    }
}
