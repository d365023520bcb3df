//! What outlives a connection, to be taken up by the device's next.

use std::any::Any;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// What a session leaves behind that does not end with its connection: see
/// [`Identity::resume`](super::Identity::resume). Clones are one and the same.
#[derive(Clone)]
pub struct SessionState(Rc<Kept>);

struct Kept {
    /// How long the peer asks to be left alone before the next connection.
    pause: Duration,
    /// What only the protocol that left it reads.
    own: Box<dyn Any>,
}

impl SessionState {
    pub(super) fn new(own: impl Any, pause: Duration) -> Self {
        Self(Rc::new(Kept { pause, own: Box::new(own) }))
    }

    /// What was left by the protocol that asks; `None` if another left it.
    pub(super) fn get<T: Any>(&self) -> Option<&T> {
        self.0.own.downcast_ref()
    }

    /// How long the peer asks to be left alone before the next connection.
    pub(crate) fn pause(&self) -> Duration {
        self.0.pause
    }
}

/// Clones are one and the same.
impl PartialEq for SessionState {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for SessionState {}

/// What is kept may hold what a device said.
impl fmt::Debug for SessionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionState").field("pause", &self.0.pause).finish_non_exhaustive()
    }
}
