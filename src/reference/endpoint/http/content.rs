//! What a response carries: a text, or a stream of server-sent events that ends with its subscriber.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::reference::alert::{Notice, Subscription};

/// A comment this often keeps idle streams, and whatever lies between, from being taken for dead.
pub(super) const COMMENT_EVERY: Duration = Duration::from_secs(15);

/// The body of a response.
#[derive(Debug)]
pub(in crate::reference::endpoint) enum Content {
    Whole(Full<Bytes>),
    Events(Box<Events>),
    Progress(Progress),
}

/// Texts of server-sent events, as they come, until there are no more.
pub(in crate::reference::endpoint) struct Progress(Pin<Box<dyn Stream<Item = String>>>);

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").finish_non_exhaustive()
    }
}

/// Alerts as server-sent events (HTML living standard §9.2).
#[derive(Debug)]
pub(in crate::reference::endpoint) struct Events {
    alerts: Subscription,
    comment: Interval,
    ended: bool,
}

impl Content {
    pub(in crate::reference::endpoint) fn whole(body: impl Into<Bytes>) -> Self {
        Self::Whole(Full::new(body.into()))
    }

    /// Texts of server-sent events, as they come.
    pub(super) fn progress(texts: impl Stream<Item = String> + 'static) -> Self {
        Self::Progress(Progress(Box::pin(texts)))
    }

    /// What a subscriber hears, until it is cut off.
    pub(super) fn events(alerts: Subscription) -> Self {
        let mut comment = interval(COMMENT_EVERY);
        comment.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self::Events(Box::new(Events { alerts, comment, ended: false }))
    }
}

impl Events {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<String>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if let Poll::Ready(heard) = self.alerts.poll_next(cx) {
            return Poll::Ready(Some(match heard {
                Notice::Alert(logged) => {
                    format!("id: {}\nevent: alert\ndata: {}\n\n", logged.id, logged.text)
                }
                ref lost @ (Notice::Missed(_) | Notice::Forgotten { .. }) => {
                    format!("event: missed\ndata: {{{}}}\n\n", lost.loss().unwrap_or_default())
                }
                Notice::Cut => {
                    self.ended = true;
                    "event: cut\ndata: {\"reason\":\"too slow\"}\n\n".to_owned()
                }
            }));
        }
        self.comment.poll_tick(cx).map(|_| Some(": still here\n\n".to_owned()))
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(cx),
            Self::Progress(Progress(texts)) => {
                texts.as_mut().poll_next(cx).map(|text| text.map(|text| Ok(Frame::data(text.into()))))
            }
            Self::Events(events) => events.poll(cx).map(|text| text.map(|text| Ok(Frame::data(text.into())))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Events(events) => events.ended,
            Self::Progress(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Events(_) | Self::Progress(_) => SizeHint::default(),
        }
    }
}
