//! `squall watch` and `squall run --live` in a build without the live screen.

use super::CliError;
use super::exit::Exit;

/// What such a build says where the screen is asked for.
pub(super) const ABSENT: &str = "this build of squall has no live screen (feature `live`, on Unix)";

pub(super) fn watch(_: &args::WatchArgs) -> Result<Exit, CliError> {
    Err(CliError::failed(ABSENT))
}

pub(super) mod args {
    #[derive(Debug, Clone, clap::Args)]
    pub(in crate::cli) struct WatchArgs {
        /// The run
        #[arg(value_name = "RUN", num_args = 0.., allow_hyphen_values = true)]
        run: Vec<String>,
    }
}

pub(super) mod viewer {
    use std::net::SocketAddr;
    use std::path::Path;
    use std::sync::Arc;

    use super::ABSENT;
    use crate::cli::CliError;
    use crate::run::Observer;

    pub(in crate::cli) fn has_terminal() -> Result<bool, CliError> {
        Err(CliError::failed(ABSENT))
    }

    #[derive(Debug, Default)]
    pub(in crate::cli) struct Notes;

    impl Observer for Notes {}

    #[derive(Debug)]
    pub(in crate::cli) struct Door;

    impl Door {
        pub(in crate::cli) fn open(_: SocketAddr) -> Result<Self, CliError> {
            Err(CliError::failed(ABSENT))
        }
    }

    #[derive(Debug)]
    pub(in crate::cli) struct PageServer;

    impl PageServer {
        pub(in crate::cli) fn start(_: &Path, _: Door, _: Arc<dyn Observer>) -> Result<Self, CliError> {
            Err(CliError::failed(ABSENT))
        }
    }

    #[derive(Debug)]
    pub(in crate::cli) struct Viewer;

    impl Viewer {
        pub(in crate::cli) fn start(_: &Path, _: &Arc<Notes>) -> Result<Self, CliError> {
            Err(CliError::failed(ABSENT))
        }
    }
}
