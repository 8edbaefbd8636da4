//! Applying patches.

use super::{BadPatch, number};

/// What `patch` makes out of `base`.
///
/// Takes memory for what is made only, and never more than `most` bytes.
///
/// # Errors
///
/// [`BadPatch`] if `patch` is none, would make more than `most` bytes, or was
/// not made for `base`.
pub fn decode(base: &[u8], patch: &[u8], most: usize) -> Result<Vec<u8>, BadPatch> {
    let mut rest = patch;
    let (length, after) = segment(&mut rest)?;
    if after != b'\n' {
        return Err(BadPatch::Syntax);
    }
    if length > most {
        return Err(BadPatch::TooLong);
    }
    let mut made = Vec::new();
    loop {
        let (number, after) = segment(&mut rest)?;
        let bytes = match after {
            b';' => return check(made, length, number, rest),
            b'@' => match segment(&mut rest)? {
                (offset, b',') => range(base, offset, number).ok_or(BadPatch::OutOfBase)?,
                _ => return Err(BadPatch::Syntax),
            },
            b':' => {
                let (bytes, left) = rest.split_at_checked(number).ok_or(BadPatch::Syntax)?;
                rest = left;
                bytes
            }
            _ => return Err(BadPatch::Syntax),
        };
        if bytes.len() > length - made.len() {
            return Err(BadPatch::Length);
        }
        made.extend_from_slice(bytes);
    }
}

/// A number and the byte behind it.
fn segment(rest: &mut &[u8]) -> Result<(usize, u8), BadPatch> {
    let number = number::take(rest).ok_or(BadPatch::Syntax)?;
    let (&after, left) = rest.split_first().ok_or(BadPatch::Syntax)?;
    *rest = left;
    Ok((number, after))
}

fn range(base: &[u8], offset: usize, length: usize) -> Option<&[u8]> {
    base.get(offset..offset.checked_add(length)?)
}

fn check(made: Vec<u8>, length: usize, checksum: usize, rest: &[u8]) -> Result<Vec<u8>, BadPatch> {
    if !rest.is_empty() {
        Err(BadPatch::Syntax)
    } else if made.len() != length {
        Err(BadPatch::Length)
    } else if checksum != number::checksum(&made) as usize {
        Err(BadPatch::Checksum)
    } else {
        Ok(made)
    }
}
