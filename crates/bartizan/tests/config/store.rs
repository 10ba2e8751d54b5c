//! A service that stores JSON bodies, behind a configuration.

use std::convert::Infallible;

use bartizan::config::{Configured, ConfiguredBody};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use tokio::sync::mpsc::unbounded_channel;
use tower::{Layer as _, ServiceExt as _, service_fn};

/// The key-encryption key of this machine, in a file as it has to be.
pub(crate) fn write_kek(folder: &crate::sample::Folder) {
    let kek = folder.write("kek", "01234567890123456789012345678901");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&kek, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}

/// The status of what is answered, and its body.
pub(crate) type Said = (u16, String);

/// Sends this body. What was stored, if it came so far, and what is answered: the same.
pub(crate) async fn store(configured: &Configured, body: &'static str) -> (Option<String>, Said) {
    let (seen, mut stored) = unbounded_channel();
    let keep = service_fn(move |request: Request<ConfiguredBody<Full<Bytes>>>| {
        let seen = seen.clone();
        async move {
            let bytes = request.into_body().collect().await.unwrap().to_bytes();
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            seen.send(text).unwrap();
            Ok::<_, Infallible>(json(bytes))
        }
    });
    let request = Request::post("/").header("content-type", "application/json");
    let request = request.body(Full::from(body)).unwrap();
    let answer = configured.layer().layer(keep).oneshot(request).await;
    let said = read(answer.unwrap()).await;
    (stored.try_recv().ok(), said)
}

/// Asks for what was stored.
#[allow(dead_code, reason = "some builds have nothing to keep keys in")]
pub(crate) async fn load(configured: &Configured, stored: &str) -> Said {
    let stored = Bytes::from(stored.to_owned());
    let there = service_fn(move |_: Request<ConfiguredBody<Full<Bytes>>>| {
        let stored = stored.clone();
        async move { Ok::<_, Infallible>(json(stored)) }
    });
    let request = Request::get("/").body(Full::default()).unwrap();
    let answer = configured.layer().layer(there).oneshot(request).await;
    read(answer.unwrap()).await
}

fn json(bytes: Bytes) -> Response<Full<Bytes>> {
    let answer = Response::builder().header("content-type", "application/json");
    answer.body(Full::new(bytes)).unwrap()
}

async fn read<B: http_body::Body<Data: Send, Error: std::fmt::Debug>>(answer: Response<B>) -> Said {
    let status = answer.status().as_u16();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}
