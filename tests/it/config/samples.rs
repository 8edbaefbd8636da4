//! Samples of configurations in Markdown, run through `sealcast check-config`: a
//! block `env` with variables, if any; a block `json`, `yaml` or `toml` with the
//! file; and a block `text` with what is said, if it is to be compared.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::process::{PROGRAM, scratch};

/// A sample and what the page says of it.
pub(super) struct Sample {
    title: String,
    variables: Vec<(String, String)>,
    extension: String,
    text: String,
    said: Option<String>,
}

/// The samples of a page, in order.
pub(super) fn samples(page: &str) -> Vec<Sample> {
    let mut samples: Vec<Sample> = Vec::new();
    let mut title = String::new();
    let mut variables = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(heading) = line.strip_prefix("## ") {
            title = heading.to_owned();
        }
        let Some(language) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        match language {
            "env" => {
                let pairs = block.iter().map(|line| line.split_once('=').expect("NAME=VALUE"));
                variables = pairs.map(|(name, text)| (name.into(), text.into())).collect();
            }
            "json" | "yaml" | "toml" => samples.push(Sample {
                title: title.clone(),
                variables: std::mem::take(&mut variables),
                extension: language.to_owned(),
                text: block.join("\n"),
                said: None,
            }),
            "text" => {
                let last = samples.last_mut().expect("a sample before what is said of it");
                last.said = Some(block.join("\n"));
            }
            "sh" => {}
            other => panic!("a block {other:?} in {title:?}"),
        }
    }
    samples
}

impl Sample {
    /// Checks that the program says what the page says, and means it.
    pub(super) fn check(&self) {
        let path = scratch(&self.extension);
        fs::write(&path, &self.text).unwrap();
        let Output { status, stdout, stderr } = check_config(&path, &self.variables);
        fs::remove_file(&path).unwrap();
        let file = format!("config.{}", self.extension);
        let told = [stderr, stdout].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        let told = told.replace(path.to_str().unwrap(), &file);
        let right = format!("{file} is right");
        let said = self.said.as_deref().unwrap_or(&right);
        assert_eq!(told.trim_end(), said, "{}\n{}", self.title, self.text);
        let code = if said.ends_with(&right) { 0 } else { 78 };
        assert_eq!(status.code(), Some(code), "{}\n{told}", self.title);
    }
}

/// Runs `sealcast check-config` in an environment of its own.
pub(super) fn check_config(path: &Path, variables: &[(String, String)]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.arg("check-config").arg(path).env_clear();
    command.envs(variables.iter().map(|(name, text)| (name, text))).output().unwrap()
}
