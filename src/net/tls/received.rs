//! What a connection has received and not worked through yet.

use std::cell::Cell;

/// Bytes read at once: a whole record.
pub(super) const CHUNK: usize = 16 * 1024 + 512;

thread_local! {
    /// Memory for the connection that reads next: almost every record is there whole.
    static SPARE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Bytes of which the first ones are filled. What is behind them has been written before: to make it zero for every read
/// would cost more than to decrypt a reading.
#[derive(Debug, Default)]
pub(super) struct Received {
    bytes: Vec<u8>,
    filled: usize,
}

impl Received {
    pub(super) const fn len(&self) -> usize {
        self.filled
    }

    /// What was received.
    pub(super) fn filled(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.filled).unwrap_or_default()
    }

    /// Room for [`CHUNK`] bytes more.
    pub(super) fn free(&mut self) -> &mut [u8] {
        if self.bytes.capacity() == 0 {
            self.bytes = SPARE.take();
        }
        let most = self.filled + CHUNK;
        if self.bytes.len() < most {
            self.bytes.resize(most, 0);
        }
        self.bytes.get_mut(self.filled..most).unwrap_or_default()
    }

    /// The first `count` bytes of what was free are filled now.
    pub(super) fn fill(&mut self, count: usize) {
        self.filled = (self.filled + count).min(self.bytes.len());
        if self.filled == 0 {
            self.give_back();
        }
    }

    /// The first `count` bytes are done with.
    pub(super) fn consume(&mut self, count: usize) {
        let count = count.min(self.filled);
        self.bytes.copy_within(count..self.filled, 0);
        self.filled -= count;
        if self.filled == 0 {
            self.give_back();
        }
    }

    /// Takes no more memory than what is there: the rest may be long in coming.
    pub(super) fn shrink(&mut self) {
        self.bytes.truncate(self.filled);
        self.bytes.shrink_to_fit();
    }

    fn give_back(&mut self) {
        let emptied = std::mem::take(&mut self.bytes);
        if (1..=2 * CHUNK).contains(&emptied.capacity()) {
            SPARE.set(emptied);
        }
    }

    /// Bytes of memory.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(received: &mut Received, bytes: &[u8]) {
        received.free()[..bytes.len()].copy_from_slice(bytes);
        received.fill(bytes.len());
    }

    #[test]
    fn bytes_come_in_order_whatever_the_memory_held_before() {
        let mut received = Received::default();
        receive(&mut received, b"first");
        received.consume(5);
        assert_eq!((received.len(), received.held()), (0, 0), "the memory is another connection's");
        receive(&mut received, b"se");
        assert_eq!(received.filled(), b"se");
        received.shrink();
        assert_eq!(received.held(), 2);
        receive(&mut received, b"cond");
        received.consume(1);
        assert_eq!(received.filled(), b"econd");
        receive(&mut received, b"");
        received.consume(99);
        assert_eq!(received.len(), 0);
    }

    #[test]
    fn there_is_always_room_for_a_whole_record() {
        let mut received = Received::default();
        for _ in 0..4 {
            assert_eq!(received.free().len(), CHUNK);
            received.fill(CHUNK);
        }
        assert_eq!(received.len(), 4 * CHUNK);
        received.consume(4 * CHUNK);
        assert_eq!(received.free().len(), CHUNK);
        assert!(received.held() <= 2 * CHUNK, "what a long message took is not kept");
    }
}
