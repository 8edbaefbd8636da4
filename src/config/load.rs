//! Where a configuration comes from: a file, environment variables over it, flags
//! over these.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::PathBuf;

use serde_json::{Map, Value};

use super::build::build;
use super::environment::{self, Overlay};
use super::file::File;
use super::reader::Reader;
use super::settings::Source;
use super::tree::{self, Format};
use super::{Config, Fault, limits, namespaces, unreadable};

/// What a configuration is made of. It can be loaded again and again.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file: JSON, YAML or TOML by its extension.
    pub file: Option<PathBuf>,
    /// Environment variables; see the page about configuration.
    pub variables: Vec<(String, String)>,
    /// Options that the command line gives, by their paths.
    pub flags: Vec<(&'static str, Value)>,
}

impl Sources {
    /// The file, and the process' environment over it.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>) -> Sources {
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        let variables = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
        Sources { file, variables: variables.collect(), flags: Vec::new() }
    }

    /// Reads the configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once; a file that cannot be read at all
    /// is one fault.
    pub fn load(&self) -> Result<Config, Vec<Fault>> {
        let mut options = self.read_file().map_err(|fault| vec![fault])?;
        let overlay = environment::lay_over(&mut options, &self.variables);
        self.build(options, overlay).map(|(config, _)| config)
    }

    fn read_file(&self) -> Result<Map<String, Value>, Fault> {
        let Some(path) = &self.file else { return Ok(Map::new()) };
        let told = |problem| Fault { place: path.display().to_string(), problem };
        let format = Format::of(path)
            .ok_or_else(|| told("the file's name must end in .json, .yaml or .toml".to_owned()))?;
        let mut text = String::new();
        fs::File::open(path)
            .and_then(|file| file.take(tree::MAX_TEXT as u64 + 1).read_to_string(&mut text))
            .map_err(|error| told(unreadable(&error)))?;
        tree::read(&text, format).map_err(|fault| {
            let Fault { place, problem } = fault;
            let within = if place.is_empty() { place } else { format!(", {place}") };
            Fault { place: format!("{}{within}", path.display()), problem }
        })
    }

    /// The configuration of these options, and the options as they are typed.
    pub(super) fn build(
        &self,
        mut options: Map<String, Value>,
        overlay: Overlay,
    ) -> Result<(Config, File), Vec<Fault>> {
        let Overlay { mut sources, mut faults, warnings } = overlay;
        for (place, value) in &self.flags {
            environment::set(&mut options, place, value.clone());
            sources.insert((*place).to_owned(), Source::Flag);
        }
        let options = Value::Object(options);
        let written = |path: &str| options.pointer(path);
        let profile = written("/limits/profile").and_then(Value::as_str);
        let profile = profile.and_then(|name| name.parse().ok()).unwrap_or_default();
        let lenient = written("/compat/centrifugo").and_then(Value::as_bool).unwrap_or(false);
        let mut reader = Reader::new(&sources, profile, lenient);
        let file: Option<File> = reader.section("", &options);
        let Some(file) = file else { return Err(reader.faults) };
        let Reader { mut settings, warnings: noticed, faults: found, .. } = reader;
        let mut built = Vec::new();
        let mut config = build(&file, profile, &settings, &mut built);
        // An option that could not be read is not also missing.
        built.retain(|fault| !found.iter().any(|other| fault.is_about(&other.place)));
        faults.extend(found);
        faults.extend(built);
        if !faults.is_empty() {
            name_variables(&mut faults, &sources);
            return Err(faults);
        }
        namespaces::name_sources(&file, &mut settings);
        limits::name_sources(&file, (profile, &config.limits), &mut settings);
        config.settings = settings;
        config.warnings = warnings.into_iter().chain(noticed).collect();
        Ok((config, file))
    }
}

/// A configuration written as JSON, and nothing else.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub fn parse(text: &str) -> Result<Config, Vec<Fault>> {
    let options = tree::read(text, Format::Json).map_err(|fault| vec![fault])?;
    Sources::default().build(options, Overlay::default()).map(|(config, _)| config)
}

impl Fault {
    /// Whether it is about the option at `place`, or one within it; the file of a
    /// secret stands for the secret.
    fn is_about(&self, place: &str) -> bool {
        let rest = self.place.strip_prefix(place.strip_suffix("_file").unwrap_or(place));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    }
}

/// Who looks for a fault that a variable brought must know of the variable.
fn name_variables(faults: &mut [Fault], sources: &BTreeMap<String, Source>) {
    for fault in faults {
        if let Some(Source::Environment(name)) = sources.get(&fault.place) {
            fault.problem += &format!(" (given by {name})");
        }
    }
}
