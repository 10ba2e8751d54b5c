//! A service that is not written in Rust, with the standard library of its language alone.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::Town;

/// A WSGI application, which sees headers as variables: `-` and `_` are the same to it.
const SERVICE: &str = r#"
import json
from wsgiref.simple_server import WSGIRequestHandler, make_server

class Silent(WSGIRequestHandler):
    def log_message(self, *arguments):
        pass

def service(environ, start_response):
    seen = {name: value for name, value in environ.items() if name.startswith("HTTP_")}
    length = int(environ.get("CONTENT_LENGTH") or 0)
    seen["body"] = environ["wsgi.input"].read(length).decode()
    seen["line"] = environ["REQUEST_METHOD"] + " " + environ["PATH_INFO"]
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(seen).encode()]

server = make_server("127.0.0.1", 0, service, handler_class=Silent)
print(server.server_port, flush=True)
server.serve_forever()
"#;

struct Python(Child);

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn python() -> Option<(Python, SocketAddr)> {
    let started = Command::new("python3")
        .args(["-c", SERVICE])
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut process) = started else {
        let required = std::env::var_os("BARTIZAN_REQUIRE_SERVERS").is_some();
        assert!(!required, "python3 is not installed");
        eprintln!("python3 is not installed: nothing was tried");
        return None;
    };
    let mut line = String::new();
    let mut lines = BufReader::new(process.stdout.take().unwrap());
    lines.read_line(&mut line).unwrap();
    let port: u16 = line.trim().parse().unwrap();
    Some((Python(process), ([127, 0, 0, 1], port).into()))
}

#[tokio::test]
async fn a_python_service_knows_who_asks_and_cannot_be_told_otherwise() {
    let Some((_python, address)) = python() else {
        return;
    };
    let town = Town::new().await;
    let gate = town.start(&town.plain(address)).await;
    let client = town.client(None);
    let token = town.token().sign().unwrap();
    let ask = |token: Option<&str>| {
        let request = client
            .post(gate.url("/open/orders"))
            .header("X_Bartizan_Subject", "root")
            .header("X-Bartizan_Roles", "admin")
            .header("X_Forwarded_For", "6.6.6.6")
            .body("two lamps");
        match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    };
    for (token, subject) in [
        (Some(token.as_str()), Value::from("alice")),
        (None, Value::Null),
    ] {
        let text = ask(token).send().await.unwrap().text().await.unwrap();
        let seen: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(seen["HTTP_X_BARTIZAN_SUBJECT"], subject, "{text}");
        assert_eq!(seen["HTTP_X_FORWARDED_FOR"], "127.0.0.1");
        assert_eq!(seen["line"], "POST /open/orders");
        assert_eq!(seen["body"], "two lamps");
        assert_eq!(seen["HTTP_AUTHORIZATION"], Value::Null);
        assert!(!text.contains("root") && !text.contains("admin"), "{text}");
    }
    // And what it may not be asked, it is not.
    let refused = client.get(gate.url("/api/orders")).send().await.unwrap();
    assert_eq!(refused.status(), 401);
}
