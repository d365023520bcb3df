//! Figures as Prometheus has them. What squall tells of itself is [`Family`]s of samples, written in either of its formats; pages of
//! others are read by [`read`].

mod exposition;
mod family;
mod format;
mod histogram;
mod protobuf;
mod selection;
mod text;

pub(crate) use exposition::{SeriesKind, SeriesSample, read};
pub(crate) use family::{Family, Kind, Value};
pub(crate) use format::encode;
pub(crate) use histogram::TimeHistogram;
pub(crate) use selection::Selection;
