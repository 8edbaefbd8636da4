//! A patch applies or is refused, within the bound that the caller sets; and what `encode` makes
//! applies again.
//!
//! An input is two bytes that are the length of the base, the base, and then a patch for it, which
//! serves as a target too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sealcast_wire::delta::{decode, encode, encode_text};

const MOST: usize = 4096;

fuzz_target!(|input: &[u8]| {
    let Some((length, rest)) = input.split_first_chunk() else {
        return;
    };
    let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
    let (base, patch) = rest.split_at(length);

    if let Ok(made) = decode(base, patch, MOST) {
        assert!(made.len() <= MOST, "{} bytes", made.len());
        assert!(made.capacity() <= 2 * MOST, "room for {} bytes", made.capacity());
    }

    let target = patch;
    if let Some(patch) = encode(base, target) {
        assert!(patch.len() < target.len(), "no smaller");
        assert_eq!(decode(base, &patch, target.len()).as_deref(), Ok(target));
        assert!(decode(base, &patch, target.len() - 1).is_err(), "beyond the bound");
    }
    if let (Ok(base), Ok(target)) = (str::from_utf8(base), str::from_utf8(target))
        && let Some(patch) = encode_text(base, target)
    {
        assert!(patch.len() < target.len(), "no smaller");
        let made = decode(base.as_bytes(), patch.as_bytes(), target.len());
        assert_eq!(made.as_deref(), Ok(target.as_bytes()));
    }
});
