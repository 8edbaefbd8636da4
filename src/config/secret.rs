//! Secrets: never shown, and also read from files of their own.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::kind::{Kind, Written, must_be};
use super::reader::Reader;
use super::unreadable;
use crate::auth::Secret;

/// The longest secret that is read from a file, bytes.
const MAX_SECRET: u64 = 64 << 10;

/// A secret, of which no fault that reading meets repeats anything.
#[derive(Clone, Default)]
pub(super) struct SecretText(Zeroizing<String>);

impl SecretText {
    /// The text, to be shown to nobody.
    pub(super) fn text(&self) -> &str {
        &self.0
    }

    pub(super) fn secret(&self) -> Secret {
        Secret::new(String::clone(&self.0))
    }
}

impl Kind for SecretText {
    const IS_SECRET: bool = true;
    const WRITTEN: Written = Written::Text;

    fn name() -> String {
        "secret".to_owned()
    }

    fn read(reader: &mut Reader<'_>, place: &str, written: &Value) -> Option<SecretText> {
        let Some(text) = written.as_str() else {
            reader.fault(place, must_be("a text", written));
            return None;
        };
        Some(SecretText(Zeroizing::new(text.to_owned())))
    }

    fn show(&self) -> Option<Value> {
        Some(json!("[redacted]"))
    }
}

/// A secret out of a file: its text without the newline at its end, and whether
/// anyone on this machine may read it.
///
/// # Errors
/// Says what is wrong with the file.
pub(super) fn read(path: &str) -> Result<(String, bool), String> {
    let cannot = |error: std::io::Error| format!("{path:?}: {}", unreadable(&error));
    let file = fs::File::open(Path::new(path)).map_err(cannot)?;
    let mode = file.metadata().map_err(cannot)?.permissions().mode();
    let mut text = String::new();
    file.take(MAX_SECRET + 1).read_to_string(&mut text).map_err(cannot)?;
    if text.len() as u64 > MAX_SECRET {
        return Err(format!("{path:?} is longer than {MAX_SECRET} bytes"));
    }
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(format!("{path:?} is empty"));
    }
    Ok((line.to_owned(), mode & 0o004 != 0))
}
