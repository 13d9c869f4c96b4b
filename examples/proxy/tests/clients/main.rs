//! Map clients as people use them, each through the proxy, before Koop with every service secured, whose tokens die on the way.
//!
//! Ignored by a plain `cargo test`, because they need Node.js, packages from npm, Chromium and GDAL's programs:
//! `npm ci` in `tests/koop` and here, then `cargo test -p arcgis-proxy --test clients -- --ignored`.

#[path = "../../../../tests/koop/server.rs"]
mod koop;
#[path = "../support/mod.rs"]
mod support;

mod arcgis_rest;
mod browser;
mod gdal;

use std::process::Stdio;

use koop::{Koop, PASSWORD, USER};
use serde_json::Value;
use support::{File, Proxy, metric};
use tokio::process::Command;

/// The identifiers of all of Koop's trees.
const TREES: [u64; 5] = [1, 2, 3, 4, 5];
const LAYER: &str = "/arcgis/rest/services/trees/FeatureServer/0";

/// Koop, and the proxy in front of it.
struct Served {
    koop: Koop,
    proxy: Proxy,
}

impl Served {
    /// As one server, with further options.
    async fn one(options: &[&str]) -> Self {
        let koop = start_koop();
        let upstream = format!("{}/arcgis", koop.url);
        let one = ["--upstream", &upstream, "--username", USER];
        Self::start(koop, &[&one, options].concat()).await
    }

    /// As pages know it that were written for Esri's resource-proxy: `/proxy?http://…`.
    async fn as_resource_proxy(options: &[&str]) -> Self {
        let koop = start_koop();
        let config = format!(
            "[[site]]\nurl = \"{}/arcgis\"\nusername = \"{USER}\"\npassword = \"env:ARCGIS_PASSWORD\"\n",
            koop.url
        );
        let file = File::new("clients.toml", config.as_bytes());
        Self::start(koop, &[&["--config", file.path()], options].concat()).await
    }

    async fn start(koop: Koop, options: &[&str]) -> Self {
        let options = [&["--admin-listen", "127.0.0.1:0"], options].concat();
        let proxy = Proxy::start(&options, &[("ARCGIS_PASSWORD", PASSWORD)]).await;
        Self { koop, proxy }
    }

    /// Fails unless the proxy logged in once, and once more for each time that the tokens died, whatever was asked; and
    /// no caller ever got to see that a token was wanted.
    async fn assert_logged_in_only_when_tokens_died(&mut self, at_least: u64) {
        let stats = self.koop.stats().await;
        let of = |name: &str| stats[name].as_u64().unwrap();
        assert!(of("rotations") >= at_least, "{stats}");
        assert_eq!(of("generateToken"), of("rotations") + 1, "{stats}");
        assert_eq!(of("passwordInUrl"), 0, "{stats}");
        let metrics = self.proxy.metrics().await;
        assert_eq!(metric(&metrics, "arcgis_auth_challenges_returned_total"), 0);
        assert!(metric(&metrics, "arcgis_auth_challenges_total") > at_least);
    }
}

fn start_koop() -> Koop {
    Koop::start(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/koop"))
}

/// Runs a script of this folder, and returns what it found.
async fn run_script(name: &str, arguments: &[&str]) -> Value {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients");
    let mut node = Command::new("node");
    node.arg(name).args(arguments).current_dir(folder);
    serde_json::from_str(&output_of(node).await).unwrap()
}

/// What the program writes to standard output. It asks this machine only, whatever proxy the surroundings name.
async fn output_of(mut program: Command) -> String {
    let output = program
        .env("NO_PROXY", "*")
        .env("no_proxy", "*")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("the client is not installed; CONTRIBUTING.md says what these tests need");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}: {error}", program.as_std());
    String::from_utf8(output.stdout).unwrap()
}
