//! Long polling (RFC 6202 §2): a request that the server holds until there is something to tell, and the next as soon as it has been
//! answered. The session is that of [`poll`](super::poll).

mod driver;
mod settings;
#[cfg(test)]
mod tests;

pub(super) use self::driver::LONG_POLLING;
