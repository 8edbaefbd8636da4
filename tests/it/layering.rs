//! The rooms of `src/` and what each may import, held over every file; the length
//! of files; and that the wire crate is pure.

mod forged;
mod paths;
mod rooms;
mod tokens;

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use paths::Binding;
use rooms::Crate;

/// Lowest first. What a room may import: other rooms, our other crates (`wire`,
/// `client`), and `axum`, which stays in one room. `main` is the program's main
/// file, `lib` the list of rooms.
const ROOMS: &[(&str, &[&str])] = &[
    ("metrics", &[]),
    ("limit", &[]),
    ("auth", &["wire"]),
    ("broker", &["wire", "metrics", "limit"]),
    ("hub", &["wire", "metrics", "limit"]),
    ("relay", &["wire", "metrics", "limit", "auth", "broker", "hub"]),
    ("session", &["wire", "metrics", "limit", "auth", "broker", "hub", "relay"]),
    ("cluster", &["wire", "metrics", "limit", "auth", "broker", "hub", "relay", "session"]),
    ("net", &["wire", "metrics", "limit", "hub", "session"]),
    (
        "http",
        &[
            "wire", "axum", "metrics", "limit", "auth", "broker", "hub", "relay", "session",
            "cluster", "net",
        ],
    ),
    (
        "config",
        &[
            "wire", "metrics", "limit", "auth", "broker", "hub", "relay", "session", "cluster",
            "net", "http",
        ],
    ),
    (
        "server",
        &[
            "wire", "metrics", "limit", "auth", "broker", "hub", "relay", "session", "cluster",
            "net", "http", "config",
        ],
    ),
    ("bench", &["wire", "client"]),
    (
        "cli",
        &[
            "wire", "client", "metrics", "limit", "auth", "broker", "hub", "relay", "session",
            "cluster", "net", "http", "config", "server", "bench",
        ],
    ),
    ("main", &["cli"]),
    ("lib", &[]),
];

const MOST_LINES: usize = 500;

#[test]
fn every_room_imports_only_what_its_row_names() {
    let files = files_below("src");
    let faults = check(files.iter().map(|(file, source)| (file.as_str(), source.as_str())));
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn no_file_is_longer_than_500_lines() {
    let long: Vec<String> = ["src", "crates", "clients", "tests", "fuzz"]
        .iter()
        .flat_map(|folder| files_below(folder).into_iter().map(move |file| (folder, file)))
        .map(|(folder, (file, source))| (format!("{folder}/{file}"), source.lines().count()))
        .filter(|(_, lines)| *lines > MOST_LINES)
        .map(|(file, lines)| format!("{file} has {lines} lines"))
        .collect();
    assert!(long.is_empty(), "\n{}\n", long.join("\n"));
}

#[test]
fn the_wire_crate_does_no_io() {
    let files = files_below("crates/wire/src");
    let faults = impurities(files.iter().map(|(file, source)| (file.as_str(), source.as_str())));
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
    let manifest = fs::read_to_string(root().join("crates/wire/Cargo.toml")).unwrap();
    for runtime in ["tokio", "mio", "hyper", "socket2"] {
        assert!(!manifest.contains(runtime), "{runtime} in the wire crate's manifest");
    }
}

/// What is against the table, one line each.
fn check<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let read = Crate::read(files);
    let mut faults = BTreeSet::new();
    for (file, line, what) in read.escapes() {
        faults.insert(format!("{file}:{line}: {what}: this check cannot follow it"));
    }
    for reach in read.reaches() {
        let room = room_of(reach.file);
        let written = reach.path.segments.join("::");
        let place = format!("{}:{}: {written}", reach.file, reach.path.line);
        let Some(allowed) = allowed(room, reach.test) else {
            faults.insert(format!("{place}: the room {room} is not in the table"));
            continue;
        };
        for target in &reach.targets {
            let reached = match target.as_slice() {
                [root] if root == "crate" && reach.path.binding != Binding::Inline => {
                    faults.insert(format!("{place}: makes the whole crate reachable"));
                    continue;
                }
                [root] if root == "crate" => continue,
                [root, name, ..] if root == "crate" => name.as_str(),
                [root, ..] => match root.as_str() {
                    "sealcast_wire" => "wire",
                    "sealcast_client" => "client",
                    "axum" => "axum",
                    _ => continue,
                },
                [] => continue,
            };
            if reached != room && !allowed.contains(reached) {
                faults.insert(format!("{place}: {room} may not reach {reached}"));
            }
        }
    }
    faults.into_iter().collect()
}

/// A test builds what its room is built on: it may also reach what the rooms of
/// its row may.
fn allowed(room: &str, test: bool) -> Option<BTreeSet<&'static str>> {
    let rows: HashMap<&str, &[&str]> = ROOMS.iter().copied().collect();
    let mut allowed: BTreeSet<&'static str> = rows.get(room)?.iter().copied().collect();
    if test {
        let mut todo: Vec<&str> = allowed.iter().copied().collect();
        while let Some(lower) = todo.pop() {
            for further in rows.get(lower).copied().unwrap_or_default() {
                if allowed.insert(further) {
                    todo.push(further);
                }
            }
        }
    }
    Some(allowed)
}

fn room_of(file: &str) -> &str {
    let first = file.split('/').next().unwrap_or(file);
    first.strip_suffix(".rs").unwrap_or(first)
}

/// What a pure crate must not reach.
fn impurities<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let read = Crate::read(files);
    let mut faults = BTreeSet::new();
    for reach in read.reaches().filter(|reach| !reach.test) {
        for target in &reach.targets {
            let names: Vec<&str> = target.iter().map(String::as_str).collect();
            let impure = match names.as_slice() {
                ["tokio" | "mio" | "hyper" | "socket2", ..] => true,
                ["std", inner, ..] => {
                    matches!(*inner, "net" | "fs" | "os" | "process" | "thread" | "time" | "env")
                }
                // Whoever binds all of it can reach the rest unseen.
                ["std"] => reach.path.binding != Binding::Inline,
                _ => false,
            };
            if impure {
                let (file, line) = (reach.file, reach.path.line);
                faults.insert(format!("{file}:{line}: {}", names.join("::")));
            }
        }
    }
    faults.into_iter().collect()
}

/// Every Rust file below a folder of the repository: its path below that folder,
/// and its text.
fn files_below(folder: &str) -> Vec<(String, String)> {
    let base = root().join(folder);
    let mut found = Vec::new();
    let mut todo = vec![base.clone()];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                let skipped = ["target", "node_modules"].map(|name| path.ends_with(name));
                if !skipped.contains(&true) {
                    todo.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&base).unwrap().to_str().unwrap().to_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "no Rust file below {folder}");
    found.sort();
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}
