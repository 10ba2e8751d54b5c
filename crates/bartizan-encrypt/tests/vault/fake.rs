//! A small server that follows the documented API of Vault: tokens, AppRole, Kubernetes, transit.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan_source::Roots;
use bartizan_testkit::DevelopmentCa;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

/// A running server; stopped when dropped.
pub(crate) struct FakeVault {
    pub(crate) url: String,
    pub(crate) state: Arc<Mutex<State>>,
    pub(crate) roots: Option<Roots>,
    task: JoinHandle<()>,
}

/// What it holds, open to the test.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) keys: HashMap<String, TransitKey>,
    /// When each token ends.
    pub(crate) tokens: HashMap<String, Instant>,
    pub(crate) lease: u64,
    pub(crate) namespace: Option<String>,
    /// Whether it answers 503 to everything, as a sealed Vault.
    pub(crate) sealed: bool,
    /// As before 1.9: `associated_data` is not looked at.
    pub(crate) ignores_associated_data: bool,
    /// An operation that no policy allows.
    pub(crate) denied: Option<&'static str>,
    pub(crate) paths: Vec<String>,
    issued: usize,
}

pub(crate) struct TransitKey {
    pub(crate) versions: Vec<[u8; 32]>,
    pub(crate) derived: bool,
}

pub(crate) const ROLE_ID: &str = "role-1";
pub(crate) const SECRET_ID: &str = "secret-1";
pub(crate) const JWT: &str = "header.claims.signature";
pub(crate) const ROOT: &str = "hvs.root";

impl FakeVault {
    pub(crate) async fn start() -> Self {
        Self::serve(None).await
    }

    /// Over TLS, below an authority of its own.
    pub(crate) async fn start_tls() -> Self {
        let ca = DevelopmentCa::new("vault.test").unwrap();
        Self::serve(Some(&ca)).await
    }

    async fn serve(ca: Option<&DevelopmentCa>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut state = State {
            lease: 3600,
            ..State::default()
        };
        state
            .keys
            .insert("plain".to_owned(), TransitKey::new(false));
        state
            .keys
            .insert("derived".to_owned(), TransitKey::new(true));
        state.issue(ROOT);
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        let tls = ca.map(|ca| {
            let identity = ca.loopback_server().unwrap();
            let config = bartizan_testkit::tls::server_config(&identity).unwrap();
            TlsAcceptor::from(Arc::new(config))
        });
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, tls) = (Arc::clone(&shared), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => answer(stream, &state).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => answer(stream, &state).await,
                            Err(_) => None,
                        },
                    }
                });
            }
        });
        let scheme = if ca.is_some() { "https" } else { "http" };
        Self {
            url: format!("{scheme}://127.0.0.1:{port}"),
            state,
            roots: ca.map(|ca| Roots::from_der([ca.root_der().to_vec()]).unwrap()),
            task,
        }
    }

    /// How often a path with this end was asked for.
    pub(crate) fn count(&self, end: &str) -> usize {
        let state = self.state.lock().unwrap();
        state
            .paths
            .iter()
            .filter(|path| path.ends_with(end))
            .count()
    }

    pub(crate) fn stop(&self) {
        self.task.abort();
    }
}

impl Drop for FakeVault {
    fn drop(&mut self) {
        self.stop();
    }
}

/// One request of a connection, and its answer.
async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    state: &Mutex<State>,
) -> Option<()> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes.get(..end)?.to_vec()).ok()?;
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
    };
    let length: usize = header("content-length").map_or(0, |value| value.parse().unwrap());
    while bytes.len() < end + length {
        stream.read_buf(&mut bytes).await.ok()?;
    }
    let body = serde_json::from_slice(bytes.get(end..)?).unwrap_or(Value::Null);
    let mut line = head.split(' ');
    let (method, path) = (line.next()?, line.next()?);
    let (status, said) = {
        let mut state = state.lock().unwrap();
        state.paths.push(path.to_owned());
        let call = Call {
            method,
            path,
            token: header("x-vault-token"),
            namespace: header("x-vault-namespace"),
            marked: header("x-vault-request") == Some("true"),
            body,
        };
        match state.handle(&call) {
            Ok(said) => (200, said),
            Err((status, error)) => (status, json!({ "errors": [error] })),
        }
    };
    let said = said.to_string();
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n",
        said.len()
    );
    stream.write_all((head + &said).as_bytes()).await.ok()?;
    stream.shutdown().await.ok()
}

struct Call<'c> {
    method: &'c str,
    path: &'c str,
    token: Option<&'c str>,
    namespace: Option<&'c str>,
    marked: bool,
    body: Value,
}

type Said = Result<Value, (u16, &'static str)>;

impl Call<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name)?.as_str()
    }

    fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        STANDARD.decode(self.text(name)?).ok()
    }
}

const DENIED: (u16, &str) = (403, "permission denied");

impl State {
    pub(crate) fn issue(&mut self, token: &str) {
        let end = Instant::now() + Duration::from_secs(self.lease);
        self.tokens.insert(token.to_owned(), end);
    }

    fn handle(&mut self, call: &Call<'_>) -> Said {
        if self.sealed {
            return Err((503, "Vault is sealed"));
        }
        if !call.marked || call.namespace != self.namespace.as_deref() {
            return Err(DENIED);
        }
        match (call.method, call.path) {
            ("POST", "/v1/auth/approle/login") => {
                let known = call.text("role_id") == Some(ROLE_ID)
                    && call.text("secret_id") == Some(SECRET_ID);
                self.log_in(known)
            }
            ("POST", "/v1/auth/k8s/login") => {
                let known = call.text("role") == Some("clinic") && call.text("jwt") == Some(JWT);
                self.log_in(known)
            }
            (method, path) => {
                let token = call.token.ok_or(DENIED)?;
                let end = self.tokens.get(token).ok_or(DENIED)?;
                if *end <= Instant::now() {
                    return Err(DENIED);
                }
                match (method, path) {
                    ("GET", "/v1/auth/token/lookup-self") => {
                        let ttl = (*end - Instant::now()).as_secs();
                        Ok(json!({ "data": { "ttl": ttl, "renewable": true } }))
                    }
                    ("POST", "/v1/auth/token/renew-self") => {
                        self.issue(token);
                        Ok(auth(token, self.lease))
                    }
                    ("POST", path) if self.denied.is_some_and(|it| path.contains(it)) => {
                        Err(DENIED)
                    }
                    ("POST", path) => self.transit(path, call),
                    _ => Err((404, "")),
                }
            }
        }
    }

    fn log_in(&mut self, known: bool) -> Said {
        if !known {
            return Err((400, "invalid role or secret ID"));
        }
        self.issued += 1;
        let token = format!("hvs.{}", self.issued);
        self.issue(&token);
        Ok(auth(&token, self.lease))
    }

    fn transit(&self, path: &str, call: &Call<'_>) -> Said {
        let rest = path
            .strip_prefix("/v1/transit/")
            .ok_or((404, "no handler"))?;
        let (operation, name) = rest.rsplit_once('/').ok_or((404, "no handler"))?;
        let key = self
            .keys
            .get(name)
            .ok_or((400, "encryption key not found"))?;
        let context = call.bytes("context");
        if key.derived && context.is_none() {
            return Err((
                400,
                "missing 'context' for key derivation; the key was created using a derived key",
            ));
        }
        // Documented: a context is of no effect for keys without derivation.
        let context = context.filter(|_| key.derived);
        let data = match self.ignores_associated_data {
            true => Vec::new(),
            false => call.bytes("associated_data").unwrap_or_default(),
        };
        let context = context.as_deref();
        match operation {
            "encrypt" => {
                let plaintext = call.bytes("plaintext").ok_or((400, "no plaintext"))?;
                Ok(json!({ "data": { "ciphertext": key.seal(context, &data, plaintext) } }))
            }
            "decrypt" => {
                let plaintext = key.open(context, &data, call.text("ciphertext"))?;
                Ok(json!({ "data": { "plaintext": STANDARD.encode(plaintext) } }))
            }
            "rewrap" => {
                // Takes no associated data, as the documented one.
                let plaintext = key.open(context, &[], call.text("ciphertext"))?;
                Ok(json!({ "data": { "ciphertext": key.seal(context, &[], plaintext) } }))
            }
            "datakey/plaintext" => {
                let plaintext = random::<32>();
                let ciphertext = key.seal(context, &[], plaintext.to_vec());
                let plaintext = STANDARD.encode(plaintext);
                Ok(json!({ "data": { "plaintext": plaintext, "ciphertext": ciphertext } }))
            }
            _ => Err((404, "unsupported path")),
        }
    }
}

fn auth(token: &str, lease: u64) -> Value {
    json!({ "auth": { "client_token": token, "lease_duration": lease, "renewable": true } })
}

impl TransitKey {
    fn new(derived: bool) -> Self {
        let versions = vec![random()];
        Self { versions, derived }
    }

    pub(crate) fn rotate(&mut self) {
        self.versions.push(random());
    }

    fn cipher(&self, version: usize, context: Option<&[u8]>) -> Option<LessSafeKey> {
        let key = *self.versions.get(version.checked_sub(1)?)?;
        let key = match context {
            Some(context) => {
                let prf = hmac::Key::new(hmac::HMAC_SHA256, &key);
                hmac::sign(&prf, context).as_ref().to_vec()
            }
            None => key.to_vec(),
        };
        Some(LessSafeKey::new(
            UnboundKey::new(&AES_256_GCM, &key).unwrap(),
        ))
    }

    fn seal(&self, context: Option<&[u8]>, data: &[u8], mut plaintext: Vec<u8>) -> String {
        let (version, nonce) = (self.versions.len(), random::<12>());
        let cipher = self.cipher(version, context).unwrap();
        let unique = Nonce::assume_unique_for_key(nonce);
        cipher
            .seal_in_place_append_tag(unique, Aad::from(data), &mut plaintext)
            .unwrap();
        let sealed = STANDARD.encode([&nonce[..], &plaintext].concat());
        format!("vault:v{version}:{sealed}")
    }

    fn open(
        &self,
        context: Option<&[u8]>,
        data: &[u8],
        ciphertext: Option<&str>,
    ) -> Result<Vec<u8>, (u16, &'static str)> {
        let invalid = (400, "invalid ciphertext: no prefix");
        let rest = ciphertext.and_then(|text| text.strip_prefix("vault:v"));
        let (version, sealed) = rest.and_then(|rest| rest.split_once(':')).ok_or(invalid)?;
        let version = version.parse().map_err(|_| invalid)?;
        let sealed = STANDARD.decode(sealed).map_err(|_| invalid)?;
        let (nonce, sealed) = sealed.split_at_checked(12).ok_or(invalid)?;
        let cipher = self.cipher(version, context).ok_or(invalid)?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(nonce).unwrap();
        let opened = cipher.open_in_place(nonce, Aad::from(data), &mut sealed);
        let opened = opened.map_err(|_| (400, "cipher: message authentication failed"))?;
        Ok(opened.to_vec())
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).unwrap();
    bytes
}
