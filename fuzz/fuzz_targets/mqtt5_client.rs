//! What a broker sends by MQTT 5.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| squall::protocol::fuzz::mqtt_five(data));
