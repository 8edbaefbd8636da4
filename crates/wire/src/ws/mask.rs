//! Masking. RFC 6455, 5.3.

/// Masks or unmasks `bytes`, of which the first is masked by `key`'s first byte.
pub(super) fn apply(key: [u8; 4], bytes: &mut [u8]) {
    if key == [0; 4] {
        return;
    }
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (chunks, tail) = bytes.as_chunks_mut::<8>();
    for chunk in chunks {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in tail.iter_mut().zip(key.iter().cycle()) {
        *byte ^= mask;
    }
}

/// The key as it goes on after `bytes` bytes.
pub(super) fn advanced(mut key: [u8; 4], bytes: usize) -> [u8; 4] {
    key.rotate_left(bytes % 4);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_byte_by_byte_at_any_length_and_phase() {
        let key = [1, 20, 130, 250];
        let plain: Vec<u8> = (0..=255).collect();
        let expected: Vec<u8> =
            plain.iter().zip(key.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        for split in 0..=plain.len() {
            let mut bytes = plain.clone();
            let (start, end) = bytes.split_at_mut(split);
            apply(key, start);
            apply(advanced(key, split), end);
            assert_eq!(bytes, expected, "split at {split}");
        }
    }
}
