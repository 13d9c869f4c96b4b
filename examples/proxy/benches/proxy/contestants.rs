//! The proxies that are compared, each a process of its own.

use std::{
    env,
    error::Error,
    fs,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use crate::{PLAIN, pinning::Pinning, upstream::TOKEN};

/// A running proxy; killed when dropped.
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    /// Whether its requests carry the token.
    pub(crate) signs: bool,
    process: Child,
}

impl Contestant {
    pub(crate) fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Starts a program that prints where it listens.
    fn start(
        name: &'static str,
        signs: bool,
        mut command: Command,
    ) -> Result<Self, Box<dyn Error>> {
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let address = line
            .trim_end()
            .strip_prefix("listening on http://")
            .ok_or_else(|| format!("{name} does not start"))?
            .parse()?;
        Ok(Self {
            name,
            address,
            signs,
            process,
        })
    }
}

impl Drop for Contestant {
    fn drop(&mut self) {
        // An error is a process that has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The plain proxy first: it is what the others are compared with.
pub(crate) async fn start(
    upstream: SocketAddr,
    pinning: &Pinning,
) -> Result<Vec<Contestant>, Box<dyn Error>> {
    let mut plain = pinning.proxy(env::current_exe()?);
    plain.args([PLAIN, &upstream.to_string()]);
    let mut contestants = vec![Contestant::start("plain hyper proxy", false, plain)?];

    let untouched = arcgis_proxy(upstream, pinning);
    contestants.push(Contestant::start(
        "arcgis-proxy, no credential",
        false,
        untouched,
    )?);
    for (name, placement) in [
        ("arcgis-proxy, token in header", "header"),
        ("arcgis-proxy, token in query", "query"),
    ] {
        let mut signing = arcgis_proxy(upstream, pinning);
        signing
            .args(["--login-first", "--token-placement", placement])
            .env("ARCGIS_TOKEN", TOKEN);
        contestants.push(Contestant::start(name, true, signing)?);
    }
    match nginx(upstream, pinning)? {
        Some(nginx) => contestants.push(nginx),
        None => println!("nginx is not installed (Debian: nginx-light), and so not compared"),
    }
    Ok(contestants)
}

/// The program with its default options, and nothing of this process's own surroundings.
fn arcgis_proxy(upstream: SocketAddr, pinning: &Pinning) -> Command {
    let mut command = pinning.proxy(env!("CARGO_BIN_EXE_arcgis-proxy"));
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("ARCGIS_") {
            command.env_remove(name);
        }
    }
    command
        .args(["--listen", "127.0.0.1:0", "--upstream"])
        .arg(format!("http://{upstream}/arcgis"))
        .env("RUST_LOG", "error");
    command
}

/// One worker without a log, connections kept to both sides. `None` where nginx is not installed.
fn nginx(upstream: SocketAddr, pinning: &Pinning) -> Result<Option<Contestant>, Box<dyn Error>> {
    let is_installed = Command::new("nginx")
        .arg("-v")
        .stderr(Stdio::null())
        .status();
    if !is_installed.is_ok_and(|status| status.success()) {
        return Ok(None);
    }
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("nginx");
    fs::create_dir_all(&folder)?;
    let configuration = folder.join("nginx.conf");
    fs::write(&configuration, nginx_configuration(address, upstream))?;
    let process = pinning
        .proxy("nginx")
        .args(["-e", "stderr", "-p"])
        .arg(&folder)
        .arg("-c")
        .arg(&configuration)
        .stdin(Stdio::null())
        .spawn()?;
    let nginx = Contestant {
        name: "nginx",
        address,
        signs: false,
        process,
    };
    for _ in 0..100 {
        if TcpStream::connect(address).is_ok() {
            return Ok(Some(nginx));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Err("nginx does not start".into())
}

fn nginx_configuration(address: SocketAddr, upstream: SocketAddr) -> String {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {kind};\n"))
        .collect();
    format!(
        "daemon off; master_process off; pid nginx.pid; error_log stderr warn;\n\
         events {{ worker_connections 256; }}\n\
         http {{\naccess_log off; keepalive_requests 100000000;\n{temporary}\
         upstream arcgis {{ server {upstream}; keepalive 64; keepalive_requests 100000000; }}\n\
         server {{ listen {address}; location / {{\n\
         proxy_pass http://arcgis; proxy_http_version 1.1; proxy_set_header Connection \"\";\n\
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Host $host;\n\
         proxy_set_header X-Forwarded-Proto $scheme;\n}} }}\n}}\n"
    )
}
