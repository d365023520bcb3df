//! Figures as Prometheus takes them: families of samples that differ by their labels.

use super::histogram::TimeHistogram;

/// What a family's samples are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// What a sample says.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Number(f64),
    Times(Box<TimeHistogram>),
}

/// One figure, with what tells it from the others of its family.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) labels: Vec<(&'static str, String)>,
    pub(crate) value: Value,
}

/// Figures of one name.
#[derive(Debug, Clone)]
pub(crate) struct Family {
    /// In full; of a counter without `_total`.
    pub(crate) name: String,
    pub(crate) help: &'static str,
    pub(crate) kind: Kind,
    pub(crate) samples: Vec<Sample>,
}

impl Family {
    /// A family of the service's own, without samples.
    pub(crate) fn of(kind: Kind, name: &str, help: &'static str) -> Self {
        Self { name: format!("squall_{name}"), help, kind, samples: Vec::new() }
    }

    /// A family of every process, as Prometheus's client libraries name them, with its one sample.
    pub(crate) fn process(kind: Kind, name: &str, help: &'static str, value: f64) -> Self {
        Self { name: format!("process_{name}"), ..Self::of(kind, "", help) }.with([], value)
    }

    /// Adds a sample.
    pub(crate) fn with<const N: usize>(mut self, labels: [(&'static str, &str); N], value: f64) -> Self {
        self.add(labels, Value::Number(value));
        self
    }

    /// The same, one for each of `samples`, told apart by `label`.
    pub(crate) fn by<'v>(
        self,
        label: &'static str,
        samples: impl IntoIterator<Item = (&'v str, f64)>,
    ) -> Self {
        samples.into_iter().fold(self, |family, (word, value)| family.with([(label, word)], value))
    }

    pub(crate) fn add<const N: usize>(&mut self, labels: [(&'static str, &str); N], value: Value) {
        let labels = labels.into_iter().map(|(name, word)| (name, word.to_owned())).collect();
        self.samples.push(Sample { labels, value });
    }
}
