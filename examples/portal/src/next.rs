//! Where a person goes after signing in: a page of this service, never another site.

/// The page to go to unless another was asked for.
pub(crate) const HOME: &str = "/";

/// `next` if it is a path of this service, else [`HOME`].
///
/// Browsers read `//host` and `/\host` as another site's address, and leave tabs and line breaks out before they read it.
pub(crate) fn path_or_home(next: &str) -> &str {
    let is_path = next.starts_with('/') && !next.starts_with("//");
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    if is_path && next.len() <= LONGEST && next.bytes().all(is_plain) {
        next
    } else {
        HOME
    }
}

/// Longer ones serve nobody: the service's own URLs are much shorter.
const LONGEST: usize = 2_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_kept() {
        for path in ["/", "/maps/0/export?bbox=1,2,3,4&size=4,4", "/a?b=//c"] {
            assert_eq!(path_or_home(path), path);
        }
    }

    #[test]
    fn other_sites_are_not_gone_to() {
        for next in [
            "",
            "https://evil.test/",
            "//evil.test/",
            "/\\evil.test/",
            "\\\\evil.test/",
            "/\t/evil.test/",
            "/\n/evil.test/",
            " //evil.test/",
            "javascript:alert(1)",
            "/é",
        ] {
            assert_eq!(path_or_home(next), HOME, "{next:?}");
        }
    }
}
