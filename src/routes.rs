//! From a request's URI to its site: longest root first, on whole path segments.

use http::Uri;

use crate::url::{Origin, Root, has_tricky_segments, is_https, is_same_text};

/// All roots of a layer, and what to do under each.
#[derive(Debug)]
pub(crate) struct SiteTable<T> {
    /// Longest path first, so that the first match is the closest.
    roots: Vec<(Root, T)>,
    /// For requests in origin form: the roots of one site.
    default: Vec<(Root, T)>,
}

impl<T: Clone> SiteTable<T> {
    pub(crate) fn new(mut roots: Vec<(Root, T)>, mut default: Vec<(Root, T)>) -> Self {
        roots.sort_by_key(|(root, _)| std::cmp::Reverse(root.path.len()));
        default.sort_by_key(|(root, _)| std::cmp::Reverse(root.path.len()));
        Self { roots, default }
    }

    /// The site `uri` belongs to, and the part of the path behind its root. Only the URI's own authority counts.
    pub(crate) fn find<'a>(&self, uri: &'a Uri) -> Option<(&T, &'a str)> {
        let path = uri.path();
        let (root, site) = match uri.authority() {
            Some(authority) => {
                let https = is_https(uri)?;
                let authority = authority.as_str().as_bytes();
                let at = |root: &Root| {
                    root.origin.https == https && is_same_text(authority, root.authority.as_bytes())
                };
                self.closest(path, at).or_else(|| {
                    // It may be another spelling of a root's authority.
                    let spelled = memchr::memchr2(b':', b'@', authority).is_some()
                        || authority.ends_with(b".");
                    let origin = spelled.then(|| Origin::of(uri))??;
                    self.closest(path, |root| root.origin == origin)
                })?
            }
            None if uri.scheme().is_none() => self
                .default
                .iter()
                .find(|(root, _)| root.holds_path(path))?,
            None => return None,
        };
        if has_tricky_segments(path) {
            return None;
        }
        Some((site, path.get(root.path.len()..)?))
    }

    fn closest(&self, path: &str, at: impl Fn(&Root) -> bool) -> Option<&(Root, T)> {
        let mut roots = self.roots.iter();
        roots.find(|(root, _)| at(root) && root.holds_path(path))
    }
}
