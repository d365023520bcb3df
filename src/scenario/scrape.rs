//! Which of the target's own figures are taken while a run lasts.

use std::path::PathBuf;
use std::sync::Arc;

use super::model::TlsPlan;
use crate::language::Text;
use crate::metric::Selection;
use crate::protocol::scrape::Headers;
use crate::units::Span;

/// A source of figures, which is asked again and again.
#[derive(Debug, Clone)]
pub(crate) struct Scrape {
    /// What it is called in files and on the page.
    pub(crate) name: String,
    pub(crate) source: ScrapeSource,
    /// From one time that it is asked to the next.
    pub(crate) every: Span,
    /// What of its figures is wanted.
    pub(crate) select: Selection,
}

/// Where figures come from.
#[derive(Debug, Clone)]
pub(crate) enum ScrapeSource {
    /// A page in one of Prometheus's text formats.
    Page { url: Text, headers: Headers, tls: Option<Arc<TlsPlan>> },
    /// The page of the bundled service.
    Bundled,
    /// The accounts of a process of this machine.
    Process(u32),
    /// The same, of the one whose number stands in this file.
    PidFile(PathBuf),
}

impl Scrape {
    /// Whether it is of the bundled service.
    pub(crate) const fn is_bundled(&self) -> bool {
        matches!(self.source, ScrapeSource::Bundled)
    }
}
