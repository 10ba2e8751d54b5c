//! Fields for tracing and logs: what a client writes into them is a client's word.

use crate::given::{Given, Made};
use crate::table::table;

table! { Headers;
    "header.trace-malformed" [Harmless] "parents of a trace that are none", "W3C Trace Context §3.2" =>
        |given| values(given, "traceparent", &["", "00", "00-0-0-0", "ff-00000000000000000000000000000001-0000000000000001-01", "00-00000000000000000000000000000000-0000000000000000-00", "00-GGGGGGGGGGGGGGGGGGGGGGGGGGGGGGGG-0000000000000001-01", "zz"]);
    "header.trace-long" [Harmless] "the parent of a trace of thousands of characters", "W3C Trace Context §3.2" =>
        |given| values(given, "traceparent", &["0".repeat(5000).as_str(), format!("00-{}-01", "a".repeat(3000)).as_str()]);
    "header.trace-twice" [Harmless] "two parents of a trace", "W3C Trace Context §3.2" =>
        |given| given.drafts(|it| {
            let one = "00-00000000000000000000000000000001-0000000000000001-01";
            [it.and_field("traceparent", one).and_field("traceparent", one.replace('1', "2"))]
        });
    "header.trace-state-malformed" [Harmless] "states of a trace that are none, or hundreds", "W3C Trace Context §3.3" =>
        |given| {
            let many: String = (0..400).map(|number| format!("k{number}=v,")).collect();
            values(given, "tracestate", &["=", ",,,", "a", "a=b=c", many.as_str(), "A@=1"])
        };
    "header.trace-by-zipkin" [Harmless] "identifiers of Zipkin that are none", "CWE-20" =>
        |given| given.drafts(|it| ["b3", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-b3-flags"].into_iter()
            .flat_map(|name| ["", "-", "x", "0", "99999999999999999999999999999999999"].map(|value| it.clone().field(name, value)))
            .collect::<Vec<_>>());
    "header.trace-by-vendors" [Harmless] "identifiers of other tracers that are none", "CWE-20" =>
        |given| given.drafts(|it| ["uber-trace-id", "x-amzn-trace-id", "x-cloud-trace-context", "x-datadog-trace-id", "sentry-trace", "grpc-trace-bin"]
            .map(|name| it.clone().field(name, "!:-1:0:;=99999999999999999999")));
    "header.baggage-malformed" [Harmless] "baggage that is none, or thousands of bytes", "W3C Baggage §3" =>
        |given| {
            let many: String = (0..200).map(|number| format!("k{number}=v;p=q,")).collect();
            values(given, "baggage", &["=", ";;", "a", "%", "a=%zz", many.as_str()])
        };
    "header.request-id-malformed" [Harmless] "identifiers of a request that are long, markup, or paths", "CWE-117" =>
        |given| given.drafts(|it| {
            let long = "a".repeat(4000);
            ["", "<script>", "../../x", "%0d%0ax", "a b c", long.as_str()].map(|value| it.clone().field("x-request-id", value).field("x-correlation-id", value))
        });
    "header.request-id-twice" [Harmless] "two identifiers of a request", "CWE-345" =>
        |given| given.drafts(|it| [it.and_field("x-request-id", "a").and_field("x-request-id", "b")]);
    "header.agent-for-the-log" [Harmless] "a client's name that is a look-up, markup or an escape", "CVE-2021-44228" =>
        |given| given.drafts(|it| ["user-agent", "referer", "from"].into_iter()
            .flat_map(|name| ["${jndi:ldap://127.0.0.1:9/a}", "() { :; }; id", "<img src=x>", "%n%n%s", "'--"].map(|value| it.clone().field(name, value)))
            .collect::<Vec<_>>());
    "header.deadline-malformed" [Harmless] "deadlines that are none", "CWE-20" =>
        |given| given.plain(|it| ["grpc-timeout", "x-request-timeout", "x-envoy-expected-rq-timeout-ms", "x-envoy-upstream-rq-timeout-ms", "request-timeout"].into_iter()
            .flat_map(|name| ["", "-1", "0x", "99999999999999999999", "1H1H"].map(|value| it.clone().field(name, value)))
            .collect::<Vec<_>>());
    "header.priority-malformed" [Harmless] "priorities that are none", "RFC 9218 §5" =>
        |given| values(given, "priority", &["u=9", "u=-1", "i=?2", ";;;", "u=1, u=2"]);
    "header.idempotency-key-malformed" [Harmless] "keys of idempotency that are none", "CWE-20" =>
        |given| values(given, "idempotency-key", &["", "\"", "../x", "' OR 1=1 --", "a, a"]);
    "header.retries-of-envoy" [Harmless] "retries and faults that proxies are asked for", "CWE-400" =>
        |given| given.drafts(|it| ["x-envoy-max-retries", "x-envoy-retry-on", "x-envoy-fault-abort-request", "x-envoy-fault-delay-request", "x-envoy-decorator-operation"]
            .map(|name| it.clone().field(name, "999999")));
}

fn values(given: &Given<'_>, name: &str, values: &[&str]) -> Made {
    given.drafts(|it| {
        let drafts = values.iter().map(|value| it.clone().field(name, value));
        drafts.collect::<Vec<_>>()
    })
}
