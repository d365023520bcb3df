//! One source of figures: how it is asked, and what it says.

use std::fs;
use std::time::Duration;

use super::series::{Reading, Series};
use crate::clock::{Accounts, Monotonic, Tick};
use crate::metric::{self, Selection, SeriesKind, SeriesSample};
use crate::protocol::scrape::Scraper;
use crate::scenario::{Scrape, ScrapeSource};

/// How long a page may be waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// A source, and what is known of it so far.
#[derive(Debug)]
pub(super) struct Source {
    scrape: Scrape,
    /// What fetches its page, once its host has been looked up; of the bundled service from the beginning.
    scraper: Option<Scraper>,
    series: Series,
    /// When the process was started that was read last.
    started: Option<u64>,
}

/// What a source said.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) at: Tick,
    pub(super) readings: Vec<Reading>,
    /// Something to be noted besides: `scrape_restarted` and why.
    pub(super) restarted: Option<String>,
}

impl Source {
    pub(super) fn new(scrape: Scrape, bundled: Option<Scraper>) -> Self {
        Self { scrape, scraper: bundled, series: Series::default(), started: None }
    }

    pub(super) const fn scrape(&self) -> &Scrape {
        &self.scrape
    }

    /// Whether there were more series than are kept.
    pub(super) const fn is_full(&self) -> bool {
        self.series.is_full
    }

    /// Asks it once.
    ///
    /// # Errors
    /// Why it said nothing, in a sentence.
    pub(super) async fn ask(&mut self, clock: Monotonic) -> Result<Told, String> {
        match &self.scrape.source {
            ScrapeSource::Page { .. } | ScrapeSource::Bundled => {
                let page = tokio::time::timeout(PATIENCE, self.page()).await;
                let page = page.map_err(|_| format!("no page within {} s", PATIENCE.as_secs()))??;
                let at = clock.now();
                let readings = self.read(&page, at)?;
                Ok(Told { at, readings, restarted: None })
            }
            ScrapeSource::Process(pid) => self.account(*pid, clock),
            ScrapeSource::PidFile(path) => {
                let shown = path.display();
                let text =
                    fs::read_to_string(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
                let number = text.trim().parse();
                self.account(number.map_err(|_| format!("{shown} holds no number of a process"))?, clock)
            }
        }
    }

    async fn page(&mut self) -> Result<String, String> {
        if self.scraper.is_none()
            && let ScrapeSource::Page { url, headers, tls } = &self.scrape.source
        {
            let settings = tls.as_ref().map(|tls| tls.settings.clone()).unwrap_or_default();
            let shown = tls.as_ref().and_then(|tls| tls.identities.of(0)).cloned();
            let identities = shown.into_iter().collect();
            let scraper = Scraper::at(url.value(), url.written(), headers.clone(), (&settings, identities))?;
            self.scraper = Some(scraper);
        }
        let scraper = self.scraper.as_ref().ok_or("the bundled service is not the target")?;
        scraper.fetch().await
    }

    fn read(&mut self, page: &str, at: Tick) -> Result<Vec<Reading>, String> {
        let (mut readings, series) = (Vec::new(), &mut self.series);
        let select: &Selection = &self.scrape.select;
        let take = |sample: SeriesSample<'_>| {
            if select.takes(&sample) {
                readings.extend(series.take((sample.name, sample.labels), sample.kind, (at, sample.value)));
            }
        };
        metric::read(page, take).map_err(|error| error.to_string())?;
        Ok(readings)
    }

    fn account(&mut self, pid: u32, clock: Monotonic) -> Result<Told, String> {
        let accounts = Accounts::of(pid).map_err(|error| error.to_string())?;
        let at = clock.now();
        let before = self.started.replace(accounts.started);
        let is_other = before.is_some_and(|started| started != accounts.started);
        if is_other {
            self.series.restart();
        }
        let select = &self.scrape.select;
        let mut readings = Vec::new();
        for (name, kind, value) in figures(&accounts) {
            let Some(value) = value else { continue };
            let sample = SeriesSample { name, labels: "", kind, value };
            if select.takes(&sample) {
                readings.extend(self.series.take((name, ""), kind, (at, value)));
            }
        }
        Ok(Told { at, readings, restarted: is_other.then(|| format!("process {pid} is another one now")) })
    }
}

/// The accounts of a process, by the names that Prometheus's client libraries give them.
fn figures(accounts: &Accounts) -> [(&'static str, SeriesKind, Option<f64>); 4] {
    let number = |value: Option<u64>| value.map(|value| value as f64);
    [
        ("process_cpu_seconds_total", SeriesKind::Counter, Some(accounts.cpu.as_secs_f64())),
        ("process_resident_memory_bytes", SeriesKind::Gauge, number(accounts.resident_bytes)),
        ("process_open_fds", SeriesKind::Gauge, number(accounts.descriptors)),
        ("process_threads", SeriesKind::Gauge, number(Some(accounts.threads))),
    ]
}
