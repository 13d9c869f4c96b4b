//! The house has no circles: no file and no folder of `src` imports, through others, one that imports it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

type Graph = BTreeMap<String, BTreeSet<String>>;

/// All source files, by the path of their module: `session::store`, and `session` for `session/mod.rs`.
fn modules() -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut modules = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                modules.insert(name(&root, &path), fs::read_to_string(&path).unwrap());
            }
        }
    }
    modules
}

fn name(root: &Path, path: &Path) -> String {
    let path: PathBuf = path.strip_prefix(root).unwrap().with_extension("");
    let mut parts: Vec<_> = path.iter().map(|part| part.to_str().unwrap()).collect();
    if parts.last() == Some(&"mod") {
        parts.pop();
    }
    parts.join("::")
}

/// The source without its comments, and without what only tests compile.
fn code(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    let code: Vec<&str> = lines.collect();
    let end = code
        .iter()
        .position(|line| line.trim_start().starts_with("#[cfg(test)]"));
    code[..end.unwrap_or(code.len())].join("\n")
}

/// The paths that `tree`, the part of a `use` between the keyword and the semicolon, names.
fn paths(tree: &str) -> Vec<String> {
    let mut all = Vec::new();
    let (mut depth, mut start) = (0, 0);
    let mut pieces = Vec::new();
    for (at, letter) in tree.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                pieces.push(&tree[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(&tree[start..]);
    for piece in pieces
        .into_iter()
        .map(str::trim)
        .filter(|piece| !piece.is_empty())
    {
        match piece.split_once('{') {
            Some((before, inner)) => {
                let inner = inner.strip_suffix('}').unwrap_or(inner);
                all.extend(paths(inner).iter().map(|path| format!("{before}{path}")));
            }
            None => all.push(
                piece
                    .split(" as ")
                    .next()
                    .unwrap_or(piece)
                    .trim()
                    .to_owned(),
            ),
        }
    }
    all
}

/// `path`, as it stands in `module`, from the root of the crate; `None` for other crates.
fn absolute(module: &str, path: &str) -> Option<Vec<String>> {
    let mut parts: Vec<&str> = path.split("::").map(str::trim).collect();
    let mut base: Vec<&str> = module.split("::").filter(|part| !part.is_empty()).collect();
    match parts[0] {
        "crate" => base.clear(),
        "self" => {}
        "super" => {
            while parts.first() == Some(&"super") {
                parts.remove(0);
                base.pop();
            }
            parts.insert(0, "super");
        }
        _ => return None,
    }
    base.extend(&parts[1..]);
    Some(base.into_iter().map(str::to_owned).collect())
}

struct Use {
    path: String,
    is_export: bool,
}

/// Every `use` of `code`, and every path that is written out where it is used.
fn uses(code: &str) -> Vec<Use> {
    let mut uses = Vec::new();
    for statement in code.split(';') {
        let statement = statement.trim_end();
        let Some(at) = statement.rfind("use ").filter(|at| {
            let before = statement[..*at].trim_end();
            before.is_empty()
                || before.ends_with([';', '}', '{', ']', '\n'])
                || before.ends_with("pub")
                || before.ends_with("pub(crate)")
                || before.ends_with("pub(super)")
        }) else {
            continue;
        };
        let is_export = statement[..at].trim_end().ends_with(['b', ')']);
        let tree = &statement[at + 4..];
        uses.extend(paths(tree).into_iter().map(|path| Use { path, is_export }));
    }
    for prefix in ["crate::", "super::"] {
        for (at, _) in code.match_indices(prefix) {
            let path: String = code[at..]
                .chars()
                .take_while(|letter| letter.is_alphanumeric() || matches!(letter, ':' | '_'))
                .collect();
            let is_export = false;
            // `use super::{` is read above, with what it names.
            let names_item = path.trim_end_matches(':').contains("::") && !path.ends_with(':');
            if names_item && (path.matches("::").count() > 1 || prefix == "super::") {
                uses.push(Use {
                    path: path.trim_end_matches(':').to_owned(),
                    is_export,
                });
            }
        }
    }
    uses
}

/// Which file imports which. What a folder exports of its files is followed to the file.
fn files() -> Graph {
    let modules = modules();
    let codes: BTreeMap<&str, String> = modules
        .iter()
        .map(|(module, text)| (module.as_str(), code(text)))
        .collect();
    // What `folder::Item` stands for.
    let mut exports: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (module, code) in &codes {
        for export in uses(code).into_iter().filter(|export| export.is_export) {
            let Some(target) = absolute(module, &export.path) else {
                continue;
            };
            if let Some(item) = target.last() {
                exports.insert(format!("{module}::{item}"), target.clone());
            }
        }
    }
    let resolve = |mut path: Vec<String>| -> Option<String> {
        for _ in 0..4 {
            match exports.get(&path.join("::")) {
                Some(target) => path = target.clone(),
                None => break,
            }
        }
        (0..=path.len())
            .rev()
            .map(|length| path[..length].join("::"))
            .find(|module| codes.contains_key(module.as_str()))
    };
    let mut graph = Graph::new();
    for (module, code) in &codes {
        // The root only names what there is.
        if *module == "lib" || *module == "main" {
            continue;
        }
        let edges = graph.entry((*module).to_owned()).or_default();
        for import in uses(code).into_iter().filter(|import| !import.is_export) {
            let target = absolute(module, &import.path).and_then(resolve);
            edges.extend(target.filter(|target| target != module && !target.is_empty()));
        }
    }
    graph
}

/// The same for folders and files directly under `src`.
fn folders(files: &Graph) -> Graph {
    let top = |module: &str| module.split("::").next().unwrap_or_default().to_owned();
    let mut graph = Graph::new();
    for (module, imports) in files {
        let edges = graph.entry(top(module)).or_default();
        edges.extend(
            imports
                .iter()
                .map(|import| top(import))
                .filter(|import| *import != top(module)),
        );
    }
    graph
}

/// A circle, as the modules on it.
fn circle(graph: &Graph) -> Option<Vec<String>> {
    fn visit(
        graph: &Graph,
        module: &str,
        path: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> Option<Vec<String>> {
        if let Some(at) = path.iter().position(|on| on == module) {
            let mut circle = path[at..].to_vec();
            circle.push(module.to_owned());
            return Some(circle);
        }
        if !done.insert(module.to_owned()) {
            return None;
        }
        path.push(module.to_owned());
        for import in graph.get(module).into_iter().flatten() {
            if let Some(circle) = visit(graph, import, path, done) {
                return Some(circle);
            }
        }
        path.pop();
        None
    }
    let mut done = BTreeSet::new();
    graph.keys().find_map(|module| {
        // A module that was visited before its circle was closed is no proof.
        visit(graph, module, &mut Vec::new(), &mut done)
    })
}

#[test]
fn no_folder_imports_one_that_imports_it() {
    let graph = folders(&files());
    assert!(graph.len() > 10, "{graph:?}");
    assert_eq!(circle(&graph), None, "{graph:#?}");
}

#[test]
fn no_file_imports_one_that_imports_it() {
    let graph = files();
    assert!(graph.len() > 30, "{graph:?}");
    assert_eq!(circle(&graph), None);
}

#[test]
fn a_circle_is_found() {
    let graph = |edges: &[(&str, &str)]| {
        let mut graph = Graph::new();
        for (from, to) in edges {
            graph
                .entry((*from).into())
                .or_default()
                .insert((*to).into());
        }
        graph
    };
    assert_eq!(circle(&graph(&[("a", "b"), ("b", "c"), ("a", "c")])), None);
    let found = circle(&graph(&[("a", "b"), ("b", "c"), ("c", "b")]));
    assert_eq!(found.unwrap(), ["b", "c", "b"]);
}

#[test]
fn every_way_of_importing_is_seen() {
    let code = "use crate::{a::B, c::{self, d::E}};\npub(crate) use self::f::G;\nfn x() -> crate::h::I { super::j() }";
    let mut seen: Vec<String> = uses(code).into_iter().map(|found| found.path).collect();
    seen.sort();
    seen.dedup();
    for path in [
        "crate::a::B",
        "crate::c::self",
        "crate::c::d::E",
        "self::f::G",
        "crate::h::I",
        "super::j",
    ] {
        assert!(seen.contains(&path.to_owned()), "{path} in {seen:?}");
    }
    assert_eq!(
        absolute("session::store", "super::state::State").unwrap(),
        ["session", "state", "State"]
    );
    assert_eq!(
        absolute("session", "self::state").unwrap(),
        ["session", "state"]
    );
}
