//! Whether a value is what a schema of the document says: as JSON Schema has it,
//! for the keywords that the document uses, and stricter in one point. A member
//! that is not described is a fault, so that nothing is left out.

use std::collections::BTreeSet;

use serde_json::Value;

/// Checks values against one document, and notes which members were met.
pub(super) struct Checker<'a> {
    document: &'a Value,
    /// JSON pointers of the members' schemas.
    pub(super) met: BTreeSet<String>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(document: &'a Value) -> Checker<'a> {
        Checker { document, met: BTreeSet::new() }
    }

    /// Checks `value` against the schema at a JSON pointer; says what is wrong.
    pub(super) fn check(&mut self, schema: &str, value: &Value) -> Result<(), String> {
        let described = self.document.pointer(schema).ok_or(format!("{schema} is not there"))?;
        let described = described.as_object().ok_or(format!("{schema} is no object"))?;
        for (keyword, rule) in described {
            match keyword.as_str() {
                "$ref" => {
                    let place = rule.as_str().and_then(|place| place.strip_prefix('#'));
                    self.check(place.ok_or(format!("{schema}: {rule}"))?, value)?;
                }
                "oneOf" => self.one_of(schema, rule, value)?,
                "properties" => self.members(schema, value)?,
                "additionalProperties" => self.others(schema, value)?,
                "items" => {
                    for item in value.as_array().into_iter().flatten() {
                        self.check(&format!("{schema}/items"), item)?;
                    }
                }
                _ if holds(schema, keyword, rule, value)? => {}
                _ => return Err(format!("{schema}: {value} against {keyword} {rule}")),
            }
        }
        Ok(())
    }

    fn one_of(&mut self, schema: &str, rule: &Value, value: &Value) -> Result<(), String> {
        let forms = 0..rule.as_array().map_or(0, Vec::len);
        let mut fits = Vec::new();
        let mut faults = Vec::new();
        for at in forms {
            let mut trial = Checker::new(self.document);
            match trial.check(&format!("{schema}/oneOf/{at}"), value) {
                Ok(()) => fits.push(trial.met),
                Err(fault) => faults.push(fault),
            }
        }
        match <[_; 1]>::try_from(fits) {
            Ok([met]) => self.met.extend(met),
            Err(fits) => return Err(format!("{schema}: {} forms fit; {faults:?}", fits.len())),
        }
        Ok(())
    }

    fn members(&mut self, schema: &str, value: &Value) -> Result<(), String> {
        for (name, member) in value.as_object().into_iter().flatten() {
            let place = format!("{schema}/properties/{name}");
            if self.document.pointer(&place).is_none() {
                return Err(format!("{schema}: {name} is not described"));
            }
            self.check(&place, member)?;
            self.met.insert(place);
        }
        Ok(())
    }

    fn others(&mut self, schema: &str, value: &Value) -> Result<(), String> {
        for member in value.as_object().into_iter().flatten().map(|(_, member)| member) {
            self.check(&format!("{schema}/additionalProperties"), member)?;
        }
        Ok(())
    }
}

/// Whether a rule about one value alone holds.
fn holds(schema: &str, keyword: &str, rule: &Value, value: &Value) -> Result<bool, String> {
    let length = |found: Option<usize>, at_most: bool| {
        let limit = rule.as_u64().and_then(|limit| usize::try_from(limit).ok());
        match (found, limit) {
            (Some(found), Some(limit)) if at_most => found <= limit,
            (Some(found), Some(limit)) => found >= limit,
            (None, _) => true,
            (_, None) => false,
        }
    };
    let members = value.as_object().map(serde_json::Map::len);
    let items = value.as_array().map(Vec::len);
    let bytes = value.as_str().map(str::len);
    Ok(match keyword {
        "description" | "format" => true,
        "type" => types(rule).any(|kind| is(kind, value)),
        "enum" => rule.as_array().is_some_and(|all| all.contains(value)),
        "required" => {
            let named = rule.as_array().into_iter().flatten().filter_map(Value::as_str);
            value
                .as_object()
                .is_none_or(|members| named.into_iter().all(|name| members.contains_key(name)))
        }
        "minimum" => {
            value.as_f64().is_none_or(|number| rule.as_f64().is_some_and(|least| number >= least))
        }
        "maximum" => {
            value.as_f64().is_none_or(|number| rule.as_f64().is_some_and(|most| number <= most))
        }
        "minProperties" => length(members, false),
        "maxProperties" => length(members, true),
        "minItems" => length(items, false),
        "maxItems" => length(items, true),
        "minLength" => length(bytes, false),
        "maxLength" => length(bytes, true),
        other => return Err(format!("{schema}: {other} is not known here")),
    })
}

/// The types that a schema's `type` names.
pub(super) fn types(rule: &Value) -> impl Iterator<Item = &str> {
    let several = rule.as_array().into_iter().flatten().filter_map(Value::as_str);
    rule.as_str().into_iter().chain(several)
}

/// Whether a value is of a type.
pub(super) fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

#[test]
fn the_check_finds_what_is_wrong() {
    use serde_json::json;
    let document = json!({
        "a": {
            "type": "object", "required": ["n"],
            "properties": { "n": { "type": "integer", "minimum": 1 }, "l": { "$ref": "#/l" } },
        },
        "l": { "type": ["array", "null"], "maxItems": 2, "items": { "enum": ["x", "y"] } },
        "m": { "type": "object", "additionalProperties": { "type": "string", "maxLength": 1 } },
        "o": { "oneOf": [{ "type": "string" }, { "type": "integer" }] },
        "odd": { "pattern": "a" },
    });
    let mut checker = Checker::new(&document);
    for (schema, value) in [
        ("/a", json!({ "n": 1, "l": ["x"] })),
        ("/l", json!(null)),
        ("/m", json!({ "a": "b" })),
        ("/o", json!("a")),
    ] {
        assert_eq!(checker.check(schema, &value), Ok(()), "{schema} {value}");
    }
    assert!(checker.met.contains("/a/properties/l"));
    for (schema, value) in [
        ("/a", json!({})),
        ("/a", json!([])),
        ("/a", json!({ "n": 0 })),
        ("/a", json!({ "n": 1.0 })),
        ("/a", json!({ "n": 1, "other": 1 })),
        ("/a", json!({ "n": 1, "l": ["z"] })),
        ("/l", json!(["x", "x", "x"])),
        ("/m", json!({ "a": "bb" })),
        ("/o", json!([])),
        ("/odd", json!("a")),
        ("/none", json!(1)),
    ] {
        assert!(checker.check(schema, &value).is_err(), "{schema} {value}");
    }
}
