//! Writing JSON text.

use memchr::memchr2_iter;

use crate::codec::sink::Sink;

/// Writes an object with the members that `members` adds.
pub(super) fn object<S: Sink>(out: &mut S, members: impl FnOnce(&mut Object<'_, S>)) {
    out.put(b"{");
    members(&mut Object { out, empty: true });
    out.put(b"}");
}

/// An object being written. A member that has its type's default value is left
/// out by `number`, `signed`, `flag`, `text` and `raw`, and by no others.
pub(super) struct Object<'o, S> {
    out: &'o mut S,
    empty: bool,
}

impl<S: Sink> Object<'_, S> {
    pub(super) fn number(&mut self, name: &'static str, value: impl Into<u64>) {
        let value = value.into();
        if value != 0 {
            decimal(self.name(name), value);
        }
    }

    pub(super) fn always_number(&mut self, name: &'static str, value: impl Into<u64>) {
        decimal(self.name(name), value.into());
    }

    pub(super) fn signed(&mut self, name: &'static str, value: impl Into<i64>) {
        let value = value.into();
        if value != 0 {
            let out = self.name(name);
            if value < 0 {
                out.put(b"-");
            }
            decimal(out, value.unsigned_abs());
        }
    }

    pub(super) fn flag(&mut self, name: &'static str, value: bool) {
        if value {
            self.name(name).put(b"true");
        }
    }

    pub(super) fn text(&mut self, name: &'static str, value: &str) {
        if !value.is_empty() {
            self.always_text(name, value);
        }
    }

    pub(super) fn always_text(&mut self, name: &'static str, value: &str) {
        string(self.name(name), value);
    }

    /// A JSON value that someone else wrote; see [`raw`].
    pub(super) fn raw(&mut self, name: &'static str, value: &[u8]) {
        if !value.is_empty() {
            raw(self.name(name), value);
        }
    }

    pub(super) fn object(&mut self, name: &'static str, members: impl FnOnce(&mut Object<'_, S>)) {
        object(self.name(name), members);
    }

    pub(super) fn list<T>(
        &mut self,
        name: &'static str,
        items: &[T],
        mut each: impl FnMut(&mut Object<'_, S>, &T),
    ) {
        let out = self.name(name);
        out.put(b"[");
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                out.put(b",");
            }
            object(out, |members| each(members, item));
        }
        out.put(b"]");
    }

    /// A list of strings.
    pub(super) fn texts(&mut self, name: &'static str, texts: &[impl AsRef<str>]) {
        let out = self.name(name);
        out.put(b"[");
        for (at, text) in texts.iter().enumerate() {
            if at > 0 {
                out.put(b",");
            }
            string(out, text.as_ref());
        }
        out.put(b"]");
    }

    /// A member of a map, whose name is not the protocol's, and its string.
    pub(super) fn text_entry(&mut self, name: &str, value: &str) {
        string(self.entry(name), value);
    }

    /// A member of a map, whose name is not the protocol's, and its object.
    pub(super) fn object_entry(&mut self, name: &str, members: impl FnOnce(&mut Object<'_, S>)) {
        object(self.entry(name), members);
    }

    fn entry(&mut self, name: &str) -> &mut S {
        self.comma();
        string(self.out, name);
        self.out.put(b":");
        self.out
    }

    fn name(&mut self, name: &'static str) -> &mut S {
        self.comma();
        self.out.put(b"\"");
        self.out.put(name.as_bytes());
        self.out.put(b"\":");
        self.out
    }

    fn comma(&mut self) {
        if !std::mem::take(&mut self.empty) {
            self.out.put(b",");
        }
    }
}

/// Writes a JSON value that someone else wrote, without its raw line ends:
/// they are white space there, but in a frame they end the message.
fn raw(out: &mut impl Sink, json: &[u8]) {
    let mut from = 0;
    for at in memchr2_iter(b'\n', b'\r', json) {
        out.put(json.get(from..at).unwrap_or_default());
        from = at + 1;
    }
    out.put(json.get(from..).unwrap_or_default());
}

/// Besides what JSON asks for, U+2028 and U+2029 are escaped: they end lines
/// in JavaScript before 2019.
fn string(out: &mut impl Sink, text: &str) {
    out.put(b"\"");
    // 0xe2 begins U+2028 and U+2029, among others.
    if text.bytes().any(|byte| byte < b' ' || matches!(byte, b'"' | b'\\' | 0xe2)) {
        escaped(out, text);
    } else {
        out.put(text.as_bytes());
    }
    out.put(b"\"");
}

fn escaped(out: &mut impl Sink, text: &str) {
    for part in text.split_inclusive(needs_escape) {
        let last = part.chars().next_back().filter(|&char| needs_escape(char));
        let plain = part.len() - last.map_or(0, char::len_utf8);
        out.put(part.as_bytes().get(..plain).unwrap_or_default());
        match last {
            None => {}
            Some('"') => out.put(b"\\\""),
            Some('\\') => out.put(b"\\\\"),
            Some('\n') => out.put(b"\\n"),
            Some('\r') => out.put(b"\\r"),
            Some('\t') => out.put(b"\\t"),
            Some(char) => out.put(format!("\\u{:04x}", u32::from(char)).as_bytes()),
        }
    }
}

fn needs_escape(char: char) -> bool {
    char < ' ' || matches!(char, '"' | '\\' | '\u{2028}' | '\u{2029}')
}

fn decimal(out: &mut impl Sink, mut value: u64) {
    const DIGITS: usize = 20; // of u64::MAX
    let mut text = [0; DIGITS];
    let mut used = 0;
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
        used += 1;
        if value == 0 {
            break;
        }
    }
    out.put(text.split_at(DIGITS - used).1);
}
