//! gRPC where none is, and other forms of it where it is.

use crate::given::{Given, Made};
use crate::table::table;

table! { Protocol;
    "protocol.grpc-type-without-credential" "a request that says it is gRPC, so that its refusal is written in another way", "gRPC over HTTP/2" =>
        |given| typed(given, &["application/grpc", "application/grpc+proto", "application/grpc+json", "application/grpc;a=b"]);
    "protocol.grpc-type-in-other-case" "the type of gRPC in other case, without a credential", "RFC 9110 §8.3.1" =>
        |given| typed(given, &["APPLICATION/GRPC", "Application/gRPC+proto"]);
    "protocol.grpc-type-look-alike" "types that begin with that of gRPC, without a credential", "RFC 9110 §8.3.1" =>
        |given| typed(given, &["application/grpcx", "application/grpc/x", "application/grp", "application/grpc-foo"]);
    "protocol.grpc-web" "gRPC for browsers, without a credential", "gRPC-Web" =>
        |given| typed(given, &["application/grpc-web", "application/grpc-web+proto", "application/grpc-web-text", "application/grpc-web-text+proto"]);
    "protocol.grpc-connect" "gRPC by the protocol of Connect, without a credential", "Connect Protocol" =>
        |given| { given.bares(|it| ["application/connect+proto", "application/connect+json", "application/proto"]
            .map(|kind| it.clone().method("POST").field("content-type", kind).field("connect-protocol-version", "1"))) };
    "protocol.grpc-by-other-method" "a call by other methods than POST, without a credential", "gRPC over HTTP/2" =>
        |given| { given.grpcs(|it| [it])?; given.bares(|it| ["GET", "PUT", "OPTIONS", "HEAD"].map(|method| it.clone().method(method))) };
    "protocol.grpc-without-te" [Harmless] "a call that does not say that it takes trailers", "gRPC over HTTP/2" =>
        |given| given.grpcs(|it| [it.without("te")]);
    "protocol.grpc-without-type" [Harmless] "a call without a type", "gRPC over HTTP/2" =>
        |given| given.grpcs(|it| [it.clone().without("content-type"), it.field("content-type", "text/plain")]);
    "protocol.grpc-method-in-other-case" "the name of a method in other case", "gRPC over HTTP/2" =>
        |given| given.grpcs(|it| [it.target.to_lowercase(), it.target.to_uppercase()].map(|target| it.clone().target(target)));
    "protocol.grpc-method-with-more" "the name of a method with slashes, dots and spaces", "gRPC over HTTP/2" =>
        |given| given.grpcs(|it| {
            let path = it.target.clone();
            [format!("{path}/"), format!("/{path}"), format!("/x/..{path}"), format!("{path}%20"), format!("{path}/x"), format!("/x{path}"), path.replacen('.', "%2e", 1)]
                .map(|target| it.clone().target(target))
        });
    "protocol.grpc-method-unknown" "a method that is not there", "gRPC over HTTP/2" =>
        |given| given.grpcs(|it| {
            let service = it.target.rsplit_once('/').map_or("", |(service, _)| service).to_owned();
            [format!("{service}/"), format!("{service}/Nothing"), format!("{service}/../x"), "/".to_owned(), "/x".to_owned(), "//".to_owned()]
                .map(|target| it.clone().target(target))
        });
    "protocol.grpc-reflection" "what methods there are, without a credential", "CWE-200" =>
        |given| { given.grpcs(|it| [it])?; given.bares(|it| ["/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"]
            .map(|target| it.clone().target(target).body([0, 0, 0, 0, 2, 0x3a, 0]))) };
    "protocol.grpc-channels" "what the server knows of its connections, without a credential", "CWE-200" =>
        |given| { given.grpcs(|it| [it])?; given.bares(|it| ["/grpc.channelz.v1.Channelz/GetServers", "/grpc.channelz.v1.Channelz/GetTopChannels"]
            .map(|target| it.clone().target(target).body([0; 5]))) };
    "protocol.grpc-token-in-metadata" "a good credential in other metadata", "CWE-290" =>
        |given| {
            let value = given.control().value("authorization");
            given.grpcs(|it| [it])?;
            given.bares(|it| ["token", "auth", "authorization-bin", "grpc-authorization", "x-authorization", "jwt"].map(|name| it.clone().field(name, &value)))
        };
    "protocol.grpc-as-plain" "a call as a plain request of JSON, without a credential", "CWE-436" =>
        |given| { given.grpcs(|it| [it])?; given.bares(|it| [it.clone().field("content-type", "application/json").body("{}"), it.without("content-type").method("GET").body("")]) };
}

/// The control request under types of gRPC, without a credential.
fn typed(given: &Given<'_>, types: &[&str]) -> Made {
    given.bares(|it| {
        let draft = it
            .method("POST")
            .field("te", "trailers")
            .body([0, 0, 0, 0, 0]);
        let drafts = types
            .iter()
            .map(|kind| draft.clone().field("content-type", kind));
        drafts.collect::<Vec<_>>()
    })
}
