//! The samples of the operator's page, run one after the other in one shell, with
//! ports and files of the test's own.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::process::{PROGRAM, scratch};

const PAGE: &str = include_str!("../../../docs/operation.md");

/// The blocks of a page that are for a shell, in order.
fn samples(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Option<String> = None;
    for line in page.lines() {
        match (&mut open, line) {
            (None, "```sh") => open = Some(String::new()),
            (Some(_), "```") => found.extend(open.take()),
            (Some(text), line) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, _) => {}
        }
    }
    assert!(open.is_none(), "a block has no end");
    found
}

/// Two ports that were free a moment ago.
fn free_ports() -> (u16, u16) {
    let [one, two] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    (one.local_addr().unwrap().port(), two.local_addr().unwrap().port())
}

#[test]
fn samples_are_found_whole() {
    let page = "a\n```sh\none\ntwo\n```\n```json\nnot\n```\n```sh\nthree\n```\n";
    assert_eq!(samples(page), ["one\ntwo\n", "three\n"]);
    assert!(samples(PAGE).len() >= 10, "the page has its samples");
}

#[test]
fn every_sample_of_the_page_runs() {
    let (public, metrics) = free_ports();
    let mut script = String::from("set -eu\n");
    for (number, sample) in samples(PAGE).iter().enumerate() {
        // Nothing else of a sample is changed: where a node listens by default, something
        // else may listen while tests run.
        let sample = sample
            .replace("8000", &public.to_string())
            .replace("9000", &metrics.to_string())
            .replace(
                "sealcast health\n",
                &format!("sealcast health --address 127.0.0.1:{public}\n"),
            )
            .replace("health --quiet;", &format!("health --quiet --address 127.0.0.1:{public};"));
        script += &format!("echo 'sample {number}' >&3\n{sample}");
    }
    script += "trap - EXIT\necho done >&3\n";
    // Whatever fails, the node does not stay behind.
    let script = format!("trap 'kill -KILL ${{node:-}} 2> /dev/null' EXIT\nexec 3>&2\n{script}");
    let folder = scratch("samples");
    fs::create_dir(&folder).unwrap();
    let programs = Path::new(PROGRAM).parent().unwrap().to_str().unwrap();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
    let output = Command::new("timeout")
        .args(["60", "sh", "-c", &script])
        .env("PATH", path)
        .current_dir(&folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    let log = fs::read_to_string(folder.join("sealcast.log")).unwrap_or_default();
    assert!(output.status.success() && told.contains("done"), "{told}\n{log}\n{output:?}");
    fs::remove_dir_all(folder).unwrap();
}
