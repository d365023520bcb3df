//! What a fleet of the scenario states about its requests and messages, read by the driver of its protocol.

use std::fmt;

use super::{Correlation, Identity, Misfit, Settings};
use crate::fleet::{Device, Format, Reading, RunFacts, Scope, Template};
use crate::language::{FieldValue, Fields, Refusal, Reporter, Text, quote, unfit};
use crate::record::{Close, MessagePattern, RunToken};
use crate::service::Topic;

/// The fields of a fleet, as far as its protocol is concerned.
#[derive(Debug)]
pub(crate) struct Stated<'f> {
    /// Those of the protocol's own table.
    pub own: &'f Fields,
    /// Channels that templates may name.
    pub channels: &'f [&'f str],
    /// Whether replies close its readings.
    pub reply: bool,
    /// Whether its devices only hear the readings of others.
    pub hears: bool,
    /// What its devices are to hear of which others, where it states a pattern.
    pub spread: Option<StatedSpread<'f>>,
    /// What the bundled service is to tell it, or to tell others of what it sends.
    pub topic: Option<StatedTopic>,
    /// How its readings are encoded.
    pub format: &'f Format,
}

/// A topic of the bundled service that a fleet names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StatedTopic {
    pub topic: Topic,
    /// Where it is in the fleet's protocol: a path, or an MQTT topic or filter.
    pub place: &'static str,
}

impl Stated<'_> {
    /// Where the topic is that the fleet names, if it names one; `keys` of its own table may not stand beside that.
    pub(super) fn told_place(&self, keys: &[&str], report: &mut Reporter<'_>) -> Option<Pattern> {
        let StatedTopic { place, .. } = self.topic?;
        self.own.refuse_given(keys, report, "does not go with `topic`, which says where");
        let written = Text::expanded(place, place);
        let template = template(&written, &[], Scope::Device).ok()?;
        Some(Pattern { template, written })
    }
}

/// What a fleet that only hears states of what it hears.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StatedSpread<'f> {
    pub pattern: MessagePattern,
    /// The fleet that hears.
    pub fleet: &'f str,
    /// The fleet that is heard; empty where it names none.
    pub from: &'f str,
}

/// What surrounds a reading on the wire. Templates see the device, and where stated the reading.
pub(crate) trait Exchange: fmt::Debug + Send + Sync {
    /// What a session of the fleet needs to know.
    fn settings(&self, usual: Settings) -> Settings;

    /// What a device says of itself when it connects. What names single readings is left for [`Self::place`].
    fn identity(&self, rendering: &Rendering<'_>, usual: Identity) -> Identity;

    /// The path or topic that readings go to, where the fleet states one.
    fn place(&self) -> Option<&Pattern>;

    /// The path or topic of a fleet that states none and whose target names none.
    fn usual_place(&self) -> Option<&'static str> {
        None
    }

    /// The topics that a subscriber hears.
    fn heard(&self) -> Option<&Pattern> {
        None
    }

    /// Whether what its devices listen to is one subscription that they share: each message is for one of them.
    fn shares(&self) -> bool {
        false
    }

    /// What is done at that place, in the protocol's word.
    fn method(&self, _subscribes: bool) -> Option<&str> {
        None
    }

    /// The fleet whose hearing closes its readings, where it is not the devices themselves.
    fn heard_by(&self) -> Option<&str> {
        None
    }

    /// Whether a reading can have a trace context beside its payload, though by its protocol not all can.
    fn traces_readings(&self) -> bool {
        false
    }

    /// Whether every reading has a connection of its own.
    fn is_fresh(&self) -> bool {
        false
    }

    /// Whether sessions outlive their connections.
    fn is_lasting(&self) -> bool {
        false
    }

    /// Whether its devices are known to the peer by identifiers that other runs may use too: those that name no run, and unless
    /// `token_is_drawn` those that do.
    fn has_shared_ids(&self, _token_is_drawn: bool) -> bool {
        false
    }

    /// Settings of a connection that has the peer forget what it keeps of a device; `None` where it keeps nothing, or that must
    /// not be touched.
    fn forgetting(&self, _usual: Settings) -> Option<Settings> {
        None
    }

    /// Whether it departs from what the bundled system serves.
    fn is_foreign(&self) -> bool {
        false
    }

    /// Whether what closes a reading by `close` comes where only this run's messages can: on topics that name it.
    fn is_isolated(&self, _close: Close) -> bool {
        false
    }

    /// Bytes around a payload, where the device's name has `name` bytes.
    fn framing(&self, name: usize) -> usize;

    /// What keeps it from carrying payloads of `format`.
    fn unfit(&self, _format: &Format) -> Option<Misfit> {
        None
    }

    /// What no other device at the same target may have, such as the client identifier at a broker: the key that says it, what
    /// it says, and whether it was stated.
    fn claim(&self, _rendering: &Rendering<'_>) -> Option<(&'static str, String, bool)> {
        None
    }

    /// What speaks against closing readings by `close`, and the way out.
    fn objection(&self, _close: Close) -> Option<(&'static str, &'static str)> {
        None
    }
}

/// How templates become the text of one device.
#[derive(Debug)]
pub(crate) struct Rendering<'d> {
    /// The device.
    pub device: &'d Device,
    /// How its readings are encoded.
    pub format: &'d Format,
    /// What templates may tell of the run.
    pub run: RunFacts,
}

impl Rendering<'_> {
    /// `pattern` for the device.
    pub(crate) fn of(&self, pattern: &Pattern) -> String {
        let mut out = Vec::with_capacity(pattern.written.value().len() + 32);
        self.device.render(&pattern.template, None, self.run, &mut out);
        // Templates are text, and so is everything that is put into them.
        String::from_utf8_lossy(&out).into_owned()
    }

    /// `name`, with the run's token behind it.
    pub(super) fn of_run(&self, name: &str) -> String {
        format!("{name}-{}", self.run.token.unwrap_or(RunToken::UNSET))
    }

    /// The same, where the pattern does not name the reading.
    pub(super) fn fixed(&self, pattern: Option<&Pattern>) -> Option<String> {
        pattern.filter(|pattern| !pattern.template.per_reading()).map(|pattern| self.of(pattern))
    }

    /// Header fields by name.
    pub(super) fn headers(&self, headers: &[(String, Pattern)]) -> Vec<(String, String)> {
        headers.iter().map(|(name, pattern)| (name.clone(), self.of(pattern))).collect()
    }

    /// Puts the place of one reading into `out`; false where it is the same for all.
    pub(crate) fn place(&self, place: Option<&Pattern>, reading: &Reading, out: &mut Vec<u8>) -> bool {
        let Some(pattern) = place.filter(|pattern| pattern.template.per_reading()) else { return false };
        out.clear();
        self.device.render(&pattern.template, Some(reading), self.run, out);
        true
    }
}

/// A template, and the text it stands for in the file. Printed for debugging it shows nothing: it may be a secret.
#[derive(Clone, PartialEq)]
pub(crate) struct Pattern {
    /// To be rendered.
    pub template: Template,
    /// As it stands in the file, environment variables unread.
    pub written: Text,
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pattern")
    }
}

/// The template under `key`.
pub(super) fn pattern(
    fields: &Fields,
    key: &str,
    channels: &[&str],
    scope: Scope,
    report: &mut Reporter<'_>,
) -> Option<Pattern> {
    let written = fields.text(key)?;
    match template(&written, channels, scope) {
        Ok(template) => Some(Pattern { template, written }),
        Err((message, help)) => {
            fields.refuse(key, report, message, help);
            None
        }
    }
}

/// `text` as a template; what is wrong with it is said without telling what a variable in it stands for.
pub(crate) fn template(text: &Text, channels: &[&str], scope: Scope) -> Result<Template, Refusal> {
    let parse = |text| Template::parse(text, channels, scope);
    parse(text.value()).map_err(|_| match parse(text.written()) {
        Ok(_) => (unfit(text.written()), "set it to a text without {{ and }}".to_owned()),
        Err(error) => (error.message, error.help),
    })
}

/// How a reply names its reading, where replies close readings.
pub(super) fn correlation(fields: &Fields, reply: bool, report: &mut Reporter<'_>) -> Correlation {
    let text = match fields.list("correlate") {
        [] => fields.text("correlate"),
        [(_, FieldValue::Text(sole))] => Some(sole.clone()),
        _ => {
            let help =
                "write one JSON pointer, to the sequence number: \"/id\"; two are for model = \"subscriber\"";
            fields.refuse("correlate", report, "is more than a reply needs to name its reading", help);
            return Correlation::Order;
        }
    };
    if !reply {
        fields.refuse_given(&["correlate"], report, "requires close = \"reply\"");
        return Correlation::Order;
    }
    let help = "write a JSON pointer to the sequence number in the reply, for example \"/id\" (\"\": the reply is the number), or \"order\"";
    match text.as_ref().map(Text::value) {
        Some("order") => Correlation::Order,
        Some(pointer) if is_pointer(pointer) => Correlation::Pointer(pointer.into()),
        Some(other) => {
            let shown = text.as_ref().map_or(other, Text::written);
            let message = format!("`{}` is not a valid JSON pointer", quote(shown));
            fields.refuse("correlate", report, message, help);
            Correlation::Order
        }
        None => {
            if fields.given("correlate").is_none() {
                fields.refuse("correlate", report, "is missing: how does a reply name its reading?", help);
            }
            Correlation::Order
        }
    }
}

/// How a message to a device that only hears names the reading that it is about: two JSON pointers.
pub(super) fn source(fields: &Fields, report: &mut Reporter<'_>) -> Correlation {
    if fields.given("correlate").is_none() {
        return Correlation::Source { device: "/device".into(), seq: "/seq".into() };
    }
    let stated: Vec<&str> = fields
        .list("correlate")
        .iter()
        .filter_map(|(_, found)| if let FieldValue::Text(text) = found { Some(text.value()) } else { None })
        .collect();
    if let [device, seq] = *stated
        && is_pointer(device)
        && is_pointer(seq)
    {
        return Correlation::Source { device: device.into(), seq: seq.into() };
    }
    let message = "is not a pair of JSON pointers";
    let help = "write one to the device's name and one to the number of its reading: [\"/device\", \"/seq\"]";
    fields.refuse("correlate", report, message, help);
    Correlation::Order
}

/// A JSON pointer (RFC 6901); the empty one is the whole document.
pub(super) fn is_pointer(text: &str) -> bool {
    let escapes = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    (text.is_empty() || text.starts_with('/')) && escapes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_told_from_what_they_are_not() {
        for (text, sound) in [("/id", true), ("/a/0/b~1c", true), ("id", false), ("", true), ("/a~2", false)]
        {
            assert_eq!(is_pointer(text), sound, "{text}");
        }
    }
}
