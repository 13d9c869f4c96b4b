//! A recorder whose values can be read at any time, and that counts how often it is asked for a metric.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, LocalRecorderGuard, Metadata, Recorder, SharedString,
    Unit,
};
use metrics_util::registry::{AtomicStorage, Registry};

use crate::support::ROOT;

pub(crate) struct Recorded {
    registry: Registry<Key, AtomicStorage>,
    described: Mutex<Vec<(String, Option<Unit>)>>,
    asked: AtomicUsize,
}

impl Recorded {
    pub(crate) fn new() -> Self {
        Self {
            registry: Registry::atomic(),
            described: Mutex::default(),
            asked: AtomicUsize::new(0),
        }
    }

    /// Records what this thread does, until the guard is dropped.
    pub(crate) fn here(&self) -> LocalRecorderGuard<'_> {
        metrics::set_default_local_recorder(self)
    }

    /// How often anything was recorded.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// The site's counter.
    pub(crate) fn count(&self, name: &str, label: &str) -> u64 {
        self.count_at(ROOT, name, label)
    }

    /// A site's counter; `label` is like `kind=login_page`, or empty.
    #[track_caller]
    pub(crate) fn count_at(&self, site: &str, name: &str, label: &str) -> u64 {
        let counter = self.registry.get_counter(&key(site, name, label));
        let counter = counter.unwrap_or_else(|| panic!("no {name} of {site} with {label}"));
        counter.load(Ordering::SeqCst)
    }

    /// A counter's labels but `site`, and its value, where that is not zero.
    pub(crate) fn counts(&self, name: &str) -> Vec<(String, u64)> {
        let mut counts = Vec::new();
        self.registry.visit_counters(|key, counter| {
            let value = counter.load(Ordering::SeqCst);
            if key.name() == name && value > 0 {
                let labels = key.labels().filter(|label| label.key() != "site");
                let labels = labels.map(|label| label.value().to_owned());
                counts.push((labels.collect(), value));
            }
        });
        counts.sort();
        counts
    }

    pub(crate) fn gauge(&self, name: &str) -> Option<f64> {
        self.gauge_at(ROOT, name)
    }

    pub(crate) fn gauge_at(&self, site: &str, name: &str) -> Option<f64> {
        let gauge = self.registry.get_gauge(&key(site, name, ""))?;
        Some(f64::from_bits(gauge.load(Ordering::SeqCst)))
    }

    pub(crate) fn samples(&self, name: &str, label: &str) -> Vec<f64> {
        let histogram = self.registry.get_histogram(&key(ROOT, name, label));
        histogram.map_or_else(Vec::new, |histogram| histogram.data())
    }

    /// All keys of what was recorded or registered.
    pub(crate) fn keys(&self) -> Vec<Key> {
        let mut keys = Vec::new();
        self.registry
            .visit_counters(|key, _| keys.push(key.clone()));
        self.registry.visit_gauges(|key, _| keys.push(key.clone()));
        self.registry
            .visit_histograms(|key, _| keys.push(key.clone()));
        keys
    }

    /// The names that were described, each with its unit.
    pub(crate) fn described(&self) -> Vec<(String, Option<Unit>)> {
        self.described.lock().unwrap().clone()
    }

    fn describe(&self, name: &KeyName, unit: Option<Unit>, text: &str) {
        assert!(!text.is_empty());
        let mut described = self.described.lock().unwrap();
        described.push((name.as_str().to_owned(), unit));
    }
}

fn key(site: &str, name: &str, label: &str) -> Key {
    let mut labels = vec![metrics::Label::new("site", site.to_owned())];
    if let Some((name, value)) = label.split_once('=') {
        labels.push(metrics::Label::new(name.to_owned(), value.to_owned()));
    }
    Key::from_parts(name.to_owned(), labels)
}

impl Recorder for Recorded {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.describe(&name, unit, &text);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.describe(&name, unit, &text);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.describe(&name, unit, &text);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let counter = |counter: &Arc<_>| Counter::from_arc(Arc::clone(counter));
        self.registry.get_or_create_counter(key, counter)
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let gauge = |gauge: &Arc<_>| Gauge::from_arc(Arc::clone(gauge));
        self.registry.get_or_create_gauge(key, gauge)
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let histogram = |histogram: &Arc<_>| Histogram::from_arc(Arc::clone(histogram));
        self.registry.get_or_create_histogram(key, histogram)
    }
}
