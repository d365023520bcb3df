//! What the devices of a fleet met that was, or may have been, another run's: the counts.

use std::cell::Cell;

use crate::record::Encounters;
use crate::scenario::{Fleet, Model};

/// What one worker's devices of a fleet met.
#[derive(Debug)]
pub(super) struct EncounterCounter {
    /// Whether what answers its readings can come from anybody who publishes, on topics that other runs share.
    pub(super) is_open: bool,
    /// Whether its devices have identifiers that another run may have, too.
    pub(super) shares_ids: bool,
    pub(super) met: Cell<Encounters>,
}

impl EncounterCounter {
    pub(super) fn new(fleet: &Fleet, token_is_drawn: bool) -> Self {
        let listens = fleet.model == Model::Subscriber;
        let is_open = (fleet.facts.shares_topics || listens) && !fleet.exchange.is_isolated(fleet.close);
        let shares_ids = fleet.exchange.has_shared_ids(token_is_drawn);
        Self { is_open, shares_ids, met: Cell::default() }
    }

    pub(super) fn add(&self, more: Encounters) {
        let mut met = self.met.get();
        met.add(more);
        self.met.set(met);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Overrides, Scenario};

    #[test]
    fn identifiers_are_anothers_too_where_they_name_no_run_or_one_whose_token_was_not_drawn() {
        for (protocol, mqtt, with_a_drawn_token, with_another) in [
            ("mqtt", "", false, true),
            ("mqtt", r#"mqtt = { client_id = "{{device}}-{{run}}" }"#, false, true),
            ("mqtt", r#"mqtt = { client_id = "{{device}}" }"#, true, true),
            ("mqtt", r#"mqtt = { client_id = "" }"#, false, false),
            ("ws", "", false, false),
        ] {
            let text = format!(
                "[scenario]\nname = \"t\"\n[[phase]]\nname = \"p\"\nduration = \"1s\"\n\
                 [fleet.a]\nprotocol = \"{protocol}\"\ndevices = 1\nrate = \"1/s\"\n{mqtt}\n"
            );
            let scenario = Scenario::parse("t.toml", &text, &Overrides::default()).unwrap();
            let shares = |is_drawn| EncounterCounter::new(&scenario.fleets[0], is_drawn).shares_ids;
            assert_eq!(
                (shares(true), shares(false)),
                (with_a_drawn_token, with_another),
                "{protocol} {mqtt}"
            );
        }
    }
}
