//! What can be typed behind `squall watch`.

use std::net::SocketAddr;

use crate::cli::exit::Exit;
use crate::units::Span;

/// Columns and lines of a screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) struct Size {
    pub(in crate::cli) columns: u16,
    pub(in crate::cli) rows: u16,
}

#[derive(Debug, Clone, clap::Args)]
#[command(after_help = Exit::help(Exit::OF_TOOLS))]
pub(in crate::cli) struct WatchArgs {
    /// The run: its directory, or the id or the scenario of one under way [default: the newest one under way
    /// that was started in this directory]
    #[arg(value_name = "RUN")]
    pub(in crate::cli) run: Option<String>,

    /// Replay a run that has ended, from this time on: 15s
    #[arg(long, value_name = "SPAN")]
    pub(in crate::cli) at: Option<Span>,

    /// Replay it so many times as fast as it was, from its beginning or from --at on
    #[arg(long, value_name = "TIMES", value_parser = parse_speed)]
    pub(in crate::cli) speed: Option<f64>,

    /// Print one frame as text and leave; so it is too where standard output is not a terminal
    #[arg(long)]
    pub(in crate::cli) still: bool,

    /// Columns and lines of that frame
    #[arg(long, value_name = "COLUMNSxLINES", default_value = "80x24", value_parser = parse_size)]
    pub(in crate::cli) size: Size,

    /// Serve the run as a page that follows it instead, at this address: 127.0.0.1:0 takes a free port. To be read
    /// only, but for the address with a token that switches faults; whoever reaches another address than a loopback
    /// one sees the run
    #[arg(long, value_name = "IP:PORT", conflicts_with_all = ["at", "speed", "still"])]
    pub(in crate::cli) live_on: Option<SocketAddr>,

    /// Belongs to the run that this process drives
    #[arg(long, hide = true, value_name = "PROCESS")]
    pub(in crate::cli) of: Option<u32>,
}

fn parse_speed(text: &str) -> Result<f64, String> {
    let speed: Option<f64> = text.trim_start_matches(['x', '×']).parse().ok();
    speed
        .filter(|speed| (0.01..=10_000.0).contains(speed))
        .ok_or_else(|| "write a number from 0.01 to 10000, for example 8".to_owned())
}

fn parse_size(text: &str) -> Result<Size, String> {
    let wrong = || "write columns and lines from 1x1 to 500x200, for example 120x40".to_owned();
    let (columns, rows) = text.split_once('x').ok_or_else(wrong)?;
    let within = |text: &str, most: u16| text.parse().ok().filter(|size| (1..=most).contains(size));
    match (within(columns, 500), within(rows, 200)) {
        (Some(columns), Some(rows)) => Ok(Size { columns, rows }),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_speeds_stay_within_reason() {
        assert_eq!(parse_size("120x40"), Ok(Size { columns: 120, rows: 40 }));
        for wrong in ["120", "x", "0x4", "120x40x2", "501x40", "-1x3"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
        assert_eq!((parse_speed("8"), parse_speed("×0.5")), (Ok(8.0), Ok(0.5)));
        for wrong in ["", "0", "inf", "nan", "-1", "1e9"] {
            assert!(parse_speed(wrong).is_err(), "{wrong}");
        }
    }
}
