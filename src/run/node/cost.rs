//! What a reading and a connection cost, as measured: read from the one file that has it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// The figures of `cost.toml`, where each says where it is from.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cost {
    /// Of a reading, by protocol.
    pub(crate) reading: BTreeMap<String, Measured>,
    /// Of a reading over TLS, whatever the protocol.
    pub(crate) tls: Measured,
    pub(crate) crowd: Crowd,
    /// TCP segments of a reading and its answer, both ways together, by protocol.
    pub(crate) segments: BTreeMap<String, f64>,
    pub(crate) connection: ConnectionCost,
    pub(crate) node: NodeFacts,
}

/// Processor time of a reading, and what says so.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Measured {
    /// Microseconds.
    pub(crate) us: f64,
    #[cfg_attr(not(test), expect(dead_code, reason = "read by the tests that hold figures and page to it"))]
    pub(crate) from: Source,
}

/// How a reading's cost grows with the devices of a core.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Crowd {
    /// Among 1 000 devices, microseconds.
    pub(crate) few_us: f64,
    /// Among 10 000.
    pub(crate) many_us: f64,
    #[cfg_attr(not(test), expect(dead_code, reason = "read by the tests that hold figures and page to it"))]
    pub(crate) from: Source,
}

/// The stored result that a figure is from.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(not(test), expect(dead_code, reason = "read by the tests that hold figures and page to it"))]
pub(crate) struct Source {
    /// The stem of its file under `results/peers`.
    pub(crate) result: String,
    /// The heading of its table.
    pub(crate) part: String,
}

/// What a connection costs besides squall's own memory.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConnectionCost {
    pub(crate) kernel_bytes: u64,
}

/// What a machine gives to one process.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeFacts {
    /// Share of its processor time that is planned for.
    pub(crate) share: f64,
    pub(crate) descriptors: u64,
    /// Ephemeral ports of one of its addresses.
    pub(crate) ports: u64,
    /// Bytes.
    pub(crate) memory_per_core: u64,
    pub(crate) memory_share: f64,
    pub(crate) segments_per_s: f64,
    /// Sizes that are reckoned with where none is named.
    pub(crate) cores: Vec<u32>,
}

/// The figures.
pub(crate) static COST: LazyLock<Cost> =
    LazyLock::new(|| toml::from_str(include_str!("cost.toml")).expect("the file is part of the program"));

impl Cost {
    /// Processor time of a reading among many devices, seconds. A protocol that has not been measured costs as much as the dearest
    /// that has.
    pub(crate) fn seconds(&self, protocol: &str, tls: bool) -> f64 {
        let dearest = self.reading.values().map(|measured| measured.us).fold(0.0, f64::max);
        let plain = self.reading.get(protocol).map_or(dearest, |measured| measured.us);
        let us = if tls { plain.max(self.tls.us) } else { plain };
        us * self.crowd.many_us / self.crowd.few_us / 1e6
    }
}

impl Cost {
    /// TCP segments of a reading and its answer; of a protocol that has not been measured, the most of those that have.
    pub(crate) fn segments(&self, protocol: &str) -> f64 {
        let most = self.segments.values().copied().fold(0.0, f64::max);
        self.segments.get(protocol).copied().unwrap_or(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of the table in a stored result.
    fn rows(Source { result, part }: &Source) -> Vec<Vec<String>> {
        let path = format!("{}/results/peers/{result}.md", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap();
        let (_, table) =
            text.split_once(&format!("### {part}\n")).unwrap_or_else(|| panic!("{path}: {part}"));
        let rows = table.lines().skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty());
        rows.map(|row| row.split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
    }

    #[test]
    fn every_figure_is_that_of_the_result_it_names() {
        let all = COST.reading.values().chain([&COST.tls]);
        for Measured { us, from } in all {
            let rows = rows(from);
            let own = rows.iter().find(|row| row[1] == "squall").unwrap();
            let place = rows[0].iter().position(|name| name.starts_with("CPU per message")).unwrap();
            assert_eq!(own[place].parse(), Ok(*us), "{from:?}");
        }
        let Crowd { few_us, many_us, from } = &COST.crowd;
        for (devices, us) in [("1,000", few_us), ("10,000", many_us)] {
            let rows = rows(from);
            let row = rows.iter().find(|row| row[1] == devices).unwrap();
            assert_eq!(row[2].parse(), Ok(*us), "{devices}");
        }
    }
}
