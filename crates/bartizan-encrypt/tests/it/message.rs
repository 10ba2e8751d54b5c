//! Protobuf messages through a real tonic server and client: the service stores ciphertext, and
//! callers see what they may.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bartizan_core::{
    Enforcement, Event, Principal, Rejection, Scheme, SecurityContext, observe_fn,
};
use bartizan_encrypt::{
    EncryptErrorKind, FieldRule, Grant, KeyBytes, KeyFile, KeyScope, Keyring, LocalKek, Mask,
    MessageFields, MessageFieldsBuilder, Place, Shown,
};
use http::uri::PathAndQuery;
use prost::Message;
use tonic::server::{NamedService, UnaryService};
use tonic::{Code, Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::Service;

#[derive(Clone, PartialEq, Message)]
struct Card {
    #[prost(string, tag = "1")]
    number: String,
    #[prost(string, tag = "2")]
    till: String,
}

#[derive(Clone, PartialEq, Message)]
struct Patient {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(string, tag = "2")]
    ssn: String,
    #[prost(message, repeated, tag = "3")]
    cards: Vec<Card>,
    #[prost(bytes = "vec", tag = "4")]
    scan: Vec<u8>,
}

const PUT: &str = "/clinic.Patients/Put";
const GET: &str = "/clinic.Patients/Get";

/// A folder that is removed again.
struct Folder(std::path::PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Keeps patients sealed, as its database would.
#[derive(Clone)]
struct Patients {
    fields: MessageFields,
    stored: Arc<Mutex<HashMap<String, Patient>>>,
}

impl NamedService for Patients {
    const NAME: &'static str = "clinic.Patients";
}

impl Patients {
    /// The scope is what a token layer would have proven.
    fn context(request: &Request<Patient>) -> SecurityContext {
        let context = SecurityContext::new(PUT.parse().unwrap());
        let scope = request.metadata().get("x-scope");
        let scope = scope.map_or("", |scope| scope.to_str().unwrap()).to_owned();
        let principal = Principal::builder(Scheme::Jwt, "https://issuer.example", "caller");
        let principal = principal.with_scopes([scope.as_str()]).assert_verified();
        context.set_principal(principal).unwrap();
        context
    }

    async fn answer(self, put: bool, request: Request<Patient>) -> Result<Patient, Status> {
        let context = Self::context(&request);
        let message = request.into_inner();
        let refused = |error| {
            Status::from_header_map(
                Rejection::from(error)
                    .into_response(bartizan_core::Protocol::Grpc)
                    .headers(),
            )
            .unwrap()
        };
        let place = Place::new("acme").and_then(|place| place.with_record(&message.id));
        let mut call = self
            .fields
            .begin(place.map_err(refused)?, &context)
            .await
            .map_err(refused)?;
        if put {
            let sealed = call.seal(&message).map_err(refused)?;
            self.stored
                .lock()
                .unwrap()
                .insert(message.id.clone(), sealed);
        }
        let stored = self.stored.lock().unwrap().get(&message.id).cloned();
        call.reveal(&stored.unwrap_or_default()).map_err(refused)
    }
}

struct Method(Patients, bool);

impl UnaryService<Patient> for Method {
    type Response = Patient;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Patient>, Status>> + Send>>;

    fn call(&mut self, request: Request<Patient>) -> Self::Future {
        let answer = self.0.clone().answer(self.1, request);
        Box::pin(async { answer.await.map(Response::new) })
    }
}

impl Service<http::Request<tonic::body::Body>> for Patients {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let method = Method(self.clone(), request.uri().path() == PUT);
        Box::pin(async {
            let mut host = tonic::server::Grpc::new(ProstCodec::default());
            Ok(host.unary(method, request).await)
        })
    }
}

/// A running service, and what it says.
struct Stage {
    patients: Patients,
    keyring: Keyring,
    client: tonic::client::Grpc<tonic::transport::Channel>,
    events: Arc<Mutex<Vec<String>>>,
    _folder: Folder,
}

fn rules(builder: MessageFieldsBuilder) -> MessageFieldsBuilder {
    let plain = || Grant::scope("pii:read");
    builder
        .add_field(
            FieldRule::new("/2")
                .show(plain(), Shown::Plain)
                .show(Grant::scope("support"), Shown::Masked(Mask::Last4))
                .show(Grant::scope("audit"), Shown::Refused),
        )
        .add_field(
            FieldRule::new("/3/1")
                .show(plain(), Shown::Plain)
                .otherwise(Shown::Omitted),
        )
        .add_field(FieldRule::new("/4").show(plain(), Shown::Plain))
}

impl Stage {
    async fn new(name: &str, enforcement: Enforcement) -> Self {
        let folder = format!("bartizan-message-{}-{name}", std::process::id());
        let folder = Folder(std::env::temp_dir().join(folder));
        std::fs::create_dir_all(&folder.0).unwrap();
        let kek = LocalKek::new(&KeyBytes::generate().unwrap());
        let store = KeyFile::create(&folder.0.join("keys.json"), kek.clone()).unwrap();
        let keyring = Keyring::builder("clinic", store, kek).build().unwrap();
        let events = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&events);
        let observer = observe_fn(move |event: &Event<'_>| {
            if let Event::Decision(event) = event {
                let detail = event.decision().detail().unwrap_or_default();
                let code = event.code().map(|code| code.as_str());
                let line = format!("{} {code:?} {detail}", event.outcome().as_str());
                sink.lock().unwrap().push(line);
            }
        });
        let fields = MessageFields::builder(keyring.clone(), "patient")
            .with_enforcement(enforcement)
            .with_observer(Arc::new(observer));
        let patients = Patients {
            fields: rules(fields).build().unwrap(),
            stored: Arc::default(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tonic::transport::Server::builder().add_service(patients.clone());
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        tokio::spawn(server.serve_with_incoming(incoming));
        let channel = tonic::transport::Endpoint::try_from(format!("http://{address}")).unwrap();
        Self {
            patients,
            keyring,
            client: tonic::client::Grpc::new(channel.connect().await.unwrap()),
            events,
            _folder: folder,
        }
    }

    async fn call(
        &mut self,
        method: &'static str,
        scope: &str,
        patient: Patient,
    ) -> Result<Patient, Status> {
        let mut request = Request::new(patient);
        request
            .metadata_mut()
            .insert("x-scope", scope.parse().unwrap());
        self.client.ready().await.unwrap();
        let path = PathAndQuery::from_static(method);
        let answer = self
            .client
            .unary(request, path, ProstCodec::default())
            .await;
        answer.map(Response::into_inner)
    }

    async fn get(&mut self, scope: &str, id: &str) -> Result<Patient, Status> {
        let id = id.to_owned();
        self.call(
            GET,
            scope,
            Patient {
                id,
                ..Patient::default()
            },
        )
        .await
    }

    fn stored(&self, id: &str) -> Patient {
        self.patients
            .stored
            .lock()
            .unwrap()
            .get(id)
            .unwrap()
            .clone()
    }

    fn last_event(&self) -> String {
        self.events.lock().unwrap().last().unwrap().clone()
    }
}

fn alice() -> Patient {
    let card = |number: &str| Card {
        number: number.to_owned(),
        till: "12/30".to_owned(),
    };
    Patient {
        id: "17".to_owned(),
        ssn: "078-05-1120".to_owned(),
        cards: vec![card("4111111111111111"), card("5500000000000004")],
        scan: vec![0, 255, 128, 7],
    }
}

#[tokio::test]
async fn a_service_stores_ciphertext_and_callers_see_what_their_scopes_allow() {
    let mut stage = Stage::new("scopes", Enforcement::Enforce).await;
    let answer = stage.call(PUT, "pii:read", alice()).await.unwrap();
    assert_eq!(answer, alice());
    let key = stage
        .keyring
        .records(&KeyScope::tenant("acme"))
        .await
        .unwrap()[0]
        .id;
    let told = format!(
        "allowed None /2 sealed 1 {key}; /3/1 sealed 2 {key}; /4 sealed 1 {key}; \
         /2 plain 1 {key}; /3/1 plain 2 {key}; /4 plain 1 {key}"
    );
    assert_eq!(stage.last_event(), told);
    let stored = stage.stored("17");
    assert!(stored.ssn.starts_with("fe1.") && stored.scan.starts_with(b"fe1."));
    assert!(
        stored
            .cards
            .iter()
            .all(|card| card.number.starts_with("fe1."))
    );
    assert_eq!(
        (stored.id.as_str(), stored.cards[0].till.as_str()),
        ("17", "12/30")
    );

    assert_eq!(stage.get("pii:read", "17").await.unwrap(), alice());
    let support = stage.get("support", "17").await.unwrap();
    assert_eq!(support.ssn, "****1120");
    assert_eq!(
        support.cards[1],
        Card {
            till: "12/30".to_owned(),
            ..Card::default()
        }
    );
    assert_eq!(support.scan, stored.scan, "the ciphertext");
    let refused = stage.get("audit", "17").await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert!(
        stage
            .last_event()
            .starts_with("denied Some(\"encrypt.access_denied\")")
    );
    assert_eq!(
        stage.events.lock().unwrap().len(),
        4,
        "one decision per call"
    );
}

#[tokio::test]
async fn a_moved_or_injected_ciphertext_is_refused() {
    let mut stage = Stage::new("moved", Enforcement::Enforce).await;
    stage.call(PUT, "", alice()).await.unwrap();
    let stored = stage.stored("17");
    let injected = stage.call(PUT, "", stored.clone()).await.unwrap_err();
    assert_eq!(injected.code(), Code::InvalidArgument);
    assert!(stage.last_event().contains("/2 ciphertext_injected 1"));

    let moved = Patient {
        id: "18".to_owned(),
        ..stored.clone()
    };
    stage
        .patients
        .stored
        .lock()
        .unwrap()
        .insert("18".to_owned(), moved);
    let refused = stage.get("pii:read", "18").await.unwrap_err();
    assert_eq!(refused.code(), Code::Internal);
    assert!(stage.last_event().contains("/2 context_mismatch 1"));

    let mut swapped = stored;
    std::mem::swap(&mut swapped.ssn, &mut swapped.cards[0].number);
    stage
        .patients
        .stored
        .lock()
        .unwrap()
        .insert("17".to_owned(), swapped);
    let refused = stage.get("pii:read", "17").await.unwrap_err();
    assert_eq!(refused.code(), Code::Internal);
}

#[tokio::test]
async fn fields_of_whoever_was_erased_are_left_out() {
    let mut stage = Stage::new("erased", Enforcement::Enforce).await;
    let context = SecurityContext::new(GET.parse().unwrap());
    let person = || Place::new("acme").unwrap().with_subject("alice").unwrap();
    let mut call = stage
        .patients
        .fields
        .begin(person(), &context)
        .await
        .unwrap();
    let hers = alice();
    let sealed = call.seal(&hers).unwrap();
    drop(call);
    let alice = bartizan_core::Subject::new("acme", "alice");
    stage.keyring.erase(&alice).await.unwrap();
    let principal = Principal::builder(Scheme::Jwt, "https://issuer.example", "caller");
    let principal = principal.with_scopes(["pii:read"]).assert_verified();
    context.set_principal(principal).unwrap();
    let mut call = stage
        .patients
        .fields
        .begin(person(), &context)
        .await
        .unwrap();
    let shown: Patient = call.reveal(&sealed).unwrap();
    assert_eq!((shown.ssn.as_str(), shown.id.as_str()), ("", "17"));
    let error = call.seal(&hers).unwrap_err();
    assert_eq!(error.kind(), EncryptErrorKind::Shredded);
    drop(call);
    assert!(
        stage.last_event().contains("/3/1 shredded 2"),
        "{}",
        stage.last_event()
    );
    assert_eq!(stage.get("", "17").await.unwrap(), Patient::default());
}

#[tokio::test]
async fn shadow_mode_lets_pass_and_records() {
    let mut stage = Stage::new("shadow", Enforcement::Shadow).await;
    let answer = stage.call(PUT, "audit", alice()).await.unwrap();
    assert_eq!((answer, stage.stored("17")), (alice(), alice()));
    let event = stage.last_event();
    assert!(
        event.contains("/2 sealed 1") && event.starts_with("would_have_denied"),
        "{event}"
    );
    assert!(!event.contains("078"), "{event}");
}

#[tokio::test]
async fn rejects_when_unconfigured() {
    let stage = Stage::new("unconfigured", Enforcement::Enforce).await;
    let none = MessageFields::builder(stage.keyring.clone(), "patient").build();
    assert!(none.is_err());
    let named = FieldRule::new("/ssn");
    let named = MessageFields::builder(stage.keyring.clone(), "patient").add_field(named);
    assert!(named.build().is_err());
}
