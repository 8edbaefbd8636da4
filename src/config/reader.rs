//! Walks over the options that are declared: reads what is written of each, or
//! describes it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::kind::{Kind, must_be};
use super::nearest::nearest;
use super::section::{Member, Section};
use super::settings::{Description, Setting, Source};
use super::{Fault, secret, settings};
use crate::limit::{Limits, Profile};

/// Reads a whole configuration, or describes its options.
pub(super) struct Reader<'a> {
    /// Where values come from that are not from the file.
    sources: &'a BTreeMap<String, Source>,
    profile: Profile,
    limits: Limits,
    /// Unknown options are warned of.
    lenient: bool,
    pub(super) settings: Vec<Setting>,
    pub(super) warnings: Vec<Fault>,
    pub(super) faults: Vec<Fault>,
    described: Option<Vec<Description>>,
}

/// The members of one object while they are read.
pub(super) struct Members<'r, 'a> {
    reader: &'r mut Reader<'a>,
    place: &'r str,
    written: &'r Map<String, Value>,
    known: Vec<String>,
    unsupported: Vec<(&'static str, &'static str)>,
}

/// Every option of the section `S`, which stands at the top.
pub(super) fn describe<S: Section>() -> Vec<Description> {
    let sources = BTreeMap::new();
    let mut reader = Reader::new(&sources, Profile::default(), false);
    reader.described = Some(Vec::new());
    let _: Option<S> = reader.section("", &json!({}));
    reader.described.unwrap_or_default()
}

/// A section of which nothing is written.
pub(super) fn defaults<S: Section>() -> S {
    let (sources, written) = (BTreeMap::new(), Map::new());
    let mut reader = Reader::new(&sources, Profile::default(), false);
    S::members(&mut Members::new(&mut reader, "", &written))
}

impl<'a> Reader<'a> {
    /// One that takes defaults from `profile`; a `lenient` one takes unknown
    /// options for a reason to warn, not to stop.
    pub(super) fn new(
        sources: &'a BTreeMap<String, Source>,
        profile: Profile,
        lenient: bool,
    ) -> Reader<'a> {
        Reader {
            sources,
            profile,
            limits: profile.limits(),
            lenient,
            settings: Vec::new(),
            warnings: Vec::new(),
            faults: Vec::new(),
            described: None,
        }
    }

    /// Notes a fault.
    pub(super) fn fault(&mut self, place: impl Into<String>, problem: impl Into<String>) {
        self.faults.push(Fault { place: place.into(), problem: problem.into() });
    }

    /// Reads a section, and what stands there and is no option.
    pub(super) fn section<S: Section>(&mut self, place: &str, written: &Value) -> Option<S> {
        let Some(written) = written.as_object() else {
            self.fault(place, must_be("an object", written));
            return None;
        };
        let mut members = Members::new(self, place, written);
        let section = S::members(&mut members);
        members.finish();
        Some(section)
    }

    fn source_of(&self, place: &str) -> Source {
        let mut rest = Some(place);
        while let Some(place) = rest {
            if let Some(source) = self.sources.get(place) {
                return source.clone();
            }
            rest = place.rfind(['.', '[']).and_then(|at| place.get(..at));
        }
        Source::File
    }

    fn set(&mut self, place: &str, value: Option<Value>, source: Source, restart: bool) {
        if let Some(value) = value {
            self.settings.push(Setting { place: place.to_owned(), value, source, restart });
        }
    }
}

impl<'r, 'a> Members<'r, 'a> {
    fn new(reader: &'r mut Reader<'a>, place: &'r str, written: &'r Map<String, Value>) -> Self {
        Members { reader, place, written, known: Vec::new(), unsupported: Vec::new() }
    }

    /// The value of an option: what is written, or its default.
    pub(super) fn member<T: Kind>(&mut self, member: &Member<T>) -> T {
        let place = place_in(self.place, member.name);
        self.known.push(member.name.to_owned());
        if T::IS_SECRET {
            self.known.push(file_option(member.name));
        }
        if self.reader.described.is_some() {
            self.describe(&place, member);
            return (member.default)(&self.reader.limits);
        }
        let written = self.written.get(member.name);
        let read = match (written, self.secret_file::<T>(member.name, written)) {
            (None, None) => self.absent(&place, member),
            (None, Some((text, source))) => {
                let read = T::read(self.reader, &place, &Value::String(text));
                let shown = read.as_ref().and_then(T::show);
                self.reader.set(&place, shown, source, member.restart);
                read
            }
            (Some(written), _) => {
                let read = T::read(self.reader, &place, written);
                let source = self.reader.source_of(&place);
                let shown = read.as_ref().and_then(T::show);
                self.reader.set(&place, shown, source, member.restart);
                read
            }
        };
        read.unwrap_or_else(|| (member.default)(&self.reader.limits))
    }

    /// Options of Centrifugo that stand in this section and are not supported.
    pub(super) fn unsupported(&mut self, options: &[(&'static str, &'static str)]) {
        self.unsupported.extend(options);
    }

    fn absent<T: Kind>(&mut self, place: &str, member: &Member<T>) -> Option<T> {
        if T::IS_SECTION {
            return T::read(self.reader, place, &json!({}));
        }
        let default = (member.default)(&self.reader.limits);
        let source =
            if member.by_profile { Source::Profile(self.reader.profile) } else { Source::Default };
        self.reader.set(place, default.show(), source, member.restart);
        Some(default)
    }

    /// What a secret's file holds, if one is named and the secret is not written.
    fn secret_file<T: Kind>(
        &mut self,
        name: &str,
        beside: Option<&Value>,
    ) -> Option<(String, Source)> {
        let option = T::IS_SECRET.then(|| file_option(name))?;
        let written = self.written.get(&option)?;
        let place = place_in(self.place, &option);
        let Some(path) = written.as_str() else {
            self.reader.fault(place, must_be("a text, the path of a file", written));
            return None;
        };
        if beside.is_some() {
            self.reader.fault(place, format!("given beside {name}; give one of the two"));
            return None;
        }
        match secret::read(path) {
            Ok((text, open)) => {
                if open {
                    let problem =
                        format!("anyone on this machine may read {path:?}: chmod o-r {path:?}");
                    self.reader.warnings.push(Fault { place, problem });
                }
                Some((text, Source::SecretFile(path.to_owned())))
            }
            Err(problem) => {
                self.reader.fault(place, problem);
                None
            }
        }
    }

    fn describe<T: Kind>(&mut self, place: &str, member: &Member<T>) {
        let defaults = [Profile::Standard, Profile::Strict]
            .map(|profile| (member.default)(&profile.limits()).show());
        let meaning = member.meaning.trim();
        if let (Some(described), false) = (&mut self.reader.described, T::IS_SECTION) {
            described.push(Description {
                place: place.to_owned(),
                kind: T::name(),
                default: settings::default_text(&defaults),
                meaning: meaning.to_owned(),
                restart: member.restart,
                by_profile: member.by_profile,
                written: T::WRITTEN,
            });
            if T::IS_SECRET {
                described.push(Description {
                    place: file_option(place),
                    kind: "path".to_owned(),
                    default: settings::NONE.to_owned(),
                    meaning: format!("A file with `{}`, in its place.", member.name),
                    restart: member.restart,
                    by_profile: false,
                    written: T::WRITTEN,
                });
            }
        }
        T::example(self.reader, place);
    }

    /// Tells what stands here and is no option.
    fn finish(self) {
        let Members { reader, place, written, known, unsupported } = self;
        for name in written.keys().filter(|name| !known.contains(name)) {
            let here = place_in(place, name);
            if let Some((_, instead)) = unsupported.iter().find(|(option, _)| option == name) {
                reader
                    .fault(here, format!("known to Centrifugo, but not supported here: {instead}"));
                continue;
            }
            let mut problem = "no such option".to_owned();
            if let Some(meant) = meant(name, &known) {
                problem += &format!("; did you mean {meant}?");
            }
            let fault = Fault { place: here, problem };
            let told = if reader.lenient { &mut reader.warnings } else { &mut reader.faults };
            told.push(fault);
        }
    }
}

/// What someone meant by a name that is none of `known`: one of those, or the
/// option of this name in another section.
fn meant(name: &str, known: &[String]) -> Option<String> {
    let options = settings::options();
    let elsewhere = || {
        let same = |option: &&Description| option.place.rsplit('.').next() == Some(name);
        options.iter().find(same).map(|option| option.place.clone())
    };
    nearest(name, known.iter().map(String::as_str)).map(str::to_owned).or_else(elsewhere)
}

fn place_in(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") }
}

fn file_option(name: &str) -> String {
    format!("{name}_file")
}
