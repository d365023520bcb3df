//! The MQTT endpoint, by 3.1.1 and 5: takes readings in, and publishes verdicts and alerts.
//!
//! | topic | who publishes | what |
//! |---|---|---|
//! | `devices/<id>/readings` | devices | a reading of device `<id>`; anyone may also subscribe to it |
//! | `devices/<id>/verdicts` | the service, `QoS` 1 | the verdict on each, or why there is none |
//! | `alerts/<level>/<id>` | the service, `QoS` 1 | every anomaly, whichever way its reading came in |
//! | `verdicts/<id>` | the service, `QoS` 1 | every verdict with its number, the same way; from the first subscription to them on |
//! | `broadcast` | anyone, and the service, `QoS` 1 | what a client publishes here is a JSON object, and comes back with a number, over every transport |
//! | any other | anyone | delivered to whoever is subscribed |
//!
//! It does what MQTT asks of a server (`QoS` 0, 1 and 2 both ways, wildcards, retained messages, last wills, keep-alive,
//! take-over, lasting sessions) but is not a general broker. In particular: sessions and what is retained are held in memory
//! only, up to bounds, and end with the service; names are not looked at, so whoever shows a client's identifier gets its
//! session, unless tokens are asked for: then the password is one, and sessions of other devices' tokens are other sessions; a
//! last will is a message but never a reading, though it may be said to all; a subscriber with overlapping subscriptions gets one copy; a subscriber that is
//! too slow or away for too long loses the newest messages. By MQTT 3.1.1 an acknowledgement says that a PUBLISH was received, not
//! what became of the reading in it; by MQTT 5 it waits for that, and its reason says so.
//!
//! By MQTT 5 it also does what properties ask for: session and message expiry, will delay, receive maximum, maximum packet size,
//! aliases that a client states, options of subscriptions, and what goes with a message to its subscribers. It has no enhanced
//! authentication, no subscription identifiers, no response information, and states no aliases itself. A session belongs to the
//! version of MQTT that it was begun with.
//!
//! A client that connects with `clean_session = 0` keeps its session: its subscriptions, the messages of `QoS` 1 and 2 it has not
//! acknowledged or not been sent yet, and the identifiers of `QoS` 2 messages it has not released. When it is back, each
//! unacknowledged PUBLISH is sent again, marked as such, then each PUBREL, then what came meanwhile. Only for such clients
//! are copies of sent messages kept. A second connection of the same client closes the first and goes on with its session, if
//! both are lasting; else the old session ends.
//!
//! Its bounds, beside the number of connections:
//!
//! | what | at most | and then |
//! |---|---|---|
//! | a packet | 256 KiB | the connection is closed before any of it is kept |
//! | time to CONNECT | 5 s | the connection is closed |
//! | subscriptions of a client | 256, each of 1 024 bytes and 128 levels | refused in the SUBACK |
//! | readings under way of a client | 1 024 | its socket is not read until verdicts have come |
//! | readings of a connection about which all instances are asked | 1 | its socket is not read until they have answered |
//! | answers waiting for a socket | 256 KiB | the same, until they are written |
//! | messages waiting for a client, there or away | 1 MiB; 1 024 unacknowledged and 1 024 more | the newest is dropped and counted |
//! | copies of unacknowledged messages of a lasting session | 1 MiB, with what waits | the same |
//! | open `QoS` 2 messages of a client | 4 096, by MQTT 5 1 024 | the connection is closed |
//! | topics that aliases stand for | 16, each of 1 024 bytes | the connection is closed |
//! | sessions of clients that are away | 10 000; 64 MiB in all, subscriptions included | the one away for longest is forgotten, its messages are counted as dropped |
//! | messages for clients that are away, when those 64 MiB are full | none | dropped and counted |
//! | time away | 1 h | the session is forgotten, its messages are counted as dropped |
//! | retained messages | 10 000 and 64 MiB | further topics are delivered but not retained |

mod admission;
mod archive;
mod codec;
mod connection;
mod hub;
mod outbox;
mod peer;
mod quota;
mod registry;
mod router;
mod session;
#[cfg(test)]
mod tests;
mod topic;
mod window;

use std::rc::Rc;
use std::time::Duration;

use tokio::task::spawn_local;
use tokio::time::{interval, timeout};

use self::connection::Connection;
pub(in crate::reference) use self::hub::Hub;
use super::resettable::reset;
use crate::reference::tls::{Arrival, Port};
use crate::service::FaultKind;

/// How long connections may take to close.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// The first packet of `bytes`, as text, and its size; by MQTT 5 or by 3.1.1.
#[cfg(fuzzing)]
pub(in crate::reference) fn decode_packet(
    bytes: &[u8],
    is_five: bool,
) -> Result<Option<(String, usize)>, String> {
    let version = if is_five { codec::packet::Version::V5 } else { codec::packet::Version::V3 };
    codec::decode(bytes, Some(version))
        .map(|found| found.map(|(packet, size)| (format!("{packet:?}"), size)))
        .map_err(|fault| format!("{fault:?}"))
}

/// How often retained messages are looked for whose time has passed.
const CLEAR_EVERY: Duration = Duration::from_secs(60);

/// Serves MQTT on `port` until the service stops, then closes all connections and returns within
/// about a second. No more connections than the dispatcher admits are open at once; further ones are closed at once and counted.
///
/// To be run inside a [`tokio::task::LocalSet`] on a current-thread runtime with time and I/O.
pub(in crate::reference) async fn serve(port: Port, hub: Rc<Hub>) {
    let mut stop = hub.dispatcher.stop.clone();
    let mut look = interval(CLEAR_EVERY);
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            _ = look.tick() => hub.clear(hub.dispatcher.pipeline.now()),
            () = hub.something_due() => hub.expire(hub.dispatcher.pipeline.now()),
            arrival = port.accept() => {
                if hub.dispatcher.faults().strikes(FaultKind::Refuse) {
                    reset(arrival.stream());
                } else if hub.connections() + port.under_way() >= hub.dispatcher.max_connections {
                    hub.dispatcher.metrics.connections_refused.inc();
                } else {
                    admit(arrival, &hub);
                }
            }
        }
    }
    drop(port);
    // Connections close as soon as they are woken; the bound is for what nobody thought of.
    let _ = timeout(CLOSE_WITHIN, hub.close()).await;
}

/// Serves a connection by a task of its own, behind its handshake if there is one.
fn admit(arrival: Arrival, hub: &Rc<Hub>) {
    let hub = Rc::clone(hub);
    match arrival.into_plain() {
        // It counts from now on.
        Ok(stream) => drop(spawn_local(Connection::new(stream, hub).run())),
        Err(arrival) => drop(spawn_local(async move {
            if let Some(stream) = arrival.enter(&hub.dispatcher.metrics).await {
                Connection::new(stream, hub).run().await;
            }
        })),
    }
}
