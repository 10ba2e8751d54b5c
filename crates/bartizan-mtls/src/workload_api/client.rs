//! The task that holds the stream open.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Clock, Code, Event, LifecycleEvent, LifecycleKind, Observe};
use bartizan_source::{Backoff, Publisher, random};
use http::uri::PathAndQuery;
use tokio::time::sleep;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint as Transport};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use crate::acceptor::LAYER;
use crate::material::Material;
use crate::workload_api::endpoint::Endpoint;
use crate::workload_api::message::{X509SvidRequest, X509SvidResponse};
use crate::workload_api::unix::Connector;
use crate::workload_api::update::{self, Wanted};
use crate::workload_api::{
    FEDERATED_BUNDLE_IGNORED, WORKLOAD_API_FAILED, WORKLOAD_API_STOPPED, WORKLOAD_API_UPDATED,
};

/// What gRPC libraries allow unless told otherwise: a thousand federated bundles of 4 KiB.
const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// The socket is on this machine.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) struct Client {
    pub(super) endpoint: Endpoint,
    pub(super) wanted: Wanted,
    pub(super) backoff: Backoff,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Option<Arc<dyn Observe>>,
    pub(super) publisher: Publisher<Material>,
}

impl Client {
    /// Follows the Workload API until it says that there is no use.
    pub(super) async fn run(mut self) {
        loop {
            let status = match self.follow().await {
                Ok(()) => Status::unavailable("stream ended"),
                Err(status) => status,
            };
            let detail = format!("{}: {}", status.code(), shortened(status.message()));
            self.publisher.fail(detail.as_str());
            //= SPIFFE Workload Endpoint §6: on InvalidArgument the client SHOULD NOT retry;
            //= SPIFFE Workload API §5: Unimplemented means that the profile is not served.
            if matches!(
                status.code(),
                tonic::Code::InvalidArgument | tonic::Code::Unimplemented
            ) {
                self.tell(LifecycleKind::Stopped, WORKLOAD_API_STOPPED, None, &detail);
                return;
            }
            self.tell(
                LifecycleKind::SourceFailed,
                WORKLOAD_API_FAILED,
                None,
                &detail,
            );
            sleep(self.backoff.next(random())).await;
        }
    }

    /// Opens a stream and publishes what comes, until it ends.
    async fn follow(&mut self) -> Result<(), Status> {
        let channel = self.connect().await.map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            Status::unavailable(cause.unwrap_or_else(|| error.to_string()))
        })?;
        let mut grpc =
            tonic::client::Grpc::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
        grpc.ready()
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let mut request = Request::new(X509SvidRequest {});
        //= SPIFFE Workload Endpoint §3: clients MUST include this on every request.
        let metadata = request.metadata_mut();
        metadata.insert("workload.spiffe.io", MetadataValue::from_static("true"));
        let path = PathAndQuery::from_static("/SpiffeWorkloadAPI/FetchX509SVID");
        let codec = ProstCodec::<X509SvidRequest, X509SvidResponse>::default();
        let mut stream = grpc
            .server_streaming(request, path, codec)
            .await?
            .into_inner();
        while let Some(message) = stream.message().await? {
            self.take(message);
        }
        Ok(())
    }

    fn take(&mut self, message: X509SvidResponse) {
        let update = match update::read(message, &self.wanted, self.clock.wall()) {
            Ok(update) => update,
            Err(error) => {
                let detail = whole(&error);
                self.publisher.fail(detail.as_str());
                self.tell(
                    LifecycleKind::SourceFailed,
                    WORKLOAD_API_FAILED,
                    None,
                    &detail,
                );
                return;
            }
        };
        for (name, error) in &update.ignored {
            let kind = LifecycleKind::SourceFailed;
            self.tell(kind, FEDERATED_BUNDLE_IGNORED, Some(name), &whole(error));
        }
        let generation = self.publisher.publish(update.material);
        self.backoff.reset();
        let detail = format_args!("generation {generation}").to_string();
        self.tell(
            LifecycleKind::SourceRefreshed,
            WORKLOAD_API_UPDATED,
            None,
            &detail,
        );
    }

    async fn connect(&self) -> Result<Channel, tonic::transport::Error> {
        match &self.endpoint {
            Endpoint::Tcp(address) => {
                Transport::from_shared(format!("http://{address}"))?
                    .connect_timeout(CONNECT_TIMEOUT)
                    .connect()
                    .await
            }
            Endpoint::Unix(path) => {
                // The name in `:authority`; a path is not fit for it.
                Transport::from_static("http://localhost")
                    .connect_timeout(CONNECT_TIMEOUT)
                    .connect_with_connector(Connector::new(path))
                    .await
            }
        }
    }

    fn tell(
        &self,
        kind: LifecycleKind,
        code: Code,
        subject: Option<&str>,
        detail: &(dyn Display + Sync),
    ) {
        if let Some(observer) = &self.observer {
            let mut event = LifecycleEvent::new(LAYER, kind, code).with_detail(detail);
            if let Some(subject) = subject {
                event = event.with_subject(subject);
            }
            observer.observe(&Event::Lifecycle(event));
        }
    }
}

/// The message of an error and of its causes.
fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// What an agent says, cut at a fixed length.
fn shortened(message: &str) -> String {
    message.chars().take(200).collect()
}
