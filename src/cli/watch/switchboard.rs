//! Faults of a run switched from its page, by whoever has the token.

use sha2::{Digest as _, Sha256};

use super::order::Orders;
use crate::run::control::protocol::Request as Asked;
use crate::seed;

/// Takes orders for a run.
#[derive(Debug)]
pub(super) struct Switchboard {
    token: String,
    orders: Orders,
}

impl Switchboard {
    /// One with a token that nobody can guess.
    pub(super) fn new(orders: Orders) -> Self {
        Self { token: format!("{:016x}", seed::unseeded()), orders }
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// Does what `body` asks for, in the words of the run's control socket, if `token` is the right one; gives the status and a JSON
    /// object: what came of it, and every fault as it is then.
    pub(super) fn answer(&self, token: Option<&str>, body: &[u8]) -> (u16, String) {
        // Digests, so that how long it takes says nothing about the token.
        let is_right = |given: &str| Sha256::digest(given) == Sha256::digest(&self.token);
        if !token.is_some_and(is_right) {
            return (403, failure("who has the token switches faults; the others read"));
        }
        let request = match serde_json::from_slice(body) {
            Ok(request) => request,
            Err(error) => return (400, failure(&format!("no order: {error}"))),
        };
        let said = if request == Asked::List { String::new() } else { self.orders.ask(&request) };
        let faults = self.orders.present().into_iter();
        let faults: Vec<_> = faults
            .map(|fault| serde_json::json!({"name": fault.name, "kind": fault.kind, "on": fault.on}))
            .collect();
        (200, serde_json::json!({"said": said, "faults": faults}).to_string())
    }
}

fn failure(why: &str) -> String {
    serde_json::json!({"said": why, "faults": []}).to_string()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn without_the_right_token_nothing_is_even_read() {
        let board = Switchboard::new(Orders::own(Path::new("no/such/run"), 0));
        let other = Switchboard::new(Orders::own(Path::new("no/such/run"), 0));
        assert!(board.token().len() == 16 && board.token() != other.token());
        let (list, half) = (&br#"{"operation":"list"}"#[..], &board.token()[..8]);
        for token in [None, Some(""), Some(half), Some(other.token())] {
            for body in [list, b"{"] {
                assert_eq!(board.answer(token, body).0, 403, "{token:?}");
            }
        }
        let right = |body: &str| board.answer(Some(board.token()), body.as_bytes());
        assert_eq!(right(r#"{"operation":"list"}"#), (200, r#"{"faults":[],"said":""}"#.to_owned()));
        let (status, told) = right(r#"{"operation":"start","fault":"f"}"#);
        assert!(status == 200 && told.contains("takes no orders any more"), "{told}");
        for body in ["", "{}", r#"{"operation":"kill"}"#] {
            assert_eq!(right(body).0, 400, "{body}");
        }
    }
}
