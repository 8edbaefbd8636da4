//! The shell samples of the pages, run one after the other in one shell for each
//! page, with ports and files of the test's own. A block `sh server` is what keeps a
//! terminal of its own: it runs in the background until the next one or the end.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::blocks;
use crate::support::port::Port;
use crate::support::process::{PROGRAM, scratch};

#[test]
fn the_samples_for_operators_run() {
    run("operation", include_str!("../../../docs/operation.md"), 10);
}

#[test]
fn the_first_steps_run() {
    run("first-steps", include_str!("../../../docs/first-steps.md"), 6);
}

#[test]
fn the_samples_about_streams_run() {
    run("streams", include_str!("../../../docs/streams.md"), 4);
}

#[test]
fn the_samples_of_the_security_model_run() {
    run("security", include_str!("../../../docs/security.md"), 4);
}

fn run(name: &str, page: &str, least: usize) {
    let reserved = [(); 2].map(|()| Port::reserve());
    let [public, metrics] = reserved.each_ref().map(Port::number);
    let samples = samples(page);
    assert!(samples.len() >= least, "{} samples", samples.len());
    let mut script = String::from("set -eu\nserver=\n");
    for (number, (server, sample)) in samples.iter().enumerate() {
        // Nothing else of a sample is changed: where a node listens by default, something
        // else may listen while tests run.
        let sample = sample
            .replace("8000", &public.to_string())
            .replace("9000", &metrics.to_string())
            .replace("cargo run --release -- ", "sealcast ")
            .replace("serve --dev", &format!("serve --dev --port {public}"))
            .replace(
                "serve --config",
                &format!("serve --port {public} --metrics-port {metrics} --config"),
            )
            .replace(
                "sealcast health\n",
                &format!("sealcast health --address 127.0.0.1:{public}\n"),
            )
            .replace("health --quiet;", &format!("health --quiet --address 127.0.0.1:{public};"));
        script += &format!("echo 'sample {number}' >&3\n");
        script += &if *server { in_background(&sample, public) } else { sample };
    }
    script += "echo done >&3\n";
    // Whatever fails, no node stays behind.
    let stop = "kill -KILL ${node:-} ${server:-} 2> /dev/null";
    let script = format!("trap '{stop} || true' EXIT\nexec 3>&2\n{script}");
    let folder = scratch(name);
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

/// The blocks for a shell in order, and whether each is for a terminal of its own.
fn samples(page: &str) -> Vec<(bool, String)> {
    let marked = page.replace("```sh server\n", "```sh\n#server\n");
    let samples =
        blocks(&marked, "sh").into_iter().map(|text| match text.strip_prefix("#server\n") {
            Some(server) => (true, server.to_owned()),
            None => (false, text),
        });
    samples.collect()
}

/// Ends the one before, starts this one, waits for it, and takes the key it prints,
/// as a reader would.
fn in_background(sample: &str, public: u16) -> String {
    let command = sample.trim_end();
    format!(
        "if [ -n \"$server\" ]; then kill -TERM $server; wait $server; fi\n\
         {command} > server.txt 2> sealcast.log &\nserver=$!\n\
         until sealcast health --quiet --address 127.0.0.1:{public}; do sleep 0.1; done\n\
         until [ -s server.txt ] || ! grep -q insecure_mode sealcast.log; do sleep 0.1; done\n\
         export KEY=$(sed -n \"s/.*X-API-Key: \\([0-9a-f]*\\).*/\\1/p\" server.txt sealcast.log)\n"
    )
}
