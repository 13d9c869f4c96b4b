//! Those who ask: many that behave, over HTTP/1 and HTTP/2, and beside them slow ones, ones that vanish and ones that stop half-way.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::{JoinHandle, JoinSet},
    time::sleep,
};

use crate::{
    judge::Judge,
    support::{ECHO, Got, PARCELS, http1, http2, read_head},
};

const LITTLE: &str = "/arcgis/rest/services/Parcels/MapServer/stream?chunks=20&size=1000";
const LITTLE_LENGTH: usize = 20_000;
/// More than the sockets of one who reads nothing hold.
const SOME: &str = "/arcgis/rest/services/Parcels/MapServer/stream?chunks=64&size=16384";
/// More than all sockets on the way ever hold.
const MUCH: &str = "/arcgis/rest/services/Parcels/MapServer/stream?chunks=1000&size=65536";
/// Between what a slow caller sends or reads: its own slowness, nothing is waited for.
const SLOWNESS: Duration = Duration::from_millis(20);

/// Between a vanishing caller's rounds: a closed connection's port cannot be used again for a minute, and ports are few.
const ROUND: Duration = Duration::from_millis(100);

/// Longer than the proxy's patience, `--header-timeout` and `--body-timeout`.
const STANDSTILL: Duration = Duration::from_secs(11);

type Http = Client<HttpConnector, Full<Bytes>>;

#[derive(Clone)]
struct Caller {
    proxy: SocketAddr,
    judge: Arc<Judge>,
}

/// Starts all of them. They end once the judge says that the load is over.
pub(crate) fn start(proxy: SocketAddr, judge: &Arc<Judge>) -> Vec<JoinHandle<()>> {
    let caller = Caller {
        proxy,
        judge: Arc::clone(judge),
    };
    let mut callers = Vec::new();
    for _ in 0..4 {
        callers.push(tokio::spawn(caller.clone().ask_over_one(http1(), 1)));
        callers.push(tokio::spawn(caller.clone().vanish()));
        callers.push(tokio::spawn(caller.clone().be_slow()));
        callers.push(tokio::spawn(caller.clone().stop_half_way()));
    }
    for _ in 0..2 {
        callers.push(tokio::spawn(caller.clone().ask_over_one(http2(), 8)));
        callers.push(tokio::spawn(caller.clone().vanish_over_http2()));
        callers.push(tokio::spawn(caller.clone().be_slow_over_http2()));
    }
    callers
}

impl Caller {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.proxy)
    }

    fn get(&self, path: &str) -> Request<Full<Bytes>> {
        Request::get(self.url(path)).body(Full::default()).unwrap()
    }

    fn post(&self, body: &str) -> Request<Full<Bytes>> {
        let body = Full::from(body.to_owned());
        Request::post(self.url(ECHO)).body(body).unwrap()
    }

    /// The head of a request, as HTTP/1 has it.
    fn head(&self, request: &str, more: &str) -> String {
        format!("{request} HTTP/1.1\r\nHost: {}\r\n{more}\r\n", self.proxy)
    }

    /// Has the judge hear what became of a request.
    async fn judged(&self, what: &str, request: impl Future<Output = Result<(), String>>) {
        let began = self.judge.phase();
        let outcome = request.await.map_err(|wrong| format!("{what}: {wrong}"));
        self.judge.hear(began, outcome);
    }

    /// Asks `at_once` times, waits for all answers, and again.
    async fn ask_over_one(self, client: Http, at_once: u64) {
        let mut number = 0;
        while !self.judge.is_over() {
            let mut asking = JoinSet::new();
            for _ in 0..at_once {
                number += 1;
                asking.spawn(self.clone().ask(client.clone(), number));
            }
            asking.join_all().await;
        }
    }

    async fn ask(self, client: Http, number: u64) {
        if number.is_multiple_of(2) {
            let asked = async {
                let got = answer(&client, self.get(PARCELS)).await?;
                right(got.is_the_service(), &got)
            };
            return self.judged("GET", asked).await;
        }
        let body = format!("number {number}").repeat(1 + number as usize % 500);
        let posted = async {
            let got = answer(&client, self.post(&body)).await?;
            right(got.status == 200 && got.json()["body"] == body, &got)
        };
        self.judged("POST", posted).await;
    }

    /// Closes its connection when nobody expects it.
    async fn vanish(self) {
        let get = self.head(&format!("GET {LITTLE}"), "");
        let post = self.head(&format!("POST {ECHO}"), "Content-Length: 100000\r\n");
        let some = self.head(&format!("GET {SOME}"), "");
        let before_its_answer = [String::new(), get[..9].to_owned(), get, post];
        while !self.judge.is_over() {
            for said in &before_its_answer {
                let mut stream = TcpStream::connect(self.proxy).await.unwrap();
                stream.write_all(said.as_bytes()).await.unwrap();
                self.judge.given_up();
            }
            let mut stream = TcpStream::connect(self.proxy).await.unwrap();
            stream.write_all(some.as_bytes()).await.unwrap();
            // In the middle of its answer.
            read_head(&mut stream).await;
            self.judge.given_up();
            sleep(ROUND).await;
        }
    }

    /// Resets its streams, and now and then drops the connection with all of them.
    async fn vanish_over_http2(self) {
        while !self.judge.is_over() {
            let client = http2();
            for _ in 0..20 {
                let mut asking = JoinSet::new();
                for _ in 0..4 {
                    asking.spawn(client.request(self.get(LITTLE)));
                }
                // One has the head of its answer, and reads no body. The others have mostly nothing yet.
                let _head = asking.join_next().await;
                self.judge.given_up();
            }
        }
    }

    /// Sends and reads piece by piece.
    async fn be_slow(self) {
        let get = self.head(&format!("GET {LITTLE}"), "Connection: close\r\n");
        while !self.judge.is_over() {
            let asked = async {
                let mut stream = TcpStream::connect(self.proxy).await.map_err(wrong)?;
                for piece in get.as_bytes().chunks(20) {
                    stream.write_all(piece).await.map_err(wrong)?;
                    sleep(SLOWNESS).await;
                }
                let mut answer = Vec::new();
                let mut piece = [0; 1000];
                loop {
                    match stream.read(&mut piece).await.map_err(wrong)? {
                        0 => break,
                        read => answer.extend_from_slice(&piece[..read]),
                    }
                    sleep(SLOWNESS).await;
                }
                let is_whole = answer.starts_with(b"HTTP/1.1 200 ")
                    && answer.ends_with(b"\r\n0\r\n\r\n")
                    && answer.len() > LITTLE_LENGTH;
                match is_whole {
                    true => Ok(()),
                    false => Err(String::from_utf8_lossy(&answer).into_owned()),
                }
            };
            self.judged("slow over HTTP/1", asked).await;
        }
    }

    async fn be_slow_over_http2(self) {
        let client = http2();
        while !self.judge.is_over() {
            let asked = async {
                let mut response = client.request(self.get(LITTLE)).await.map_err(wrong)?;
                let mut length = 0;
                while let Some(frame) = response.frame().await {
                    length += frame.map_err(wrong)?.data_ref().map_or(0, Bytes::len);
                    sleep(SLOWNESS).await;
                }
                match length {
                    LITTLE_LENGTH => Ok(()),
                    _ => Err(format!("{} with {length} bytes", response.status())),
                }
            };
            self.judged("slow over HTTP/2", asked).await;
        }
    }

    /// Says half of what it has to say, or reads none of its answer, until the proxy has had enough of it.
    async fn stop_half_way(self) {
        let post = self.head(&format!("POST {ECHO}"), "Content-Length: 100000\r\n");
        let much = self.head(&format!("GET {MUCH}"), "");
        for said in ["GET /arcgis", &post, &much].into_iter().cycle() {
            if self.judge.is_over() {
                return;
            }
            let mut stream = TcpStream::connect(self.proxy).await.unwrap();
            stream.write_all(said.as_bytes()).await.unwrap();
            sleep(STANDSTILL).await;
            // What still comes, if anything does; a reset is an end too.
            let _ = stream.read_to_end(&mut Vec::new()).await;
            self.judge.given_up();
        }
    }
}

async fn answer(client: &Http, request: Request<Full<Bytes>>) -> Result<Got, String> {
    let response = client.request(request).await.map_err(wrong)?;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(wrong)?.to_bytes();
    let whole = http::Response::from_parts(parts, Full::new(body));
    Ok(Got::from(whole).await)
}

fn right(is_right: bool, got: &Got) -> Result<(), String> {
    match is_right {
        true => Ok(()),
        false => Err(format!("{} {:?}", got.status, got.body)),
    }
}

fn wrong(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}
