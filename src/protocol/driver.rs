//! What each protocol tells the rest of the program about itself, and the table of all.

use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::{fmt, io};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::exchange::{Exchange, Stated};
use super::{Credential, Endpoint, Failure, Identity, Misfit, Session, Settings, TABLE};
use crate::fault::MessageKind;
use crate::language::{AddressForm, Reporter, Section};
use crate::net::{Connection, Link};
use crate::record::{Close, Protocol};
use crate::service::Topic;

/// A protocol. Its folder holds everything about it; the rest of the program knows it through this.
pub(crate) trait Driver: fmt::Debug + Sync {
    /// What can be said of it without a connection.
    fn facts(&self) -> &'static Facts;

    /// Reads what a fleet states in the protocol's own table.
    fn exchange(&self, stated: &Stated<'_>, report: &mut Reporter<'_>) -> Arc<dyn Exchange>;

    /// What it cannot carry of what a device presents. [`connect`] refuses it, and so does the check of a scenario.
    fn misfits(&self, _settings: &Settings, _identity: &Identity) -> Vec<Misfit> {
        Vec::new()
    }

    /// The same of the place that a single reading goes to.
    fn misplaced(&self, _place: &str) -> Option<Misfit> {
        None
    }

    /// Has `identity` show `credential`; what is wrong with that, by the key of the credential's table.
    fn present(&self, _credential: &Credential, _identity: &mut Identity) -> Option<Misfit> {
        Some(Misfit {
            key: "",
            subject: "a credential",
            fault: "cannot be shown: nothing in the protocol says who a device is",
            help: "take it out, and let the payload or a certificate say it",
        })
    }

    /// Connects a device and shakes hands, until a reading could be sent. See [`connect`].
    fn connect<'a>(
        &self,
        dialer: Dialer<'a>,
        settings: &'a Settings,
        identity: &'a Identity,
    ) -> Connecting<'a>;

    /// Answers a connection as plainly as the protocol allows, so that what is measured against it is the machine.
    fn serve_raw(&self, stream: TcpStream) -> Serving;

    /// What the contract suite has to know of its peer.
    #[cfg(test)]
    fn proof(&self) -> &'static dyn super::tests::contract::Proof;
}

/// A raw target at work on one connection.
pub(crate) type Serving = Pin<Box<dyn Future<Output = io::Result<()>>>>;

/// A session on its way.
pub(crate) type Connecting<'a> = Pin<Box<dyn Future<Output = Result<Box<dyn Session>, Failure>> + 'a>>;

/// What can be said of a protocol without a connection.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each asked for by name")]
pub struct Facts {
    /// Its word in scenarios, columns and tags.
    pub protocol: Protocol,
    /// Its name in sentences.
    pub title: &'static str,
    /// The path of a URL that names none; `None`: its URLs have no path.
    pub path: Option<&'static str>,
    /// A URL as one might write it.
    pub example: &'static str,
    /// What can close a reading; the first does unless stated. Empty where nothing can be sent: its devices only hear.
    pub closes: &'static [Close],
    /// Whether a device has one reading under way at a time.
    pub serial: bool,
    /// Messages that faults can hit.
    pub messages: &'static [MessageKind],
    /// Whether a device can hear the readings of others.
    pub hears_others: bool,
    /// The key of its own table that says where, with an example, if the target's URL does not.
    pub heard_at: Option<(&'static str, &'static str)>,
    /// Where the bundled service tells of a topic over it: a path, or an MQTT topic filter. `None`: nowhere.
    pub told_at: Option<fn(Topic) -> &'static str>,
    /// Where the bundled service takes what is to be told to all. `None`: nowhere.
    pub broadcast_at: Option<&'static str>,
    /// Whether what answers its readings can come from anybody: on topics.
    pub shares_topics: bool,
    /// Whether what its devices send and hear is told apart by what it says and not by its connection: then the built-in encodings
    /// name the run, unless a fleet says otherwise.
    pub names_run: bool,
    /// Where a trace context can travel.
    pub(crate) trace: TraceCarrier,
    /// The tables that a fleet may state, its own first; and what that one is for.
    pub(crate) sections: &'static [&'static Section],
    pub(crate) section_about: &'static str,
    /// The form of its target's URL in a scenario, and what the URL is for.
    pub(crate) target: AddressForm,
    pub(crate) target_about: &'static str,
    /// Whether what listens for it speaks HTTP besides, as a control plane does.
    pub speaks_http: bool,
    /// Memory of an idle device, bytes: what a preflight counts with.
    pub idle_bytes: u64,
    /// Keys of a fleet that the raw target answers.
    pub calibration: &'static str,
    /// What helps a fleet that waits for answers of its own kind and gets none, if not `close = "reply"` or `"sent"`.
    pub remedy: Option<&'static str>,
    /// A scenario against a service of the user's.
    pub template: &'static str,
    /// What a URL alone stands for.
    pub(crate) one_line: OneLine,
}

/// What a URL stands for where no scenario says more, as keys of a fleet.
#[derive(Debug)]
pub(crate) struct OneLine {
    /// Where the user does not say what to send.
    pub(crate) usual: Keys,
    /// Where the user does.
    pub(crate) stated: Keys,
    /// The key of the protocol's own table whose value is the path of the URL; `None`: it is a part of the target, if there can be one.
    pub(crate) place: Option<&'static str>,
    /// What is sent and what has to answer, as help shows it: lines of at most 90 characters, the later ones indented by 9.
    pub(crate) about: &'static str,
}

/// Keys of a fleet and of its protocol's own table.
#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) fleet: &'static [KeyLine],
    pub(crate) own: &'static [KeyLine],
}

/// A key, its value as TOML, and what it means here; empty where it speaks for itself.
pub(crate) type KeyLine = (&'static str, &'static str, &'static str);

/// Where a trace context can travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TraceCarrier {
    /// Nowhere.
    None,
    /// In a reading's payload alone.
    Payload,
    /// In a header field of every request, and in payloads.
    Request,
    /// In a header field of the request that begins a connection, and in payloads.
    Connection,
}

/// What holds them is printed for debugging, and must not be drowned in them.
impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Facts").field(&self.protocol).finish()
    }
}

/// What makes connections to one endpoint.
pub(crate) struct Dialer<'a> {
    /// Where they go.
    pub(super) endpoint: &'a Endpoint,
    progress: &'a dyn Progress,
}

/// An observer of how a connection comes about. Called the moment it happens: the callee takes the time.
pub(crate) trait Progress {
    /// The TCP connection is there, and TLS' handshake begins.
    fn shaking_hands(&self) {}

    /// The handshake is over; `resumed`: it took up the device's last session.
    fn shook_hands(&self, _resumed: bool) {}
}

/// Nobody measures.
struct Unmeasured;

impl Progress for Unmeasured {}

impl Dialer<'_> {
    /// A connection for the device that `identity` describes, through the faults that act on it.
    ///
    /// # Errors
    /// [`Failure`], if it cannot be made.
    pub(super) async fn dial(&self, identity: &Identity) -> Result<Connection, Failure> {
        let dialing = Link::dial(self.endpoint.address(), identity.source, identity.faults.clone());
        let link = dialing.await.map_err(|error| {
            self.endpoint.scarcity().note(&error);
            Failure::io(&error)
        })?;
        let Some(tls) = &identity.tls else {
            let unprepared = "the target asks for TLS, which was not set up";
            return if self.endpoint.is_tls() {
                Err(Failure::protocol(unprepared))
            } else {
                Ok(Connection::plain(link))
            };
        };
        self.progress.shaking_hands();
        let connection = Connection::shake_hands(link, tls).await.map_err(|error| Failure::io(&error))?;
        self.progress.shook_hands(connection.is_resumed());
        Ok(connection)
    }
}

/// Connects a device to `endpoint` and shakes hands, until a reading could be sent.
///
/// Knows no time-out: drop the future to give up.
///
/// # Errors
/// [`Failure`], if the connection or the handshake fails, or the protocol cannot carry what `identity` presents.
pub async fn connect(
    endpoint: &Endpoint,
    settings: &Settings,
    identity: &Identity,
) -> Result<Box<dyn Session>, Failure> {
    connect_under(endpoint, settings, identity, &Unmeasured).await
}

/// As [`connect`], telling `progress` how far it is.
///
/// # Errors
/// As [`connect`].
pub(crate) async fn connect_under(
    endpoint: &Endpoint,
    settings: &Settings,
    identity: &Identity,
    progress: &dyn Progress,
) -> Result<Box<dyn Session>, Failure> {
    if let Some(misfit) = endpoint.driver().misfits(settings, identity).into_iter().next() {
        return Err(misfit.into());
    }
    endpoint.driver().connect(Dialer { endpoint, progress }, settings, identity).await
}

/// The driver of `protocol`; `None` for a name that no protocol has here.
pub(crate) fn driver(protocol: Protocol) -> Option<&'static dyn Driver> {
    TABLE.iter().copied().find(|driver| driver.facts().protocol == protocol)
}

/// All protocols, in the order in which they are listed.
pub(crate) fn protocols() -> impl Iterator<Item = &'static Facts> {
    TABLE.iter().map(|driver| driver.facts())
}

/// The words of all protocols in scenarios, in the same order.
pub(crate) fn words() -> &'static [&'static str] {
    static WORDS: LazyLock<Vec<&str>> = LazyLock::new(|| protocols().map(Facts::word).collect());
    &WORDS
}

impl Facts {
    /// Whether anything can be sent by it.
    pub(crate) const fn sends(&self) -> bool {
        !self.closes.is_empty()
    }

    /// Its word in scenarios.
    pub(crate) fn word(&'static self) -> &'static str {
        self.protocol.name()
    }
}

/// Bytes that a raw target keeps of a connection while a message is incomplete.
const MOST: usize = 64 * 1024;

/// Takes whole messages from what was received and gives how many bytes they were; `None` ends the connection.
pub(super) type RawCodec = fn(&[u8], &mut Vec<u8>) -> Option<usize>;

/// Serves a connection by `codec`.
///
/// # Errors
/// If the connection breaks.
pub(super) async fn answer(mut stream: TcpStream, codec: RawCodec) -> io::Result<()> {
    let (mut input, mut output) = (Vec::with_capacity(1024), Vec::with_capacity(256));
    while stream.read_buf(&mut input).await? > 0 && input.len() <= MOST {
        let Some(taken) = codec(&input, &mut output) else { break };
        input.drain(..taken);
        if !output.is_empty() {
            stream.write_all(&output).await?;
            output.clear();
        }
    }
    Ok(())
}
