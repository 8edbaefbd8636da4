//! How deeply JSON text is nested.

use crate::MAX_DEPTH;

/// How deeply `json` is nested, `[]` and `{}` being one level each.
///
/// Exact for valid JSON beyond [`MAX_DEPTH`]; below, the answer may be too
/// large but stays below: text with so few openings needs no closer look. For
/// invalid JSON it is exact up to where the text stops being valid, which is
/// as far as a parser gets.
pub(crate) fn nesting(json: &[u8]) -> usize {
    let openings = json.iter().filter(|byte| matches!(byte, b'{' | b'[')).count();
    if openings <= MAX_DEPTH { openings } else { deepest(json) }
}

fn deepest(json: &[u8]) -> usize {
    let mut bytes = json.iter();
    let mut level = 0_usize;
    let mut deepest = 0;
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => {
                level += 1;
                deepest = deepest.max(level);
            }
            b'}' | b']' => level = level.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    deepest
}

fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_strings_and_side_by_side_do_not_count() {
        let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert_eq!(nesting(deep(MAX_DEPTH).as_bytes()), MAX_DEPTH);
        assert_eq!(nesting(deep(MAX_DEPTH + 1).as_bytes()), MAX_DEPTH + 1);
        assert_eq!(nesting(deep(100_000).as_bytes()), 100_000);
        let wide = format!("[{}[]]", "[],".repeat(100));
        assert_eq!(nesting(wide.as_bytes()), 2);
        let quoted = format!(r#"["\\","\"{}"]"#, "[{".repeat(100));
        assert_eq!(nesting(quoted.as_bytes()), 1);
    }
}
