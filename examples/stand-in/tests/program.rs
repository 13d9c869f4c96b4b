//! The program says where it listens and serves there.
#![cfg(feature = "cli")]

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use support::{get, post_form};

/// Ends the program with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn the_program_serves_where_it_says() {
    let program = Command::new(env!("CARGO_BIN_EXE_arcgis-stand-in"))
        .args([
            "--listen",
            "127.0.0.1:0",
            "--username",
            "ada",
            "--password",
            "p&w",
            "--token-minutes",
            "5",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut running = Running(program.unwrap());
    let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let ready = lines.next().unwrap().unwrap();
    let origin = ready.strip_prefix("listening on ").unwrap();

    let info = get(&format!("{origin}/arcgis/rest/info?f=json"))
        .await
        .json();
    assert_eq!(info["authInfo"]["shortLivedTokenValidity"], 5);
    let login = format!("{origin}/arcgis/tokens/generateToken");
    assert_eq!(
        post_form(&login, &[("username", "ada"), ("password", "p&w")])
            .await
            .code(),
        0
    );
    let counters = get(&format!("{origin}/stand-in/counters")).await.json();
    assert_eq!(counters["logins"], 1);
}
