//! A hash of names that is the same in every process and with every start, for who goes where.

/// FNV-1a of `bytes`. Its low bits mix best: spread them before the high ones are used.
pub(super) fn fnv1a(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes
        .into_iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of the authors' test suite (draft-eastlake-fnv, appendix C).
    #[test]
    fn hashes_are_those_that_were_published() {
        for (text, expected) in
            [("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8)]
        {
            assert_eq!(fnv1a(text.bytes()), expected, "{text}");
        }
    }
}
