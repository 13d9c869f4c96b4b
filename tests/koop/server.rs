//! Koop, Esri's open-source GeoServices server, as a process of its own: starts `server.cjs` beside this file, and asks what it counted.
//!
//! Shared with the tests of the proxy.

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::Value;

pub(crate) const USER: &str = "surveyor";
pub(crate) const PASSWORD: &str = "let me in & out = 100% +1";

/// A Koop of this test's own. It ends with its standard input, so with the test however that ends.
pub(crate) struct Koop {
    process: Child,
    pub(crate) url: String,
}

impl Koop {
    /// Returns once it listens. `folder` is this file's, unless `KOOP_DIR` names another.
    pub(crate) fn start(folder: &str) -> Self {
        let folder = env::var("KOOP_DIR").unwrap_or_else(|_| folder.to_owned());
        let mut process = Command::new("node")
            .args(["server.cjs", "0"])
            .current_dir(folder)
            .env("KOOP_EXIT_WITH_STDIN", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Koop needs Node.js; install it, or leave this test ignored");
        let output = BufReader::new(process.stdout.take().unwrap());
        let url = output
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("listening on ").map(str::to_owned))
            .expect("Koop ended before it listened; run `npm ci` in tests/koop");
        Self { process, url }
    }

    /// What it counted so far.
    pub(crate) async fn stats(&self) -> Value {
        let stats = self.ask("GET", "stats").await;
        serde_json::from_slice(&stats).unwrap()
    }

    /// Tells it something that Koop itself does not know: `rotate`.
    pub(crate) async fn tell(&self, what: &str) {
        self.ask("POST", what).await;
    }

    async fn ask(&self, method: &str, path: &str) -> Bytes {
        let client = Client::builder(TokioExecutor::new()).build_http();
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/koop-test/{path}", self.url))
            .body(Full::<Bytes>::default())
            .unwrap();
        let answer = client.request(request).await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.into_body().collect().await.unwrap().to_bytes()
    }
}

impl Drop for Koop {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        self.process.wait().expect("Koop ends with its input");
    }
}
