//! TLS for tests that drive the engine themselves.

use std::sync::Arc;

use rustls::ServerConfig;

use crate::authority::Authority;

/// An authority whose certificate lies where scenarios find it.
pub(crate) struct Trusted {
    authority: Authority,
    folder: tempfile::TempDir,
}

impl Trusted {
    pub(crate) fn new() -> Self {
        let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
        authority.write(folder.path(), &[]);
        Self { authority, folder }
    }

    /// The table by which a scenario trusts it.
    pub(crate) fn target(&self) -> String {
        format!("\n[target.tls]\nca = {:?}\n", self.folder.path().join("ca.pem"))
    }

    /// What a server called `localhost` shakes hands with.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        self.authority.server(false)
    }
}
