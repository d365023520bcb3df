//! What is written to the terminal: a frame at once, and its colours as the terminal knows them.

use std::io::{self, Write};

/// Gathers a frame, and writes it to `out` when it is flushed.
///
/// The library writes the sixteen colours, too, as the first of 256, which a terminal that has no more than sixteen may take for
/// other orders; such a terminal gets their own numbers.
#[derive(Debug)]
pub(super) struct FrameWriter<W> {
    out: W,
    frame: Vec<u8>,
    has_sixteen: bool,
}

impl<W: Write> FrameWriter<W> {
    pub(super) const fn new(out: W, has_sixteen: bool) -> Self {
        Self { out, frame: Vec::new(), has_sixteen }
    }
}

impl<W: Write> Write for FrameWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.frame.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let written = if self.has_sixteen {
            self.out.write_all(of_sixteen(&String::from_utf8_lossy(&self.frame)).as_bytes())
        } else {
            self.out.write_all(&self.frame)
        };
        self.frame.clear();
        written?;
        self.out.flush()
    }
}

/// `frame` with colours 0 to 15 by their own numbers.
fn of_sixteen(frame: &str) -> String {
    const SEQUENCE: &str = "\x1b[";
    let mut out = String::with_capacity(frame.len());
    for (nth, part) in frame.split(SEQUENCE).enumerate() {
        if nth > 0 {
            out.push_str(SEQUENCE);
        }
        let end = part.find(|letter: char| !letter.is_ascii_digit() && letter != ';').unwrap_or(part.len());
        let (numbers, rest) = part.split_at(end);
        if nth > 0 && rest.starts_with('m') {
            out.push_str(&renumbered(numbers));
        } else {
            out.push_str(numbers);
        }
        out.push_str(rest);
    }
    out
}

/// The parameters of a sequence that sets colours: `38;5;12` becomes `94`.
fn renumbered(numbers: &str) -> String {
    let numbers: Vec<&str> = numbers.split(';').collect();
    let (mut out, mut rest) = (Vec::new(), numbers.as_slice());
    while let [first, after @ ..] = rest {
        let named = match (*first, after) {
            (ground @ ("38" | "48"), ["5", index, ..]) => named(ground, index),
            _ => None,
        };
        rest = if named.is_some() { after.get(2..).unwrap_or_default() } else { after };
        out.push(named.unwrap_or_else(|| (*first).to_owned()));
    }
    out.join(";")
}

/// The number that sets colour `index` in front (`38`) or behind; `None` for one beyond the sixteen.
fn named(ground: &str, index: &str) -> Option<String> {
    let (index, behind) = (index.parse::<u8>().ok()?, if ground == "48" { 10 } else { 0 });
    match index {
        0..8 => Some((30 + behind + index).to_string()),
        8..16 => Some((90 + behind + index - 8).to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_colours_go_by_their_own_numbers_and_all_else_stays() {
        let table = [
            ("\x1b[38;5;12;49mok\x1b[39;48;5;3m", "\x1b[94;49mok\x1b[39;43m"),
            ("\x1b[48;5;8m\x1b[38;5;0m", "\x1b[100m\x1b[30m"),
            ("\x1b[1m\x1b[2;5H38;5;1m\x1b[0m", "\x1b[1m\x1b[2;5H38;5;1m\x1b[0m"),
            ("38;5;1m\x1b[38;5;99m\x1b[38;2;1;2;3m\x1b[m", "38;5;1m\x1b[38;5;99m\x1b[38;2;1;2;3m\x1b[m"),
        ];
        for (frame, named) in table {
            for (has_sixteen, expected) in [(true, named), (false, frame)] {
                let mut writer = FrameWriter::new(Vec::new(), has_sixteen);
                // The library writes a sequence piece by piece.
                frame.bytes().for_each(|byte| writer.write_all(&[byte]).unwrap());
                assert!(writer.out.is_empty(), "a frame is written at once");
                writer.flush().unwrap();
                assert_eq!(String::from_utf8(writer.out).unwrap(), expected);
            }
        }
    }
}
