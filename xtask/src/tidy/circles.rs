//! No import circle of more than two modules in any crate.
//!
//! Paths are read from the words of each file: `crate::…`, `super::…` and `use` of a module. A folder counts as its
//! top-level module. A name that `lib.rs` passes on counts as a use of the module that owns it. Parts under
//! `#[cfg(test)]` do not count.

mod words;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use crate::root;

/// A module with those that it uses, and where it uses each first.
type Uses = BTreeMap<String, BTreeMap<String, String>>;

/// Lists the circles of every crate among the tracked files.
pub fn check(files: &[String], faults: &mut Vec<String>) {
    let sources = files.iter().filter(|file| file.ends_with(".rs"));
    let mut crates: BTreeMap<&str, Vec<(&str, String)>> = BTreeMap::new();
    for file in sources {
        let Some((folder, inner)) = file.split_once("/src/") else { continue };
        let Ok(text) = fs::read_to_string(root().join(file)) else { continue };
        crates.entry(folder).or_default().push((inner, text));
    }
    for (folder, files) in crates {
        for circle in circles(&uses(folder, &files)) {
            faults.push(format!(
                "{folder}: {} modules use each other in a circle:{}",
                circle.len, circle.edges
            ));
        }
    }
}

/// Reads what each module of a crate uses.
fn uses(folder: &str, files: &[(&str, String)]) -> Uses {
    let is_root = |file: &str| file == "lib.rs" || file == "main.rs";
    let top = |file: &str| file.split('/').next().unwrap_or(file).trim_end_matches(".rs").to_owned();
    let modules: BTreeSet<String> = files.iter().filter(|(f, _)| !is_root(f)).map(|(f, _)| top(f)).collect();
    let mut owners = BTreeMap::new();
    for (_, text) in files.iter().filter(|(file, _)| is_root(file)) {
        for path in words::paths(text, 0) {
            if let (true, [first, .., _]) = (path.is_use, path.names.as_slice())
                && let Some(module) = modules.get(first)
            {
                owners.insert(path.alias, module.clone());
            }
        }
    }
    let mut uses = Uses::new();
    for (file, text) in files {
        let module = if is_root(file) { "lib".to_owned() } else { top(file) };
        let depth = if is_root(file) { 0 } else { file.matches('/').count() + 1 };
        for path in words::paths(text, depth) {
            if is_root(file) && path.is_use {
                continue;
            }
            let Some(first) = path.names.first() else { continue };
            let target = modules.get(first).or_else(|| owners.get(first));
            let target = target.map_or("lib", String::as_str);
            if target != module {
                let at = format!("{folder}/src/{file}:{}", path.line);
                uses.entry(module.clone()).or_default().entry(target.to_owned()).or_insert(at);
            }
        }
    }
    uses
}

struct Circle {
    len: usize,
    edges: String,
}

/// Sets of more than two modules of which each reaches each.
fn circles(uses: &Uses) -> Vec<Circle> {
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        uses.keys().map(|module| (module.as_str(), reach(uses, module))).collect();
    let reaches = |a: &str, b: &str| reached.get(a).is_some_and(|all| all.contains(b));
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for module in uses.keys().map(String::as_str) {
        if seen.contains(module) {
            continue;
        }
        let members: BTreeSet<&str> =
            uses.keys().map(String::as_str).filter(|o| reaches(module, o) && reaches(o, module)).collect();
        seen.extend(members.iter().copied());
        if members.len() < 3 {
            continue;
        }
        let mut edges = String::new();
        for from in &members {
            for (to, at) in uses[*from].iter().filter(|(to, _)| members.contains(to.as_str())) {
                edges.push_str(&format!("\n  {from} uses {to} at {at}"));
            }
        }
        found.push(Circle { len: members.len(), edges });
    }
    found
}

/// Every module that one uses, directly or not; itself only on a way back.
fn reach<'u>(uses: &'u Uses, from: &str) -> BTreeSet<&'u str> {
    let mut found: BTreeSet<&str> = BTreeSet::new();
    let mut open = vec![from];
    while let Some(module) = open.pop() {
        for to in uses.get(module).into_iter().flat_map(BTreeMap::keys) {
            if found.insert(to) {
                open.push(to);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<usize> {
        let files: Vec<(&str, String)> = files.iter().map(|(f, t)| (*f, (*t).to_owned())).collect();
        circles(&uses("crates/x", &files)).iter().map(|circle| circle.len).collect()
    }

    #[test]
    fn three_modules_in_a_circle_are_found_and_two_are_not() {
        let lib = ("lib.rs", "pub mod a;\npub mod b;\npub mod c;\npub use c::inner::{C, D as E};\n");
        let a = ("a.rs", "use crate::b::B;\n");
        let back = ("b/deep.rs", "fn f() { let _ = super::super::a::A; }\n");
        assert!(found(&[lib, a, back]).is_empty());
        let b = ("b.rs", "use crate::{E, std};\n");
        assert_eq!(found(&[lib, a, b, ("c.rs", "fn f(a: crate::a::A) {}\n")]), [3]);
        assert!(
            found(&[lib, a, b, ("c.rs", "/// [`crate::a`]\nconst A: &str = \"crate::a\";\n")]).is_empty()
        );
        let test = "#[cfg(all(test, feature = \"x\"))]\nmod tests {\n use crate::a::A;\n}\n";
        assert!(found(&[lib, a, b, ("c.rs", test)]).is_empty());
        assert!(
            found(&[lib, a, b, ("c.rs", "#[cfg(test)]\nmod tests {\n use crate::a::A;\n}\n")]).is_empty()
        );
        assert_eq!(found(&[lib, a, b, ("c.rs", "mod inner {\n use super::super::a;\n}\n")]), [3]);
    }
}
