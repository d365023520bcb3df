//! `[target]`: where readings go.

use std::sync::LazyLock;

use super::tls::TLS;

use crate::language::{Field, Fields, Kind, Section};
use crate::protocol::protocols;
use crate::scenario::model::Target;

pub(super) static TARGET: LazyLock<Section> = LazyLock::new(|| Section {
    title: "[target]",
    about: "addresses of a service of yours; a protocol without one goes to the bundled reference system, if that speaks it",
    by: None,
    fields: protocols()
        .map(|facts| Field::optional(facts.word(), Kind::Address(&facts.target), facts.target_about))
        .chain([Field::optional("tls", Kind::Table(&TLS), TLS.about)])
        .collect::<Vec<_>>()
        .leak(),
});

pub(super) fn target(fields: &Fields) -> Target {
    let stated = protocols().filter_map(|facts| Some((facts.protocol, fields.text(facts.protocol.name())?)));
    Target(stated.collect())
}
