//! How many instructions the layer costs, beside what others cost: `cargo bench --bench instructions`, which needs valgrind and
//! `gungraun-runner`. The counts repeat, to within an instruction or two for each request.
//!
//! `cargo test --test instructions -- --ignored` takes the baselines off, and holds the rest against `instructions.txt`.

#![allow(missing_docs, reason = "gungraun's macros make public items")]

use gungraun::{
    Callgrind, LibraryBenchmarkConfig, OutputFormat, library_benchmark, library_benchmark_group,
};

#[allow(dead_code, unused_imports, reason = "each bench uses its part")]
mod support;

/// Each count is of so many: one alone would be that of a first time.
const TIMES: usize = 1000;

/// Sends one request of a case.
fn sending(name: &str) -> Box<dyn FnMut()> {
    let case = support::cases()
        .into_iter()
        .find(|case| case.name == name)
        .expect("a case of this name");
    let request = case.request;
    let mut sender = (case.sender)();
    let mut send = move || sender(request());
    // Caches of the thread are filled, and what is looked up once is known.
    for _ in 0..100 {
        send();
    }
    Box::new(send)
}

/// Gives back what it was given, so that dropping a layer is not counted.
fn repeated(mut once: Box<dyn FnMut()>) -> Box<dyn FnMut()> {
    for _ in 0..TIMES {
        once();
    }
    once
}

macro_rules! rows {
    ($($name:ident)*) => {
        #[library_benchmark(setup = sending)]
        $(#[bench::$name(stringify!($name))])*
        fn request(once: Box<dyn FnMut()>) -> Box<dyn FnMut()> {
            repeated(once)
        }
    };
}

rows! {
    bare_get default_get default_get_of_ten_sites
    bare_get_tile default_get_tile
    bare_get_gzip default_get_gzip
    bare_get_json header_json_copy query_json_copy_referer
    bare_json add_authorization tower_retry kube_token_file
    header_json header_json_copy_of_body cookie_json query_json replace_nothing header_json_1000_sites identity_of_1000
    bare_image header_image
    bare_export header_export
    bare_replaced replace_header
    bare_pbf header_pbf
    bare_space header_space
    bare_elsewhere no_site_of_1 no_site_of_1000
    bare_form header_form
    bare_gzip header_gzip
    bare_deflate header_deflate
    bare_brotli header_brotli
    bare_zstd header_zstd
}

#[library_benchmark(setup = support::frames)]
#[bench::bare_frame(true)]
#[bench::frame(false)]
fn frame(once: Box<dyn FnMut()>) -> Box<dyn FnMut()> {
    repeated(once)
}

library_benchmark_group!(name = instructions; benchmarks = request, frame);

gungraun::main!(
    config = LibraryBenchmarkConfig::default()
        .tool(Callgrind::with_args(["--cache-sim=no"]))
        .output_format(OutputFormat::default().truncate_description(None));
    library_benchmark_groups = instructions
);
