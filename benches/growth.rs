//! How cost grows: with sites, identities, waiters, body sizes, headers, and the length of URLs. `cargo bench --bench growth`
//! prints the table of README's "What it costs". Times are medians and go by the machine; bytes and logins are exact.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Uri};
use http_body_util::Full;
use tokio::time::Instant;
use tower::{Layer, Service};
use tower_arcgis_auth::{ArcgisAuthLayer, IssuedToken, Site, TokenPlacement, token_source_fn};

#[allow(dead_code, unused_imports, reason = "each bench uses its part")]
mod support;

use support::{Bare, HEADER, Request, Settings, get, service};

/// The median of what `once` takes, in nanoseconds.
fn nanoseconds(mut once: impl FnMut()) -> f64 {
    const TIMES: u32 = 200;
    let mut batches: Vec<f64> = (0..30)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..TIMES {
                once();
            }
            start.elapsed().as_nanos() as f64 / f64::from(TIMES)
        })
        .collect();
    batches.sort_by(f64::total_cmp);
    batches[batches.len() / 2]
}

/// What a layer with these settings adds to a request, in nanoseconds.
fn added(settings: Settings, bare: &Bare, request: impl Fn() -> Request) -> f64 {
    let mut sender = support::by(bare.clone());
    let alone = nanoseconds(|| sender(request()));
    let mut sender = support::by(service(settings, bare.clone()));
    nanoseconds(|| sender(request())) - alone
}

fn sites() {
    println!("\n| sites | to build | bytes each | a request, over the bare service |");
    println!("| ---: | ---: | ---: | ---: |");
    for sites in [1, 10, 100, 1000] {
        let settings = Settings { sites, ..HEADER };
        let mut layer = None;
        let mut took = Duration::ZERO;
        let allocated = allocation_counter::measure(|| {
            let start = Instant::now();
            layer = Some(support::layer(settings));
            took = start.elapsed();
        });
        drop(layer);
        let bytes = allocated.bytes_current / sites as i64;
        let request = added(settings, &Bare::json(), get);
        println!(
            "| {sites} | {:.2} ms | {bytes} | {request:.0} ns |",
            took.as_secs_f64() * 1e3
        );
    }
}

fn identities() {
    println!("\n| identities | bytes each | a request, over the bare service |");
    println!("| ---: | ---: | ---: |");
    for identities in [1, 100, 10_000, 100_000] {
        let settings = Settings {
            identities,
            ..HEADER
        };
        let mut with_tokens = None;
        let allocated = allocation_counter::measure(|| {
            with_tokens = Some(service(settings, Bare::json()));
        });
        drop(with_tokens);
        let bytes = allocated.bytes_current / identities as i64;
        let request = added(settings, &Bare::json(), get);
        println!("| {identities} | {bytes} | {request:.0} ns |");
    }
}

/// Many requests are challenged at once, and wait for one login.
fn waiters() {
    println!("\n| requests that wait for one login | bytes each | in all | logins |");
    println!("| ---: | ---: | ---: | ---: |");
    for waiters in [1, 100, 10_000, 100_000] {
        let runtime = support::runtime();
        let logins = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&logins);
        let site = Site::new("http://gis.test/arcgis").token_source(token_source_fn(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
            async {
                tokio::time::sleep(Duration::from_millis(1)).await;
                IssuedToken::try_new("T".repeat(200))
            }
        }));
        let layer = ArcgisAuthLayer::try_new(site).expect("settings that work");
        let mut service = layer.layer(Bare::challenge());
        let start = Instant::now();
        let mut bytes = 0;
        runtime.block_on(async {
            let mut waiting: Vec<Pin<Box<dyn Future<Output = bool>>>> = Vec::with_capacity(waiters);
            let allocated = allocation_counter::measure(|| {
                for _ in 0..waiters {
                    let sent = service.call(get());
                    let mut sent = Box::pin(async { sent.await.is_ok() });
                    let polled = sent.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                    assert_eq!(polled, Poll::Pending);
                    waiting.push(sent);
                }
            });
            bytes = allocated.bytes_current / waiters as i64;
            for sent in waiting {
                assert!(sent.await);
            }
        });
        let took = start.elapsed().as_secs_f64() * 1e3;
        let logins = logins.load(Ordering::Relaxed);
        println!("| {waiters} | {bytes} | {took:.1} ms | {logins} |");
    }
}

fn bodies() {
    println!("\n| bytes of the answer's body | in frames of | over the bare service |");
    println!("| ---: | ---: | ---: |");
    for frames in [1, 16, 256] {
        let read = |is_bare| {
            let mut frame = support::frames(is_bare);
            nanoseconds(|| (0..frames).for_each(|_| frame()))
        };
        let bytes = frames * 64 * 1024;
        println!("| {bytes} | 64 KiB | {:.0} ns |", read(false) - read(true));
    }
}

fn headers_and_urls() {
    println!("\n| headers of the request | a copy kept | no copy |");
    println!("| ---: | ---: | ---: |");
    for count in [4, 16, 64] {
        let request = || {
            let mut request = get();
            for number in 4..count {
                let name = HeaderName::try_from(format!("x-header-{number}")).expect("a name");
                request
                    .headers_mut()
                    .insert(name, HeaderValue::from_static("value"));
            }
            request
        };
        let with_body = || request().map(|_| Full::new(Bytes::from_static(b"x")));
        let kept = added(
            Settings {
                copy: true,
                ..HEADER
            },
            &Bare::json(),
            request,
        );
        let not = added(HEADER, &Bare::json(), with_body);
        println!("| {count} | {kept:.0} ns | {not:.0} ns |");
    }
    println!("\n| bytes of the URL | header | query |");
    println!("| ---: | ---: | ---: |");
    for length in [100, 400, 1600, 6400] {
        let start = "http://gis.test/arcgis/rest/services/Census/MapServer/3/query?f=json&where=";
        let uri = format!("{start}{}", "x".repeat(length - start.len()));
        let request = || {
            let mut request = get();
            *request.uri_mut() = Uri::try_from(uri.as_str()).expect("a URI");
            request
        };
        let header = added(HEADER, &Bare::json(), request);
        let placement = TokenPlacement::Query;
        let query = added(
            Settings {
                placement,
                ..HEADER
            },
            &Bare::json(),
            request,
        );
        println!("| {length} | {header:.0} ns | {query:.0} ns |");
    }
}

fn main() {
    sites();
    identities();
    waiters();
    bodies();
    headers_and_urls();
}
