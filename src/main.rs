//! The `squall` binary: argv in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    squall::cli::main()
}
