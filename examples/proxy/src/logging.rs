//! The log: how much, where to, and in which form.

use std::{
    env,
    fs::{File, OpenOptions},
    io,
    sync::{Arc, Mutex, PoisonError},
};

use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

use crate::{
    arguments::{LogFormat, LogOptions},
    option_names::InOptions,
};

/// Starts it, or says which option cannot be used.
pub(crate) fn start(options: &LogOptions) -> Result<(), String> {
    let (name, filter) = match env::var("RUST_LOG") {
        Ok(filter) if !filter.is_empty() => ("RUST_LOG", filter),
        _ => ("--log-level", options.log_level.clone()),
    };
    // It warns of every connection of a caller that resets its requests, as often as the caller likes.
    let is_about_h2 = filter
        .split(',')
        .any(|part| part.trim_start().starts_with("h2"));
    let filter = if is_about_h2 {
        filter
    } else {
        format!("{filter},h2=error")
    };
    let filter = EnvFilter::builder().parse(filter).map_err(|error| {
        format!(
            "{name} is not a filter ({error}); write it like `info` or `warn,arcgis_proxy=debug`"
        )
    })?;
    let to = match &options.log_file {
        None => To::Stderr,
        Some(path) => {
            let file = OpenOptions::new().create(true).append(true).open(path);
            let file = file.map_err(|error| {
                format!(
                    "the log file {} cannot be written to: {error}",
                    path.display()
                )
            })?;
            To::File(Arc::new(Mutex::new(file)))
        }
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(to)
        // A log that cannot be written to any more is no reason to stop: its complaint would go to stderr, and panic there.
        .log_internal_errors(false);
    match options.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}

/// Where lines go.
#[derive(Clone)]
enum To {
    Stderr,
    File(Arc<Mutex<File>>),
}

impl<'a> MakeWriter<'a> for To {
    type Writer = InOptions<Self>;

    fn make_writer(&'a self) -> Self::Writer {
        InOptions(self.clone())
    }
}

impl io::Write for To {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stderr => io::stderr().write(line),
            // A line is written whole, or not at all: another thread's panic leaves nothing half done.
            Self::File(file) => file
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .write(line),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stderr => io::stderr().flush(),
            Self::File(file) => file.lock().unwrap_or_else(PoisonError::into_inner).flush(),
        }
    }
}
