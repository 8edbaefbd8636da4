//! The pages of `docs/`: what they show is what happens.

mod codes;
mod frames;
mod links;
mod shell;

/// The blocks of a page with this info string, in order.
fn blocks(page: &str, kind: &str) -> Vec<String> {
    let fence = format!("```{kind}");
    let mut found = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(rest) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        if line == fence {
            found.push(block.join("\n") + "\n");
        }
        assert!(rest.chars().all(|c| c.is_ascii_lowercase() || c == ' '), "{line}");
    }
    found
}

#[test]
fn blocks_are_found_whole() {
    let page = "a\n```sh\none\ntwo\n```\n```json\nnot\n```\n```sh\nthree\n```\n";
    assert_eq!(blocks(page, "sh"), ["one\ntwo\n", "three\n"]);
}
