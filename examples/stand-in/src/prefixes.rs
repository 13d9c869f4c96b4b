//! A table keyed by path prefix: whole segments, the longest match wins.

/// Where services live.
pub(crate) const SERVICES: &str = "/arcgis/rest/services";

/// `Parcels/MapServer` and `/arcgis/rest/services/Parcels/MapServer/` are the same prefix.
pub(crate) fn normal(prefix: &str) -> String {
    let trimmed = prefix.trim_end_matches('/');
    if prefix.starts_with('/') {
        trimmed.to_owned()
    } else if trimmed.is_empty() {
        SERVICES.to_owned()
    } else {
        format!("{SERVICES}/{trimmed}")
    }
}

/// Whether `path` is `prefix` or lies below it.
pub(crate) fn covers(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Values by path prefix.
#[derive(Debug)]
pub(crate) struct Prefixes<T>(Vec<(String, T)>);

impl<T> Default for Prefixes<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Prefixes<T> {
    pub(crate) fn set(&mut self, prefix: &str, value: T) {
        let prefix = normal(prefix);
        self.0.retain(|(known, _)| *known != prefix);
        self.0.push((prefix, value));
    }

    pub(crate) fn remove(&mut self, prefix: &str) {
        let prefix = normal(prefix);
        self.0.retain(|(known, _)| *known != prefix);
    }

    /// The longest prefix covering `path`, and its value.
    pub(crate) fn find(&self, path: &str) -> Option<(&str, &T)> {
        self.0
            .iter()
            .filter(|(prefix, _)| covers(prefix, path))
            .max_by_key(|(prefix, _)| prefix.len())
            .map(|(prefix, value)| (prefix.as_str(), value))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0
            .iter()
            .map(|(prefix, value)| (prefix.as_str(), value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_whole_segment_prefix_wins() {
        let mut prefixes = Prefixes::default();
        prefixes.set("", 0);
        prefixes.set("Parcels", 1);
        prefixes.set("Parcels/MapServer/", 2);
        let find = |path: &str| {
            prefixes
                .find(&format!("{SERVICES}{path}"))
                .map(|(_, value)| *value)
        };
        assert_eq!(find("/Parcels/MapServer/0"), Some(2));
        assert_eq!(find("/Parcels/MapServerX"), Some(1));
        assert_eq!(find("/ParcelsX"), Some(0));
        assert_eq!(prefixes.find("/arcgis/rest/info"), None);
    }
}
