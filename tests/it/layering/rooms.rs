//! Where paths lead: through `super`, `self`, aliases and re-exports to the rooms
//! and crates that they really reach.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::paths::{Binding, Found, Path, scan};

/// A crate's modules and what their `use` declarations bind.
#[derive(Default)]
pub(super) struct Crate {
    files: Vec<(String, Found)>,
    modules: HashSet<Vec<String>>,
    tests: HashSet<Vec<String>>,
    names: HashMap<Vec<String>, HashMap<String, Vec<Vec<String>>>>,
    globs: HashMap<Vec<String>, Vec<Vec<String>>>,
}

/// One path that was found, and what it reaches.
pub(super) struct Reach<'a> {
    pub(super) file: &'a str,
    pub(super) path: &'a Path,
    pub(super) test: bool,
    /// Absolute; begins with `crate` or the name of another crate.
    pub(super) targets: BTreeSet<Vec<String>>,
}

impl Crate {
    /// Reads files, named by their path below the crate's `src`.
    pub(super) fn read<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Crate {
        let mut read = Crate::default();
        for (file, source) in files {
            let module = module_of(file);
            let found = scan(module.clone(), source);
            read.modules.insert(module);
            for declared in &found.modules {
                read.modules.insert(declared.path.clone());
                if declared.test {
                    read.tests.insert(declared.path.clone());
                }
            }
            for path in &found.paths {
                let segments = path.segments.clone();
                match &path.binding {
                    Binding::Name(name) => {
                        let names = read.names.entry(path.module.clone()).or_default();
                        names.entry(name.clone()).or_default().push(segments);
                    }
                    Binding::Glob => {
                        read.globs.entry(path.module.clone()).or_default().push(segments);
                    }
                    Binding::Inline => {}
                }
            }
            read.files.push((file.to_owned(), found));
        }
        read
    }

    /// Ways around the tree of files.
    pub(super) fn escapes(&self) -> impl Iterator<Item = (&str, usize, &str)> {
        self.files.iter().flat_map(|(file, found)| {
            found.escapes.iter().map(move |(line, what)| (file.as_str(), *line, what.as_str()))
        })
    }

    /// Every path of every file.
    pub(super) fn reaches(&self) -> impl Iterator<Item = Reach<'_>> {
        self.files.iter().flat_map(move |(file, found)| {
            found.paths.iter().map(move |path| {
                let mut journey = Journey::default();
                self.follow(&path.module, &path.segments, &mut journey);
                let test = path.test
                    || (1..=path.module.len()).any(|end| self.tests.contains(&path.module[..end]));
                Reach { file, path, test, targets: journey.targets }
            })
        })
    }

    /// Makes a path absolute and walks it.
    fn follow(&self, module: &[String], segments: &[String], journey: &mut Journey) {
        let Some(first) = segments.first() else { return };
        if !journey.seen.insert((module.to_vec(), segments.to_vec())) {
            return;
        }
        let mut base = module.to_vec();
        let mut rest = segments;
        match first.as_str() {
            "::" => return self.walk(rest[1..].to_vec(), journey),
            "crate" => return self.walk(segments.to_vec(), journey),
            // The library, as the program's main file names it.
            "sealcast" => {
                let mut path = vec!["crate".to_owned()];
                path.extend_from_slice(&segments[1..]);
                return self.walk(path, journey);
            }
            "self" | "super" => {
                while let Some(step) = rest.first() {
                    match step.as_str() {
                        "self" => {}
                        "super" => {
                            if base.len() > 1 {
                                base.pop();
                            }
                        }
                        _ => break,
                    }
                    rest = &rest[1..];
                }
                base.extend_from_slice(rest);
                return self.walk(base, journey);
            }
            _ => {}
        }
        let bound = self.bound(module, first, journey);
        // A `use` of a crate binds its name, and does not explain itself.
        let explained = bound.iter().filter(|(_, path)| path.first() != Some(first));
        let mut explained = explained.peekable();
        if explained.peek().is_some() {
            for (from, path) in explained {
                let whole: Vec<String> = path.iter().chain(&segments[1..]).cloned().collect();
                self.follow(from, &whole, journey);
            }
            return;
        }
        base.push(first.clone());
        if self.modules.contains(&base) {
            base.extend_from_slice(&segments[1..]);
            return self.walk(base, journey);
        }
        journey.targets.insert(segments.to_vec());
    }

    /// Walks an absolute path; where a segment is not a module but was bound by a
    /// `use`, both the place of the binding and its target are reached.
    fn walk(&self, path: Vec<String>, journey: &mut Journey) {
        if path.first().is_some_and(|first| first == "crate") {
            let mut module = vec!["crate".to_owned()];
            for (at, segment) in path.iter().enumerate().skip(1) {
                let mut inner = module.clone();
                inner.push(segment.clone());
                if self.modules.contains(&inner) {
                    module = inner;
                    continue;
                }
                for (from, target) in self.bound(&module, segment, journey) {
                    let whole: Vec<String> =
                        target.iter().chain(&path[at + 1..]).cloned().collect();
                    self.follow(&from, &whole, journey);
                }
                break;
            }
        }
        journey.targets.insert(path);
    }

    /// What a name is bound to by `use` in a module: where the binding stands,
    /// and its path. Looks into globs that lead to modules of this crate.
    fn bound(
        &self,
        module: &[String],
        name: &str,
        journey: &mut Journey,
    ) -> Vec<(Vec<String>, Vec<String>)> {
        if !journey.asked.insert((module.to_vec(), name.to_owned())) {
            return Vec::new();
        }
        let named = self.names.get(module).and_then(|names| names.get(name));
        let mut found: Vec<_> =
            named.into_iter().flatten().map(|path| (module.to_vec(), path.clone())).collect();
        if !found.is_empty() {
            return found;
        }
        for glob in self.globs.get(module).into_iter().flatten() {
            let asked = std::mem::take(&mut journey.asked);
            let mut aside = Journey { asked, ..Journey::default() };
            self.follow(module, glob, &mut aside);
            journey.asked = aside.asked;
            for target in aside.targets.iter().filter(|target| target.as_slice() != module) {
                let mut inner = target.clone();
                inner.push(name.to_owned());
                if self.modules.contains(&inner) {
                    found.push((vec!["crate".to_owned()], inner));
                } else {
                    found.extend(self.bound(target, name, journey));
                }
            }
        }
        found
    }
}

/// The following of one path.
#[derive(Default)]
struct Journey {
    /// Paths that were followed, by module: each once.
    seen: HashSet<(Vec<String>, Vec<String>)>,
    /// Names that were looked up, by module: each once.
    asked: HashSet<(Vec<String>, String)>,
    targets: BTreeSet<Vec<String>>,
}

/// The module that a file below `src` is; `main.rs` is a crate of its own, and
/// stands here as a module of that name.
fn module_of(file: &str) -> Vec<String> {
    let stem = file.strip_suffix(".rs").unwrap_or(file);
    let stem = stem.strip_suffix("/mod").unwrap_or(stem);
    let mut module = vec!["crate".to_owned()];
    if stem != "lib" {
        module.extend(stem.split('/').map(str::to_owned));
    }
    module
}
