//! The text in a file's bytes: UTF-8, or what they are instead.

/// The text in `bytes`, which are to be a `what`; otherwise what is wrong with them, and what to do.
pub(super) fn text(bytes: Vec<u8>, what: &str) -> Result<String, (String, String)> {
    let convert = |from: &str| format!("save it as UTF-8, for example with `iconv -f {from} -t UTF-8`");
    if let Some(form) = utf16(&bytes) {
        return Err((format!("it is {form}, not UTF-8"), convert(form)));
    }
    let bytes = match String::from_utf8(bytes) {
        Ok(text) => return Ok(text),
        Err(error) => error.into_bytes(),
    };
    let sound = bytes.utf8_chunks().next().map_or(0, |chunk| chunk.valid().len());
    let byte = bytes.get(sound).copied().unwrap_or_default();
    let line = bytes[..sound].split(|byte| *byte == b'\n').count();
    if bytes.contains(&0) {
        return Err((
            format!("it is not text: line {line} has the byte 0x{byte:02X}"),
            format!("give the path of a {what}"),
        ));
    }
    let meant = if byte >= 0xa0 { format!(", in Latin-1 `{}`", char::from(byte)) } else { String::new() };
    Err((
        format!("line {line} is not UTF-8: it has the byte 0x{byte:02X}{meant}"),
        format!("is the file Latin-1 or Windows-1252? {}", convert("WINDOWS-1252")),
    ))
}

/// Which UTF-16 the bytes are, if they are: by their mark, or by the zeros that plain letters have in it.
pub(super) fn utf16(bytes: &[u8]) -> Option<&'static str> {
    let is_zero = |pair: &[u8], nth: usize| pair.get(nth) == Some(&0) && pair.get(1 - nth) != Some(&0);
    let pairs = || bytes.chunks_exact(2).take(32);
    match bytes {
        [0xff, 0xfe, ..] => Some("UTF-16LE"),
        [0xfe, 0xff, ..] => Some("UTF-16BE"),
        [] | [_] => None,
        _ if pairs().all(|pair| is_zero(pair, 1)) => Some("UTF-16LE"),
        _ if pairs().all(|pair| is_zero(pair, 0)) => Some("UTF-16BE"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_encodings_are_named() {
        let wide =
            |text: &str, bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
        for (bytes, expected) in [
            (wide("\u{feff}a = 1", u16::to_le_bytes), "it is UTF-16LE, not UTF-8"),
            (wide("\u{feff}a = 1", u16::to_be_bytes), "it is UTF-16BE, not UTF-8"),
            (wide("a = 1", u16::to_le_bytes), "it is UTF-16LE, not UTF-8"),
            (wide("a = 1", u16::to_be_bytes), "it is UTF-16BE, not UTF-8"),
            (
                b"a = 1\nb = \"\xe9\"".to_vec(),
                "line 2 is not UTF-8: it has the byte 0xE9, in Latin-1 `\u{e9}`",
            ),
            (b"b = \x93x\x94".to_vec(), "line 1 is not UTF-8: it has the byte 0x93"),
            (b"\x7fELF\0\0\xff".to_vec(), "it is not text: line 1 has the byte 0xFF"),
        ] {
            let (wrong, remedy) = text(bytes, "budget file").unwrap_err();
            assert_eq!(wrong, expected);
            assert!(
                remedy.contains("UTF-8") || remedy.contains("give the path of a budget file"),
                "{remedy}"
            );
        }
        assert_eq!(text("µ = \"é\"".into(), "scenario file").unwrap(), "µ = \"é\"");
        assert_eq!(text(Vec::new(), "scenario file").unwrap(), "");
    }
}
