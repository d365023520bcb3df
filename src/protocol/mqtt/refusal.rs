//! Why a broker refuses a connection by MQTT 3.1.1 (§3.2.2.3).

use super::super::Failure;

/// The connection that CONNACK refused with `number`.
pub(super) fn of(number: u8) -> Failure {
    let sentence = format!("the broker refused the connection: CONNACK {number}, {}", refusal(number));
    // A broker that is unavailable now may be there later (MQTT 3.1.1 §3.2.2.3).
    let for_good = number != UNAVAILABLE;
    Failure::protocol(sentence).with_code("CONNACK", number.into()).final_if(for_good)
}

const UNAVAILABLE: u8 = 3;

const fn refusal(code: u8) -> &'static str {
    match code {
        1 => "it does not speak MQTT 3.1.1",
        2 => "it rejects the client identifier",
        UNAVAILABLE => "it is unavailable",
        4 => "wrong user name or password (give them under `auth`, or as mqtt://user:password@host)",
        _ => "not authorized (give credentials as mqtt://user:password@host)",
    }
}
