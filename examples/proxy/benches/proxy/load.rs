//! The callers: browsers that ask a map service over connections they keep, and wait for each answer.

use std::{error::Error, fs, io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Barrier,
    task::JoinSet,
    time::Instant,
};

use crate::contestants::Contestant;

const CONNECTIONS: usize = 16;
/// Asked on each connection before anything counts: by then the proxy has its connections to the upstream.
const WARM_UP: usize = 20;

/// What a proxy did in one turn.
pub(crate) struct Turn {
    pub(crate) requests: u64,
    pub(crate) seconds: f64,
    /// Processor time of the proxy's process; `None` where there is no `/proc`.
    pub(crate) processor_seconds: Option<f64>,
}

/// Has `contestant` answer requests for `duration`.
pub(crate) async fn take_turn(
    contestant: &Contestant,
    duration: Duration,
) -> Result<Turn, Box<dyn Error>> {
    let is_warm = Arc::new(Barrier::new(CONNECTIONS + 1));
    let mut callers = JoinSet::new();
    for number in 0..CONNECTIONS {
        let caller = Caller::connect(contestant.address, number % 2 == 1).await?;
        callers.spawn(caller.ask_for(duration, Arc::clone(&is_warm)));
    }
    is_warm.wait().await;
    let started = Instant::now();
    let processor_before = processor_seconds(contestant.process_id());
    let mut requests = 0;
    while let Some(done) = callers.join_next().await {
        requests += done??;
    }
    let processor_after = processor_seconds(contestant.process_id());
    Ok(Turn {
        requests,
        seconds: started.elapsed().as_secs_f64(),
        processor_seconds: processor_after
            .zip(processor_before)
            .map(|(after, before)| after - before),
    })
}

struct Caller {
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl Caller {
    async fn connect(proxy: SocketAddr, wants_image: bool) -> io::Result<Self> {
        let stream = TcpStream::connect(proxy).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            request: request(proxy, wants_image),
            buffer: Vec::with_capacity(8192),
        })
    }

    async fn ask_for(mut self, duration: Duration, is_warm: Arc<Barrier>) -> io::Result<u64> {
        for _ in 0..WARM_UP {
            self.ask().await?;
        }
        is_warm.wait().await;
        let end = Instant::now() + duration;
        let mut requests = 0;
        while Instant::now() < end {
            self.ask().await?;
            requests += 1;
        }
        Ok(requests)
    }

    async fn ask(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.request).await?;
        self.buffer.clear();
        let mut length = None;
        while length.is_none_or(|length| self.buffer.len() < length) {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if length.is_none() {
                length = length_of_answer(&self.buffer)?;
            }
        }
        Ok(())
    }
}

/// How long an answer is with its head, once its head is there.
fn length_of_answer(buffer: &[u8]) -> io::Result<Option<usize>> {
    let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = String::from_utf8_lossy(&buffer[..end]);
    let mut lines = head.lines();
    let is_fine = lines.next().is_some_and(|line| line.contains(" 200 "));
    lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, length)| length.trim().parse::<usize>().ok())
        .filter(|_| is_fine)
        .map(|length| Some(end + 4 + length))
        .ok_or_else(|| io::Error::other(format!("not the upstream's answer: {head}")))
}

/// What a browser sends for a map.
fn request(proxy: SocketAddr, wants_image: bool) -> Vec<u8> {
    let format = if wants_image { "image" } else { "json" };
    let accept = if wants_image {
        "image/avif,image/webp,image/png,image/*;q=0.8,*/*;q=0.5"
    } else {
        "*/*"
    };
    format!(
        "GET /arcgis/rest/services/Planning/Zoning/MapServer/export?f={format}&\
         bbox=-13630599.6%2C4544450.7%2C-13619000.1%2C4552000.4&bboxSR=3857&imageSR=3857&size=512%2C512&dpi=96&\
         format=png32&transparent=true&layers=show%3A0%2C1%2C4 HTTP/1.1\r\nHost: {proxy}\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\nAccept: {accept}\r\n\
         Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\n\
         Referer: http://maps.example.com/viewer/\r\nConnection: keep-alive\r\nCache-Control: max-age=0\r\n\r\n"
    )
    .into_bytes()
}

/// What a process has had of the processors so far, user and system time. To the nanosecond: the ticks of
/// `/proc/…/stat` are too coarse for one turn.
fn processor_seconds(process_id: u32) -> Option<f64> {
    let threads = fs::read_dir(format!("/proc/{process_id}/task")).ok()?;
    let mut nanoseconds = 0;
    for thread in threads {
        let times = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        nanoseconds += times.split_ascii_whitespace().next()?.parse::<u64>().ok()?;
    }
    Some(nanoseconds as f64 / 1e9)
}
