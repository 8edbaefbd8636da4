//! Rates in the configuration.

use serde_json::{Value, json};

use super::super::kind::{Kind, Written, must_be};
use super::super::reader::Reader;
use crate::limit::Rate;

impl Kind for Rate {
    const WRITTEN: Written = Written::Text;

    fn name() -> String {
        "rate".to_owned()
    }

    fn read(reader: &mut Reader<'_>, place: &str, written: &Value) -> Option<Rate> {
        let Some(text) = written.as_str() else {
            reader.fault(place, must_be("a rate, such as \"10/s\" or \"100/m burst 20\"", written));
            return None;
        };
        match Rate::parse(text) {
            Ok(rate) => Some(rate),
            Err(Some(bad)) => {
                reader.fault(place, bad.to_string());
                None
            }
            Err(None) => {
                let problem =
                    "not a rate, such as \"10/s\", \"60/10s\", \"100/m burst 20\" or \"none\"";
                reader.fault(place, problem);
                None
            }
        }
    }

    fn show(&self) -> Option<Value> {
        Some(json!(self.to_string()))
    }
}
