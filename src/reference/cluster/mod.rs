//! Other instances of the service: they meet in Redis, and each goes on alone when it is away.
//!
//! | in Redis | what |
//! |---|---|
//! | channel `squall:alerts` | every alert, as JSON with the instance that raised it |
//! | channel `squall:cache`, hash `squall:cache:state` | what caches are to forget, and how often they were told to |
//! | `squall:instance:<name>` | that an instance lives; expires unless it is heard of |
//! | hash `squall:connections` | device → the instance it spoke to last; counts as long as that instance lives |
//! | `squall:score:<key>` | the second tier of the cache |
//! | `squall:quota:<name>` | when the next reading of a device, token or address would be due, microseconds on the clock of Redis |
//! | `squall:state:<device>` | the state of a device, as CBOR, where states follow their devices |
//! | `squall:holder:<device>` | which instance left it there |
//!
//! Threads of their own talk to Redis, so that no connection ever waits for it.

mod bus;
mod gate;
mod instance;
mod late;
mod link;
mod order;
mod pool;
mod registry;
mod replica;
mod state;
mod store;

pub(super) use bus::{ClusterBus, ClusterEvent};
pub(super) use gate::SharedGate;
pub(super) use link::Link;
pub(super) use order::CacheOrder;
pub(super) use state::StateStore;
pub(super) use store::ScoreStore;
