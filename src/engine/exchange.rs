//! Session settings per fleet and an identity per device, derived from a scenario's requests and messages.

use std::sync::Arc;
use std::time::Duration;

use crate::fleet::{Device, Format, Reading};
use crate::protocol::{
    Correlation, Hearing, HttpSettings, Identity, Login, MqttSettings, Roster, Settings, StatusSet, Will,
    WsMode, WsSettings,
};
use crate::record::FleetId;
use crate::scenario::{self, Exchange, Fleet, Model, Pattern, Plan};

/// How often an idle WebSocket is pinged.
const PING_PERIOD: Duration = Duration::from_secs(30);

/// The fleet whose hearing closes the readings of `fleet`, where it is not the device itself.
pub(super) fn hearer(plan: &Plan, fleet: &Fleet) -> Option<FleetId> {
    let Exchange::Mqtt(mqtt) = &fleet.exchange else { return None };
    let wanted = mqtt.subscribers.as_ref()?;
    let at = plan.scenario().fleets.iter().position(|other| other.name == *wanted)?;
    Some(FleetId(at as u16))
}

/// What the devices of a fleet listen for besides answers to their own readings.
fn hearing(plan: &Arc<Plan>, fleet: &Fleet) -> Hearing {
    if fleet.model == Model::Subscriber {
        let plan = Arc::clone(plan);
        return Hearing::Others(Roster(Arc::new(move |device| plan.find(device))));
    }
    if hearer(plan, fleet).is_some() { Hearing::Relayed } else { Hearing::Own }
}

/// The session settings of a fleet.
pub(super) fn settings(plan: &Arc<Plan>, fleet: &Fleet) -> Settings {
    let settings = Settings {
        close: fleet.close,
        keep_alive: PING_PERIOD,
        hearing: hearing(plan, fleet),
        ..Settings::default()
    };
    match &fleet.exchange {
        Exchange::Http(http) => {
            let (ok, shed) = (statuses(&http.ok), statuses(&http.shed));
            Settings { http: HttpSettings { ok, shed, fresh: http.fresh }, ..settings }
        }
        Exchange::Ws(ws) => {
            let mode = match ws.text {
                None => WsMode::Auto,
                Some(true) => WsMode::Text,
                Some(false) => WsMode::Binary,
            };
            Settings { correlation: correlation(&ws.correlation), ws: WsSettings { mode }, ..settings }
        }
        Exchange::Mqtt(mqtt) => Settings {
            correlation: correlation(&mqtt.correlation),
            // The session announces twice the period in which it looks whether it has to ping.
            keep_alive: mqtt.keep_alive.as_duration() / 2,
            mqtt: MqttSettings { qos: mqtt.qos, retain: mqtt.retain, clean_session: mqtt.clean_session },
            ..settings
        },
    }
}

fn statuses(ranges: &[(u16, u16)]) -> StatusSet {
    ranges.iter().filter_map(|(from, to)| format!("{from}-{to}").parse::<StatusSet>().ok()).collect()
}

fn correlation(correlation: &scenario::Correlation) -> Correlation {
    match correlation {
        scenario::Correlation::Order => Correlation::Order,
        scenario::Correlation::Pointer(pointer) => Correlation::Pointer(pointer.as_str().into()),
    }
}

/// The identity that a device of `fleet` states when it connects. What names the reading is left for [`address`].
pub(super) fn identity(fleet: &Fleet, device: &Device, epoch_ns: u64) -> Identity {
    let render = |pattern: &Pattern| rendered(pattern, device, None, epoch_ns);
    let fixed = |pattern: &Option<Pattern>| {
        pattern.as_ref().filter(|pattern| !pattern.template.per_reading()).map(render)
    };
    let headers = |headers: &[(String, Pattern)]| {
        headers.iter().map(|(name, pattern)| (name.clone(), render(pattern))).collect()
    };
    let identity = Identity::of(device.id());
    match &fleet.exchange {
        Exchange::Http(http) => Identity {
            method: http.method.clone(),
            address: fixed(&http.path),
            headers: headers(&http.headers),
            content_type: match &fleet.device_model.payload.format {
                Format::Json => None,
                Format::Cbor => Some("application/cbor"),
                Format::Binary => Some("application/octet-stream"),
                Format::Template(_) => Some("text/plain; charset=utf-8"),
            },
            ..identity
        },
        Exchange::Ws(ws) => Identity {
            address: fixed(&ws.path),
            headers: headers(&ws.headers),
            subprotocol: ws.subprotocol.clone(),
            ..identity
        },
        Exchange::Mqtt(mqtt) => Identity {
            address: fixed(&mqtt.topic),
            reply_topic: fixed(&mqtt.reply_topic).or_else(|| fixed(&mqtt.subscribe)),
            client_id: fixed(&mqtt.client_id),
            login: mqtt
                .username
                .as_ref()
                .map(|user| Login { user: render(user), password: mqtt.password.as_ref().map(render) }),
            will: mqtt.will.as_ref().map(|will| Will {
                topic: render(&will.topic),
                payload: render(&will.payload).into_bytes(),
                qos: will.qos,
                retain: will.retain,
            }),
            ..identity
        },
    }
}

/// Puts the request target or topic of this one reading into `out`; false where it is the same for all.
pub(super) fn address(
    fleet: &Fleet,
    device: &Device,
    reading: &Reading,
    epoch_ns: u64,
    out: &mut Vec<u8>,
) -> bool {
    let pattern = match &fleet.exchange {
        Exchange::Http(http) => http.path.as_ref(),
        Exchange::Mqtt(mqtt) => mqtt.topic.as_ref(),
        Exchange::Ws(_) => None,
    };
    let Some(pattern) = pattern.filter(|pattern| pattern.template.per_reading()) else { return false };
    out.clear();
    device.render(&pattern.template, Some(reading), epoch_ns, out);
    true
}

fn rendered(pattern: &Pattern, device: &Device, reading: Option<&Reading>, epoch_ns: u64) -> String {
    let mut out = Vec::with_capacity(pattern.written.value().len() + 32);
    device.render(&pattern.template, reading, epoch_ns, &mut out);
    // Templates are text, and so is everything that is put into them.
    String::from_utf8_lossy(&out).into_owned()
}
