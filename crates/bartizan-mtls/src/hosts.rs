//! The listener as axum and tonic ask for it.

#[cfg(feature = "axum")]
impl<P: crate::Presence> axum::serve::Listener for crate::MtlsListener<P> {
    type Io = crate::MtlsStream<P>;
    // What the layers need to know. `AxumListener` of core hands it to each request.
    type Addr = bartizan_core::Connection;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match Self::accept(self).await {
            Ok(stream) => {
                let connection = stream.connection().clone();
                (stream, connection)
            }
            // The runtime is shutting down. There is nothing to give any more, and no way to say
            // so here.
            Err(_) => std::future::pending().await,
        }
    }

    /// The address that it listens on, in the form of a connection without a peer.
    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        Ok(bartizan_core::Connection::from_remote(Self::local_addr(
            self,
        )))
    }
}

#[cfg(feature = "tonic")]
impl<P: crate::Presence> tonic::transport::server::Connected for crate::MtlsStream<P> {
    type ConnectInfo = bartizan_core::Connection;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.connection().clone()
    }
}

// The snippet of the README, compiled with the tests.
#[cfg(all(doctest, feature = "axum"))]
#[doc = include_str!("../README.md")]
struct Readme;
