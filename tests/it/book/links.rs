//! Links between the pages lead somewhere.

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_link_leads_to_a_file_and_every_page_is_in_the_index() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![root.join("README.md")];
    let docs: Vec<PathBuf> = fs::read_dir(root.join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    let index = fs::read_to_string(root.join("docs/README.md")).unwrap();
    for page in &docs {
        let name = page.file_name().unwrap().to_str().unwrap();
        assert!(name == "README.md" || index.contains(&format!("]({name})")), "{name}");
    }
    pages.extend(docs);
    let mut seen = 0;
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for target in targets(&text) {
            let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
            let found =
                if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            assert!(found.exists(), "{}: {target}", page.display());
            if !anchor.is_empty() && found.extension().is_some_and(|kind| kind == "md") {
                let there = fs::read_to_string(&found).unwrap();
                let known = there.lines().any(|line| anchor_of(line).as_deref() == Some(anchor));
                assert!(known, "{}: {target}", page.display());
            }
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen} links");
}

/// The relative targets of `[text](target)`.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("](").filter_map(|(at, _)| {
        let target = text[at + 2..].split(')').next().unwrap();
        (!target.contains("://") && !target.contains(char::is_whitespace)).then_some(target)
    })
}

/// What a heading can be linked by.
fn anchor_of(line: &str) -> Option<String> {
    let heading = line.strip_prefix('#')?.trim_start_matches('#').strip_prefix(' ')?;
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    Some(kept.collect::<String>().to_lowercase().replace(' ', "-"))
}
