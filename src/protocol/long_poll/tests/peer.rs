//! The side of a server that holds requests, as the contract suite plays it.

use super::super::super::Settings;
use super::super::super::poll::Pace;
use super::super::super::poll::tests::peer::{endless, listing, open};
use super::super::super::tests::contract::{Opening, Proof, Wire};

/// Long polling.
pub(in crate::protocol) struct LongPollProof;

impl Proof for LongPollProof {
    fn open<'a>(&self, wire: Wire, settings: &'a Settings) -> Opening<'a> {
        open(wire, settings, Pace::AtOnce)
    }

    fn greet(&self, _: &[u8]) -> Vec<u8> {
        unreachable!("a server that holds every request is not waited for")
    }

    fn reply(&self, _: &Settings, _: &[u8], _: &[u8]) -> Vec<u8> {
        unreachable!("nothing is sent that could be answered")
    }

    fn message(&self, _: &Settings, body: &[u8]) -> Vec<u8> {
        listing(body)
    }

    fn endless(&self, _settings: &Settings) -> Vec<(Vec<u8>, Vec<u8>)> {
        endless()
    }
}
