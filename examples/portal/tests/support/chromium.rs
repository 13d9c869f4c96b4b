//! A real Chromium, driven through chromedriver.
//!
//! `CHROMEDRIVER` and `CHROMIUM` name other programs than those that Debian's packages `chromium-driver` and `chromium`
//! install.

use std::{
    env,
    ffi::OsString,
    panic::{AssertUnwindSafe, resume_unwind},
    path::PathBuf,
    process::Stdio,
    sync::Mutex,
};

use fantoccini::{Client, ClientBuilder, Locator};
use futures_util::FutureExt;
use hyper_util::client::legacy::connect::HttpConnector;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::support::temporary;

/// Nothing of the machine's own browser, and nothing that asks the internet.
const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1000,1040",
];

/// A chromedriver of the test's own, and the browsers it started.
pub(crate) struct Driver {
    process: Child,
    url: String,
    browsers: Mutex<Vec<(Client, PathBuf)>>,
}

/// Runs `test`, and ends all browsers however it ends.
pub(crate) async fn with_driver(test: impl AsyncFnOnce(&Driver)) {
    let mut driver = Driver::start().await;
    let result = AssertUnwindSafe(test(&driver)).catch_unwind().await;
    driver.stop().await;
    if let Err(panic) = result {
        resume_unwind(panic);
    }
}

fn program(variable: &str, usual: &str) -> OsString {
    env::var_os(variable).unwrap_or_else(|| usual.into())
}

impl Driver {
    async fn start() -> Self {
        let program = program("CHROMEDRIVER", "chromedriver");
        let mut process = Command::new(&program)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "{}: {error}; install Debian's chromium-driver",
                    program.display()
                )
            });
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = loop {
            let line = lines
                .next_line()
                .await
                .unwrap()
                .expect("chromedriver ended");
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        Self {
            process,
            url: format!("http://127.0.0.1:{port}"),
            browsers: Mutex::default(),
        }
    }

    /// A browser with a new, empty profile.
    pub(crate) async fn browser(&self) -> Browser {
        let profile = temporary("profile");
        std::fs::create_dir_all(&profile).unwrap();
        let binary = program("CHROMIUM", "/usr/bin/chromium");
        let mut flags: Vec<String> = FLAGS.map(str::to_owned).to_vec();
        flags.push(format!("--user-data-dir={}", profile.display()));
        let options = json!({ "binary": binary.to_str().unwrap(), "args": flags });
        let Value::Object(capabilities) = json!({ "goog:chromeOptions": options }) else {
            unreachable!("an object was written");
        };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&self.url)
            .await
            .unwrap();
        let browser = Browser {
            client: client.clone(),
        };
        self.browsers.lock().unwrap().push((client, profile));
        browser
    }

    async fn stop(&mut self) {
        let browsers = std::mem::take(&mut *self.browsers.lock().unwrap());
        for (client, profile) in browsers {
            // A browser that is gone already is ended.
            let _ = client.close().await;
            let _ = std::fs::remove_dir_all(profile);
        }
        let _ = self.process.kill().await;
    }
}

pub(crate) struct Browser {
    pub(crate) client: Client,
}

/// An image on a page, once it is drawn or cannot be.
#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Drawn {
    pub(crate) path: String,
    /// Zero where there is no image.
    pub(crate) natural_width: u32,
    /// Red, green, blue of a point of its ground.
    pub(crate) colour: Vec<u8>,
    /// Colours in all of it.
    pub(crate) colours: usize,
}

/// Waits until no image is on its way any more, then looks at their pixels.
const LOOK_AT_IMAGES: &str = r"
    const done = arguments[arguments.length - 1];
    const images = [...document.images];
    const look = image => {
        const width = image.naturalWidth, height = image.naturalHeight;
        const path = new URL(image.src).pathname;
        if (!width) return { path, naturalWidth: 0, colour: [], colours: 0 };
        const canvas = document.createElement('canvas');
        canvas.width = width;
        canvas.height = height;
        const context = canvas.getContext('2d');
        context.drawImage(image, 0, 0);
        const pixels = new Uint32Array(context.getImageData(0, 0, width, height).data.buffer);
        const middle = context.getImageData(width - 3, height - 3, 1, 1).data;
        return { path, naturalWidth: width, colour: [...middle.slice(0, 3)], colours: new Set(pixels).size };
    };
    Promise.allSettled(images.map(image => image.decode())).then(() => done(images.map(look)));
";

impl Browser {
    pub(crate) async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    pub(crate) async fn reload(&self) {
        self.client.refresh().await.unwrap();
    }

    /// The text that a person sees.
    pub(crate) async fn text(&self) -> String {
        let body = self.client.find(Locator::Css("body")).await.unwrap();
        body.text().await.unwrap()
    }

    /// Waits until the page has such an element, and returns its text.
    pub(crate) async fn wait_for(&self, css: &str) -> String {
        let element = self.client.wait().for_element(Locator::Css(css)).await;
        let element = element.unwrap_or_else(|error| panic!("no {css}: {error}"));
        element.text().await.unwrap()
    }

    pub(crate) async fn asks_for_password(&self) -> bool {
        let fields = Locator::Css("input[type=password]");
        !self.client.find_all(fields).await.unwrap().is_empty()
    }

    pub(crate) async fn click(&self, css: &str) {
        let element = self.client.find(Locator::Css(css)).await.unwrap();
        element.click().await.unwrap();
    }

    /// Types into the login page as a person does, and sends it.
    pub(crate) async fn send_login(&self, (name, password): (&str, &str)) {
        for (field, text) in [("name", name), ("password", password)] {
            let css = format!("input[name={field}]");
            let input = self
                .client
                .wait()
                .for_element(Locator::Css(&css))
                .await
                .unwrap();
            input.clear().await.unwrap();
            input.send_keys(text).await.unwrap();
        }
        self.click("main button").await;
    }

    /// Waits for the images of the page.
    pub(crate) async fn images(&self) -> Vec<Drawn> {
        let images = self.client.execute_async(LOOK_AT_IMAGES, Vec::new()).await;
        serde_json::from_value(images.unwrap()).unwrap()
    }

    /// Into `screenshots` below the tests' folder, `target/tmp`.
    pub(crate) async fn keep_screenshot(&self, name: &str) {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        let png = self.client.screenshot().await.unwrap();
        std::fs::write(folder.join(name), png).unwrap();
    }
}
