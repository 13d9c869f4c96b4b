//! The upstream: as little work as a server can do, so that the proxies are what is measured. It counts the requests
//! that carry the token.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Long like those of ArcGIS.
pub(crate) const TOKEN: &str = "Zm9yLW1lYXN1cmVtZW50cw.9bKq2RkE7xvN0wLsYtQpUaHdGcJfMiXo5B3e8z1n4V6mDhTgWyCrSjPuOlIk\
                                AEwZxq7Lr0vYb2Kd9sQnGpMtJhUfXiBoCe5gR8a1W3z4y6V_TOKEN_-mPcNkSjHdLu";
const ANSWER_LENGTH: usize = 1024;

pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct Counters {
    all: AtomicU64,
    signed: AtomicU64,
}

/// How many requests came so far.
pub(crate) struct Seen {
    pub(crate) all: u64,
    pub(crate) signed: u64,
}

impl Upstream {
    pub(crate) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let counters = Arc::<Counters>::default();
        let shared = Arc::clone(&counters);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let counters = Arc::clone(&shared);
                // An error is a proxy that closes its connection.
                tokio::spawn(async move { answer_all(stream, &counters).await });
            }
        });
        Ok(Self { address, counters })
    }

    pub(crate) fn seen(&self) -> Seen {
        Seen {
            all: self.counters.all.load(Ordering::Relaxed),
            signed: self.counters.signed.load(Ordering::Relaxed),
        }
    }
}

async fn answer_all(mut stream: TcpStream, counters: &Counters) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let json = answer(
        "application/json;charset=UTF-8",
        br#"{"currentVersion":11.3,"layers":["#,
    );
    let image = answer("image/png", b"\x89PNG\r\n\x1a\n");
    let mut head = Vec::with_capacity(4096);
    loop {
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read_buf(&mut head).await? == 0 {
                return Ok(());
            }
        }
        counters.all.fetch_add(1, Ordering::Relaxed);
        if contains(&head, TOKEN.as_bytes()) {
            counters.signed.fetch_add(1, Ordering::Relaxed);
        }
        let is_image = contains(&head[..head.len().min(300)], b"f=image");
        head.clear();
        stream
            .write_all(if is_image { &image } else { &json })
            .await?;
    }
}

/// An answer as ArcGIS Server gives it.
fn answer(content_type: &str, start: &[u8]) -> Vec<u8> {
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {ANSWER_LENGTH}\r\n\
         Cache-Control: max-age=0,must-revalidate\r\nETag: \"3f1c9a52-1a7b\"\r\nVary: Origin\r\n\
         X-Content-Type-Options: nosniff\r\nServer: Microsoft-IIS/10.0\r\n\
         Date: Tue, 03 Mar 2026 10:00:00 GMT\r\n\r\n"
    )
    .into_bytes();
    let end = answer.len() + ANSWER_LENGTH;
    answer.extend_from_slice(start);
    answer.resize(end, b' ');
    answer
}

fn contains(text: &[u8], piece: &[u8]) -> bool {
    // Only where the first byte fits is the rest compared: looking must not cost the upstream much.
    let Some((first, rest)) = piece.split_first() else {
        return true;
    };
    text.iter()
        .enumerate()
        .any(|(at, byte)| byte == first && text[at + 1..].starts_with(rest))
}
