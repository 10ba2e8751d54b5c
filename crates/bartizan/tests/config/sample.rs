//! A folder with what a whole configuration names, and that configuration.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use bartizan_testkit::{DevelopmentCa, ManualClock, SigningAlgorithm, TokenMint};

pub(crate) const ISSUER: &str = "https://issuer.example";

/// A folder that is removed again.
pub(crate) struct Folder {
    path: PathBuf,
    pub(crate) mint: TokenMint,
}

impl Folder {
    /// With an identity, its authority, and the keys of an issuer.
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("bartizan-config-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        let ca = DevelopmentCa::new("example.org").unwrap();
        let identity = ca.workload("/orders").unwrap();
        identity.write_pem(&path, "orders").unwrap();
        ca.workload("/web")
            .unwrap()
            .write_pem(&path, "web")
            .unwrap();
        ca.write_pem(&path, "ca").unwrap();
        let clock = ManualClock::at_system_time();
        let mint = TokenMint::new(ISSUER, SigningAlgorithm::Es256, clock).unwrap();
        let folder = Self { path, mint };
        folder.write("keys.json", &folder.mint.jwks().to_string());
        folder.write("secret", "thirty-two bytes of real secrets\n");
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path.join(name);
        // In one step, as one should: whoever follows the file would find it empty in between.
        let beside = self.path.join(format!(".{name}.new"));
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(&beside, &path).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Nearly every table, with what a service would write.
pub(crate) const WHOLE: &str = r#"
[entrance]
proxies = ["10.0.0.0/8"]
routes = ["/echo", "/nested/echo", "/healthz", "/bartizan.testkit.Echo/Unary", "/orders/{id}"]

[listener]
address = "127.0.0.1:0"
chain = "orders.pem"
key = "orders-key.pem"
trust = [{ domain = "example.org", bundle = "ca.pem" }]
serve = { max_connections = 100 }

[audit]
folder = "audit"
origin = "orders.example/audit"
segment = "128KiB"
spare_segments = 0

[[audit.rule]]
level = "none"
templates = ["/healthz"]

[exempt]
paths = ["/healthz"]

[bans]
mode = "enforce"

[intake]

[deadline]
limit = "10s"
route = [{ templates = ["/orders/{id}"], limit = "20s" }]

[load]
limit = 100
priority = [{ templates = ["/orders/{id}"], priority = "critical" }]

[address_limit]
charge_unauthenticated = 2
policy = [{ name = "address", rate = "3/h" }]

[peers]
allow = ["spiffe://example.org/web"]

[peer_limit]
by = "peer + template"
policy = [{ name = "peer", rate = "1000/s burst 2000" }]

[tokens]
realm = "orders"

[[tokens.issuer]]
issuer = "https://issuer.example"
audiences = ["orders"]
key_file = "keys.json"

[principal_limit]
fields = "both"
policy = [
  { name = "gold", rate = "100/s", scope = "gold" },
  { name = "everybody", rate = "10/s" },
]

[[rules.rule]]
name = "echo"
effect = "allow"
from = [{ peers = ["spiffe://example.org/web"], scopes = ["echo"] }]
to = [{ methods = ["POST"], paths = ["/{*rest}"] }]

[[rules.rule]]
name = "nobody of evil"
effect = "deny"
from = [{ claims = [{ name = "groups", values = ["evil"] }] }]

[upload]
max_body = "64KiB"
"#;
