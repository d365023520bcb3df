//! Faults on the time line of a plan: a row of bars for each, and what it is.

use serde::Serialize;

use super::outline::number;
use super::style::{Style, Tone};
use crate::units::plural;

/// Activations that are told one by one; of more, the first and their number.
const TOLD: usize = 3;

/// A fault of a plan.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FaultOutline {
    /// Its name.
    pub name: String,
    /// `network`, `message`, `device`, `service` or `command`.
    pub layer: String,
    /// What goes wrong, in the scenario's word.
    pub kind: String,
    /// Devices it hits; 0 where it does not act on single devices.
    pub devices: u32,
    /// Start and end of each activation, seconds; empty: only by hand.
    #[serde(rename = "spells")]
    pub activations: Vec<(f64, f64)>,
}

/// A row for each fault on a time line of `columns` columns, of which the first begins at `first_s` and each lasts `step_s`.
pub(super) fn rows(
    faults: &[FaultOutline],
    (columns, first_s, step_s): (usize, f64, f64),
    style: Style,
) -> Vec<String> {
    let column = |at: f64| (((at - first_s) / step_s).max(0.0) as usize).min(columns.saturating_sub(1));
    let (bar, point) = if style.ascii { ('=', 'x') } else { ('━', '×') };
    let row = |(nth, fault): (usize, &FaultOutline)| {
        let mut cells = vec![' '; columns];
        for (from, until) in &fault.activations {
            let mark = if until > from { bar } else { point };
            let last = if until > from { column(until - step_s * 1e-6) } else { column(*from) };
            if let Some(cells) = cells.get_mut(column(*from)..=last) {
                cells.fill(mark);
            }
        }
        let bars: String = cells.into_iter().collect();
        format!("{:>9} {}", nth + 1, style.paint(bars.trim_end(), Tone::Warning))
    };
    faults.iter().enumerate().map(row).collect()
}

/// What each fault is, in a line.
pub(super) fn legend(faults: &[FaultOutline], style: Style) -> Vec<String> {
    let line = |(nth, fault): (usize, &FaultOutline)| {
        let devices = match fault.devices {
            0 => String::new(),
            devices => style.spoken(&format!(", {}", plural(devices.into(), "device"))),
        };
        format!("{}  {}: {}{devices}, {}", nth + 1, fault.name, fault.kind, when(fault, style))
    };
    faults.iter().enumerate().map(line).collect()
}

fn when(fault: &FaultOutline, style: Style) -> String {
    let one = |(from, until): &(f64, f64)| {
        if until > from {
            format!("{} s to {} s", number(style, *from), number(style, *until))
        } else {
            format!("at {} s", number(style, *from))
        }
    };
    match fault.activations.as_slice() {
        [] => "only by hand".to_owned(),
        [first, second, ..] if fault.activations.len() > TOLD => {
            let every = number(style, second.0 - first.0);
            format!("{}, every {every} s, {} times", one(first), fault.activations.len())
        }
        activations => activations.iter().map(one).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(name: &str, devices: u32, activations: &[(f64, f64)]) -> FaultOutline {
        let (layer, kind) = ("network".to_owned(), "latency".to_owned());
        FaultOutline { name: name.into(), layer, kind, devices, activations: activations.to_vec() }
    }

    #[test]
    fn every_fault_has_a_row_and_a_line() {
        let often: Vec<_> = (0..5).map(|nth| (f64::from(nth) * 2.0, f64::from(nth) * 2.0 + 0.5)).collect();
        let faults = [
            fault("slow", 1_200, &[(2.0, 4.0)]),
            fault("cut", 1, &[(5.0, 5.0)]),
            fault("often", 0, &often),
            fault("hand", 3, &[]),
        ];
        assert_eq!(
            rows(&faults, (10, 0.0, 1.0), Style::PLAIN),
            ["        1   ==", "        2      x", "        3 = = = = =", "        4 "]
        );
        assert_eq!(
            legend(&faults, Style::PLAIN),
            [
                "1  slow: latency, 1,200 devices, 2 s to 4 s",
                "2  cut: latency, 1 device, at 5 s",
                "3  often: latency, 0 s to 0.5 s, every 2 s, 5 times",
                "4  hand: latency, 3 devices, only by hand",
            ]
        );
    }
}
