//! The tests in Python and JavaScript that the guide shows.
#![cfg(feature = "cli")]

use std::process::Command;

fn passes(program: &str, arguments: &[&str]) {
    let mut command = Command::new(program);
    let output = command
        .args(arguments)
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/clients"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("STAND_IN", env!("CARGO_BIN_EXE_arcgis-stand-in"))
        .output()
        .unwrap_or_else(|error| panic!("{program} cannot be run: {error}"));
    assert!(output.status.success(), "{output:#?}");
}

#[test]
#[ignore = "needs python3"]
fn the_test_in_python_passes() {
    passes("python3", &["-m", "unittest", "test_every_challenge"]);
}

#[test]
#[ignore = "needs Node.js 18"]
fn the_test_in_javascript_passes() {
    passes("node", &["--test", "every_challenge.test.mjs"]);
}
