//! A mounted secret.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use tower_arcgis_auth::Secret;

/// A file of one test's own. It is deleted with the test.
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    pub(crate) fn holding(text: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("arcgis-auth-{}-{number}", std::process::id());
        let mounted = Self(std::env::temp_dir().join(name));
        mounted.hold(text);
        mounted
    }

    pub(crate) fn hold(&self, text: &str) {
        std::fs::write(&self.0, text).unwrap();
    }

    pub(crate) fn remove(&self) {
        std::fs::remove_file(&self.0).unwrap();
    }

    pub(crate) fn secret(&self) -> Secret {
        Secret::file(&self.0)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // A test may have removed it.
        let _ = std::fs::remove_file(&self.0);
    }
}
