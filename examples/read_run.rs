//! Reads the files of a run and prints the p99 response time of every fleet in every measured phase.
//!
//! ```sh
//! cargo run --example read_run -- results/quickstart/2026-11-20T21-41-15Z
//! ```

use std::error::Error;
use std::io::{self, Write};
use std::path::Path;

use squall::{Quantile, Report};

/// Prints the figures of the run in `directory` to `out`.
pub(crate) fn print(directory: &Path, out: &mut dyn Write) -> Result<(), Box<dyn Error>> {
    let report = Report::load(directory)?;
    for row in report.summary.iter().filter(|row| row.is_measured()) {
        let p99 = match row.figures.percentile(Quantile::P99) {
            // A reading that failed counts as at least its time-out.
            Some(p99) if p99.censored => format!("more than {:.3} ms", p99.ns as f64 / 1e6),
            Some(p99) => format!("{:.3} ms", p99.ns as f64 / 1e6),
            None => "too few samples".to_owned(),
        };
        writeln!(out, "{} {} ({}): p99 {p99}", row.phase, row.fleet, row.protocol)?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args().nth(1).ok_or("usage: read_run RUN_DIRECTORY")?;
    print(Path::new(&directory), &mut io::stdout())
}
