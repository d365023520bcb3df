//! Questions to the target outside the measured traffic, over an ordinary HTTP client.

use std::time::Duration;

use super::Endpoint;

/// Why an HTTP target is not ready.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{origin}` accepts connections but does not answer HTTP ({reason}): check that it is an HTTP service"
)]
pub struct ControlError {
    origin: String,
    reason: String,
}

/// Waits at most `timeout` for any HTTP answer to a GET of the endpoint's origin; the status does not matter.
///
/// Needs a tokio runtime with time and I/O enabled. Proxies of the environment are ignored, as device traffic does.
///
/// # Errors
/// If the target cannot be reached, takes too long, or answers something that is not HTTP.
pub async fn ready(endpoint: &Endpoint, timeout: Duration) -> Result<(), ControlError> {
    let origin = format!("http://{}/", endpoint.address());
    let failed = |error: reqwest::Error| {
        // The outer message only repeats the URL; the innermost says what went wrong.
        let mut inner: &dyn std::error::Error = &error;
        while let Some(source) = inner.source() {
            inner = source;
        }
        ControlError { origin: origin.clone(), reason: inner.to_string() }
    };
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(timeout)
        .build()
        .map_err(failed)?;
    client.get(&origin).send().await.map(drop).map_err(failed)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::record::Protocol;

    async fn verdict_on(reply: &'static [u8]) -> Result<(), ControlError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1/readings", listener.local_addr().unwrap());
        let endpoint = Endpoint::resolve(Protocol::Http, &url).unwrap();
        let server = async {
            let (mut peer, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            let n = peer.read(&mut request).await.unwrap();
            assert!(request[..n].starts_with(b"GET / HTTP/1.1\r\n"));
            peer.write_all(reply).await.unwrap();
        };
        tokio::join!(ready(&endpoint, Duration::from_secs(5)), server).0
    }

    #[test]
    fn any_http_answer_is_ready_and_nothing_else() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            verdict_on(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await.unwrap();
            verdict_on(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
                .await
                .unwrap();
            let error = verdict_on(b"SSH-2.0-OpenSSH\r\n").await.unwrap_err().to_string();
            assert!(error.contains("check that it is an HTTP service"), "{error}");
        });
    }
}
