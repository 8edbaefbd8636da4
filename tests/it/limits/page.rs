//! The page about limits says what the code does.

use std::{env, fs};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/limits.md");
const BEGIN: &str = "<!-- from the code: begin -->\n";
const END: &str = "<!-- from the code: end -->";

#[test]
fn the_page_lists_every_limit_as_it_is() {
    let page = fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("where the table begins");
    let (listed, after) = rest.split_once(END).expect("where the table ends");
    let table = sealcast::config::limits_markdown();
    if env::var_os("WRITE_DOCS").is_some() {
        fs::write(PAGE, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
    } else {
        assert_eq!(listed, table, "write it with WRITE_DOCS=1");
    }
    for scope in sealcast::limit::Scope::ALL {
        let name = format!("| `{}` |", scope.name());
        assert!(after.contains(&name), "the page does not tell of the scope {name}");
    }
}
