//! A chart of the planned rate in a terminal: one column per stretch of the time line, in eighths of a line.

use super::style::{Style, Tone};

const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ROWS: usize = 8;

/// What happens at a column: a letter on the line of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flag {
    pub(super) column: usize,
    pub(super) letter: char,
}

/// `heights` as columns under a scale from 0 to the largest, with a line of flags above where there are any.
pub(super) fn chart(heights: &[f64], flags: &[Flag], style: Style) -> Vec<String> {
    let most = heights.iter().copied().fold(0.0, f64::max);
    let label = |value: f64| format!("{:>9} ", super::figure::count(value.round() as u64, style));
    let margin = " ".repeat(10);
    let mut lines = Vec::with_capacity(ROWS + 2);
    if !flags.is_empty() {
        let mut row = vec![' '; heights.len()];
        for flag in flags {
            // Two at one place: the later stands beside it.
            let from = flag.column.min(row.len().saturating_sub(1));
            let free = (from..row.len()).find(|at| row[*at] == ' ').unwrap_or(from);
            row[free] = flag.letter;
        }
        let row: String = row.into_iter().collect();
        lines.push(margin.clone() + &style.paint(row.trim_end(), Tone::Warning));
    }
    for row in (0..ROWS).rev() {
        let bar: String = heights
            .iter()
            .map(|height| {
                let filled = if most > 0.0 { height / most * (ROWS * 8) as f64 } else { 0.0 };
                // Something that is sent at all is seen.
                let filled = if *height > 0.0 { filled.max(1.0) } else { 0.0 };
                let eighths = (filled.round() as usize).saturating_sub(row * 8).min(8);
                match style.ascii {
                    true if eighths >= 4 || (row == 0 && eighths > 0) => '#',
                    true => ' ',
                    false => EIGHTHS[eighths],
                }
            })
            .collect();
        let scale = if row == ROWS - 1 { label(most) } else { margin.clone() };
        lines.push(scale + bar.trim_end());
    }
    let floor = if style.ascii { "-" } else { "─" };
    lines.push(label(0.0) + &floor.repeat(heights.len()));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_high_as_their_share_and_flags_stand_above_them() {
        let flags = [Flag { column: 1, letter: 'A' }, Flag { column: 1, letter: 'B' }];
        let lines = chart(&[0.0, 4.0, 8.0, 0.01], &flags, Style { colour: false, ascii: false });
        assert_eq!(
            lines,
            [
                "           AB",
                "        8   █",
                "            █",
                "            █",
                "            █",
                "           ██",
                "           ██",
                "           ██",
                "           ██▁",
                "        0 ────",
            ]
        );
        let ascii = chart(&[1.0, 0.0], &[], Style::PLAIN);
        assert_eq!(ascii.len(), 9);
        assert_eq!(ascii[0], "        1 #");
        assert!(chart(&[], &[], Style::PLAIN).len() == 9);
    }
}
