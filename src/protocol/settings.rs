//! How the devices of one fleet use their sessions.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::record::{Close, RunToken};

/// How a reply names the reading it answers, where [`Close::Reply`] closes readings.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Correlation {
    /// A JSON pointer (RFC 6901) into the reply, to its sequence number: a number, or a string of its digits. A reply
    /// without one is stray.
    Pointer(Box<str>),
    /// JSON pointers to the name of a device and to the number of its reading, for [`Hearing::Others`].
    Source {
        /// To the device's name.
        device: Box<str>,
        /// To the number.
        seq: Box<str>,
    },
    /// The n-th reply of a connection answers the n-th of its readings still unanswered.
    ///
    /// For peers that answer everything in turn; any message that can be a reply is taken for one. A reply that never
    /// came would make each later one count for the reading before its own, so a session whose replies
    /// belong to its connection does not [survive](super::Session::survives_timeout) a time-out. Over MQTT replies belong to no connection: one that is
    /// lost delays all later answers by one, and one that comes only after a reconnection answers a newer reading. Prefer
    /// a pointer there.
    Order,
    /// Data that go with a reading and come back with its reply, beside the payload: correlation data of MQTT 5.
    Data,
}

/// How the devices of one fleet use their sessions; the default is what the bundled service needs, closed as HTTP is.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What closes a reading.
    pub close: Close,
    /// How replies name their readings, for [`Close::Reply`].
    ///
    /// A [pointer](Correlation::Pointer) also serves [`Close::Delivery`], for payloads that do not carry the sequence
    /// number where the built-in encoding has it.
    pub correlation: Correlation,
    /// How often [`Session::keep_alive`](super::Session::keep_alive) is called; zero if never.
    ///
    /// MQTT announces twice this to the broker (in whole seconds, at most 65 535), so that the calls come at half of what was
    /// announced: a device that sent something just after one call may stay silent until the call after next.
    pub keep_alive: Duration,
    /// On which instants it is called; `None`: as long after the connection was made, and then as long after each call.
    pub turns: Option<Turns>,
    /// What only the protocol's own driver reads.
    pub own: OwnSettings,
    /// What the session listens for besides answers to its own readings.
    pub hearing: Hearing,
    /// The run that readings name, and answers to them: a message that names another is a stranger's, and answers nothing. `None`
    /// where readings name no run.
    pub run: Option<RunToken>,
}

/// The instants of a device's turns, one every [`Settings::keep_alive`], whenever it connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turns {
    /// Each device has a phase of its own, which the seed draws.
    Phased,
    /// Multiples of the period from the start of the run on: all devices at once.
    Aligned,
}

/// Settings of one protocol, made by its driver and read by nobody else, such as [`HttpSettings`](super::HttpSettings).
#[derive(Debug, Clone, Default)]
pub struct OwnSettings(Option<Arc<dyn Any + Send + Sync>>);

impl OwnSettings {
    /// Settings of the protocol whose driver reads a `T`.
    pub fn of<T: Any + Send + Sync>(settings: T) -> Self {
        Self(Some(Arc::new(settings)))
    }

    /// What was stated for the driver that asks, or its default.
    pub(super) fn get<T: Any + Clone + Default>(&self) -> T {
        let stated = self.0.as_deref().and_then(|settings| settings.downcast_ref::<T>());
        stated.cloned().unwrap_or_default()
    }
}

/// Whether a session hears the readings of other devices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Hearing {
    /// It does not.
    #[default]
    Own,
    /// Its own readings are heard by another session: with [`Close::Delivery`] it subscribes to nothing, and no message closes
    /// a reading.
    Relayed,
    /// It hears the readings of the devices that the roster knows, in a built-in encoding or as the correlation points, and
    /// tells each as [`Event::Heard`](super::Event::Heard). Over MQTT the filter is the identity's `reply_topic`.
    Others(Roster),
}

/// Finds the number of a device by its name.
pub(crate) type Lookup = dyn Fn(&str) -> Option<u32> + Send + Sync;

/// Gives the number of a device by its name.
#[derive(Clone)]
pub struct Roster(pub Arc<Lookup>);

impl fmt::Debug for Roster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Roster")
    }
}

impl PartialEq for Roster {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Roster {}

impl Default for Settings {
    fn default() -> Self {
        Self {
            close: Close::Response,
            correlation: Correlation::Order,
            keep_alive: Duration::from_secs(30),
            turns: None,
            own: OwnSettings::default(),
            hearing: Hearing::Own,
            run: None,
        }
    }
}
