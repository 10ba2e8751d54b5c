//! `bartizan check`.

use std::process::Command;

use serde_json::Value;

use crate::support::{Folder, Said};

const ISSUER: &str = "[[tokens.issuer]]\nissuer = 'https://a.example'\naudiences = ['b']\n";
const RULE: &str = "[[rules.rule]]\nname = 'a'\neffect = 'allow'\n";

fn run(folder: &Folder, arguments: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bartizan"));
    command
        .arg("check")
        .args(arguments)
        .current_dir(folder.path(""));
    command
        .env("GIVEN", "value")
        .env("EMPTY", "")
        .env_remove("ABSENT");
    let output = command.output().unwrap();
    Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Files that are wrong, and the whole of what is said about each.
fn bad() -> Vec<(String, &'static str)> {
    let after = |text: &str, more: &str| format!("{text}{more}");
    let at_once = |text: &str| text.to_owned();
    vec![
        // Not TOML.
        (
            at_once("[bans"),
            "line 1, column 6: unclosed table, expected `]`",
        ),
        (
            at_once("a = 'b"),
            "line 1, column 7: invalid literal string, expected `'`",
        ),
        (at_once("[bans]\n[bans]"), "line 2, column 2: duplicate key"),
        (
            at_once("[bans]\nfirst = '1s'\nfirst = '2s'"),
            "line 3, column 1: duplicate key",
        ),
        // Names.
        (
            at_once("[token]"),
            "line 1, column 2: token: unknown option, did you mean `tokens`?",
        ),
        (
            at_once("[tokens]\nisuer = []"),
            "line 2, column 1: tokens.isuer: unknown option, did you mean `issuer`?",
        ),
        (
            after(ISSUER, "audience = 'c'"),
            "line 4, column 1: tokens.issuer[0].audience: unknown option, did you mean \
             `audiences`?",
        ),
        (
            after(ISSUER, "key-file = 'c'"),
            "line 4, column 1: tokens.issuer[0].key-file: unknown option, did you mean `key_file`?",
        ),
        (
            at_once("[tokens]\nleeway = '5s'"),
            "line 2, column 1: tokens.leeway: unknown option here, it belongs into \
             [[tokens.issuer]]",
        ),
        (
            at_once("[exempt]\nrules = []"),
            "line 2, column 1: exempt.rules: unknown option here, it belongs to the top of the \
             file",
        ),
        (
            at_once("[exempt]\nxyzzy = 1"),
            "line 2, column 1: exempt.xyzzy: unknown option, there are paths, methods",
        ),
        (
            after(RULE, "form = []"),
            "line 4, column 1: rules.rule[0].form: unknown option, did you mean `from`?",
        ),
        (
            after(RULE, "from = [{ except = [{ peer = [] }] }]"),
            "line 4, column 23: rules.rule[0].from[0].except[0].peer: unknown option, did you \
             mean `peers`?",
        ),
        // Kinds.
        (
            at_once("bans = 1"),
            "line 1, column 8: bans: expected a table, found a number",
        ),
        (
            at_once("[bans]\nexempt = '10.0.0.0/8'"),
            "line 2, column 10: bans.exempt: expected a list, found a text",
        ),
        (
            at_once("[bans]\ncapacity = '1'"),
            "line 2, column 12: bans.capacity: expected a number, found a text",
        ),
        (
            at_once("[bans]\ncapacity = 1.5"),
            "line 2, column 12: bans.capacity: expected a number, found a number with a point",
        ),
        (
            at_once("[bans]\ncapacity = -1"),
            "line 2, column 12: bans.capacity: -1 is not within 0 and 9223372036854775807",
        ),
        (
            at_once("[bans]\nlargest_share = 300"),
            "line 2, column 17: bans.largest_share: 300 is not within 0 and 255",
        ),
        (
            at_once("[bans]\nfirst = 60"),
            "line 2, column 9: bans.first: expected a duration such as \"30s\", found a number",
        ),
        (
            at_once("[bans]\nfirst = '60'"),
            "line 2, column 9: bans.first: \"60\" is no duration, such as \"30s\": a whole number \
             and ns, us, ms, s, min, h or d",
        ),
        (
            at_once("[intake]\nmax_body = '1MB'"),
            "line 2, column 12: intake.max_body: \"1MB\" is no size, such as \"64KiB\": a whole \
             number and B, KiB, MiB or GiB",
        ),
        (
            at_once("[bans]\nmode = 'shaddow'"),
            "line 2, column 8: bans.mode: \"shaddow\" is not known, did you mean \"shadow\"?",
        ),
        (
            at_once("[bans]\nmode = 'off'"),
            "line 2, column 8: bans.mode: \"off\" is not known, there are enforce, shadow",
        ),
        (
            at_once("[bans]\nexempt = ['10.0.0.0/33']"),
            "line 2, column 11: bans.exempt[0]: \"10.0.0.0/33\" is no network, such as \
             \"10.0.0.0/8\": ",
        ),
        (
            at_once("[[address_limit.policy]]\nname = 'a'\nrate = '50 per second'"),
            "line 3, column 8: address_limit.policy[0].rate: \"50 per second\" is no rate, such \
             as \"50/s burst 200\": ",
        ),
        (
            at_once("[peers]\nallow = ['example.org/web']"),
            "line 2, column 10: peers.allow[0]: \"example.org/web\" is no SPIFFE ID or pattern, \
             such as \"spiffe://example.org/ns/shop/**\": ",
        ),
        (
            at_once("[tokens]\nissuer = [{ issuer = 'a.example', audiences = ['b'] }]"),
            "line 2, column 22: tokens.issuer[0].issuer: \"a.example\" is no URL: it begins with \
             https://",
        ),
        (
            at_once(
                "[peers]\ninsecure_plaintext = { until = '2027-02-30T00:00:00Z', routes = ['/a'] }",
            ),
            "line 2, column 32: peers.insecure_plaintext.until: \"2027-02-30T00:00:00Z\" is no \
             moment, such as \"2027-03-01T00:00:00Z\"",
        ),
        (
            at_once("[address_limit]\nby = 'adress'"),
            "line 2, column 6: address_limit.by: \"adress\" is not known, did you mean \
             \"address\"?",
        ),
        // What is missing.
        (
            at_once("[load]"),
            "line 1, column 1: load.limit: is missing, and there is no default for it",
        ),
        (
            at_once("[audit]\norigin = 'a'"),
            "line 1, column 1: audit.folder: is missing, and there is no default for it",
        ),
        (
            at_once("[rules]"),
            "line 1, column 1: rules: has no rules: add [[rules.rule]], or name a `file`",
        ),
        (
            at_once("[peers]"),
            "line 1, column 1: peers: nobody is allowed: ",
        ),
        (
            at_once("[tokens]"),
            "line 1, column 1: tokens: trusts no issuer: add [[tokens.issuer]]",
        ),
        (
            at_once("[listener]\naddress = '0.0.0.0:1'\nchain = 'a'\nkey = 'b'"),
            "line 1, column 1: listener: trusts nobody: add [[listener.trust]]",
        ),
        // References.
        (
            at_once("[tokens]\nrealm = '${ABSENT}'"),
            "line 2, column 9: tokens.realm: environment variable ABSENT is not set",
        ),
        (
            at_once("[tokens]\nrealm = '${EMPTY}'"),
            "line 2, column 9: tokens.realm: environment variable EMPTY is empty",
        ),
        (
            at_once("[tokens]\nrealm = '${GIVEN:-x}'"),
            "line 2, column 9: tokens.realm: \"GIVEN:-x\" is no name of an environment variable; \
             there are no defaults for them",
        ),
        (
            after(
                ISSUER,
                "secret = [{ algorithm = 'HS256', secret = 'hunter2' }]",
            ),
            "line 4, column 43: tokens.issuer[0].secret[0].secret: a secret is not written here: \
             name it by ${NAME} or file:PATH",
        ),
        (
            after(
                ISSUER,
                "secret = [{ algorithm = 'HS256', secret = 'file:nowhere' }]",
            ),
            "line 4, column 43: tokens.issuer[0].secret[0].secret: cannot read ",
        ),
        // What does not go together.
        (
            after(
                ISSUER,
                "key_file = 'a'\nkey_location = 'https://a.example/keys'",
            ),
            "line 1, column 1: tokens.issuer: takes one of `key_file`, `key_location` and `secret`",
        ),
        (
            after(ISSUER, "leeway = '10min'"),
            "line 1, column 1: tokens.issuer: ",
        ),
        (
            at_once("[redis]\naddresses = ['redis:1']\ninstances = 1\nsecret = 'file:long'"),
            "line 1, column 1: redis: servers elsewhere are spoken to by TLS: set `tls_roots`, or \
             `insecure_plaintext`",
        ),
        (
            at_once("[address_limit]\nstore = 'redis'\npolicy = [{ name = 'a', rate = '1/s' }]"),
            "line 1, column 1: address_limit.store: counts in redis, and there is no [redis]",
        ),
        (
            at_once("[address_limit]\nby = 'subject'\npolicy = [{ name = 'a', rate = '1/s' }]"),
            "line 1, column 1: address_limit.by: \"subject\" is not proven yet where this limit \
             stands",
        ),
        (
            at_once("[address_limit]"),
            "line 1, column 1: address_limit: 0 policies, which is not within 1 and 8",
        ),
        (
            at_once("[entrance]\nproxies = ['10.0.0.0/8']\ninsecure_hops = 1"),
            "line 1, column 1: entrance: proxies are trusted by `proxies` or by `insecure_hops`, \
             not by both",
        ),
        (
            at_once("[exempt]\npaths = ['/health//z']"),
            "line 1, column 1: exempt.paths: \"/health//z\" is no path in its one spelling",
        ),
        (
            at_once("[load]\nlimit = 10\nleast = 1"),
            "line 1, column 1: load: `least`, `most` and `target` go together",
        ),
        (
            after(RULE, "[[rules.rule]]\nname = 'a'\neffect = 'deny'"),
            "line 4, column 1: rules.rule: two rules are called \"a\"",
        ),
        (
            at_once("[[rules.rule]]\nname = 'a'\neffect = 'deny'"),
            "line 1, column 3: rules.rule: no rule allows anything",
        ),
    ]
}

#[test]
fn bad_files_are_refused_with_their_line_and_what_was_meant() {
    let folder = Folder::new("check-bad");
    std::fs::write(folder.path("long"), "x".repeat(32)).unwrap();
    let table = bad();
    assert!(table.len() >= 40, "{}", table.len());
    let mut wrong = Vec::new();
    for (text, expected) in table {
        std::fs::write(folder.path("a.toml"), &text).unwrap();
        let said = run(&folder, &["a.toml"]);
        let expected = format!("a.toml: {expected}");
        let is_right = said.code == Some(1) && said.out.is_empty();
        if !is_right || !said.err.lines().any(|line| line.starts_with(&expected)) {
            wrong.push(format!("{text}\n  {expected}\n  {said:?}"));
        }
        assert!(!said.err.contains("hunter2"), "{said:?}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_good_file_is_printed_with_what_is_in_force() {
    let folder = Folder::new("check-good");
    let text = format!("[tokens]\nrealm = '<${{GIVEN}}>'\n{ISSUER}{RULE}");
    std::fs::write(folder.path("a.toml"), text).unwrap();
    let said = run(&folder, &["a.toml"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    for line in [
        "a.toml can be built.",
        "realm <${GIVEN}> (line 2)",
        "issuer[0].leeway 30s (default)",
        "warning: no [audit]: nothing is recorded",
    ] {
        let squeezed = |it: &str| it.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            said.out.lines().any(|it| squeezed(it) == line),
            "{line}\n{}",
            said.out
        );
    }
    assert_eq!(run(&folder, &["a.toml", "--strict"]).code, Some(1));

    let json = run(&folder, &["a.toml", "--json"]);
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["valid"], true);
    let mut options = json["options"].as_array().unwrap().iter();
    let leeway = options
        .find(|it| it["option"] == "tokens.issuer[0].leeway")
        .unwrap();
    assert_eq!(
        (leeway["value"].as_str(), &leeway["default"]),
        (Some("30s"), &Value::Bool(true))
    );
}

#[test]
fn yaml_is_read_by_its_name_and_problems_are_told_to_scripts() {
    let folder = Folder::new("check-yaml");
    std::fs::write(folder.path("a.yaml"), "bans:\n  capacty: 7\n").unwrap();
    let said = run(&folder, &["a.yaml", "--json"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let json: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(json["valid"], false);
    assert_eq!(json["problems"][0]["line"], 2);
    assert_eq!(json["problems"][0]["option"], "bans.capacty");
}

#[test]
fn files_that_it_names_are_read_unless_told_otherwise() {
    let folder = Folder::new("check-files");
    std::fs::write(folder.path("a.toml"), "[rules]\nfile = 'policy.toml'\n").unwrap();
    let said = run(&folder, &["a.toml"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.err
            .starts_with("a.toml: line 1, column 1: rules.file: "),
        "{said:?}"
    );
    assert_eq!(run(&folder, &["a.toml", "--alone"]).code, Some(0));
    std::fs::write(
        folder.path("policy.toml"),
        "version = 1\n[[rule]]\nnam = 'a'\n",
    )
    .unwrap();
    let said = run(&folder, &["a.toml"]);
    assert!(
        said.err.contains("policy.toml: ") && said.err.contains("line 3"),
        "{said:?}"
    );
}

#[test]
fn a_difference_says_what_needs_a_restart() {
    let folder = Folder::new("check-diff");
    std::fs::write(folder.path("old.toml"), RULE).unwrap();
    let text = format!("{RULE}[bans]\n[upload]\n");
    std::fs::write(folder.path("new.toml"), text).unwrap();
    let said = run(&folder, &["new.toml", "--diff", "old.toml"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let last = said.out.lines().last();
    let expected = "difference: in force: bans; needs a restart: upload";
    assert_eq!(last, Some(expected), "{said:?}");
    // It is not to be looked for behind the whole stack; what --strict fails for is told.
    assert!(!said.out.contains("outermost first"), "{said:?}");
    assert!(said.out.contains("warning: no [audit]"), "{said:?}");
    assert!(run(&folder, &["new.toml"]).out.contains("outermost first"));
    // A line that moved is no difference.
    std::fs::write(folder.path("new.toml"), format!("\n{RULE}")).unwrap();
    let said = run(&folder, &["new.toml", "--diff", "old.toml"]);
    let last = said.out.lines().last();
    assert_eq!(last, Some("difference: nothing changed"), "{said:?}");
    // The old file may be the one that is wrong.
    std::fs::write(folder.path("old.toml"), "[bnas]").unwrap();
    let said = run(&folder, &["new.toml", "--diff", "old.toml"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.starts_with("old.toml: line 1"), "{said:?}");
}

#[test]
fn schema_and_reference_are_printed() {
    let folder = Folder::new("check-schema");
    let said = run(&folder, &["--schema"]);
    let schema: Value = serde_json::from_str(&said.out).unwrap();
    let draft = "https://json-schema.org/draft/2020-12/schema";
    assert_eq!(schema["$schema"], draft);
    let said = run(&folder, &["--reference"]);
    assert!(said.out.starts_with("# The configuration file"), "{said:?}");
    assert_eq!(run(&folder, &[]).code, Some(2));
}

#[test]
fn sinks_witnesses_metrics_and_key_services_are_printed_without_their_secrets() {
    let folder = Folder::new("check-parts");
    let ca = bartizan_testkit::DevelopmentCa::new("example.org").unwrap();
    ca.write_pem(&folder.path(""), "ca").unwrap();
    std::fs::write(folder.path("token"), "hunter2-hunter2").unwrap();
    let text = format!(
        "{RULE}[audit]\nfolder = 'audit'\norigin = 'a.example/audit'\nkeep_for = '90d'\n\
         [[audit.sink]]\nname = 'siem'\nformat = 'ocsf'\n\
         nats = {{ servers = ['nats.internal:4222'], roots = 'ca.pem', token = 'file:token' }}\n\
         [[audit.sink]]\nname = 'logs'\n\
         syslog = {{ receiver = 'logs.internal:6514', roots = 'ca.pem' }}\n\
         [[audit.sink]]\nname = 'lines'\nstdout = true\n\
         [telemetry.prometheus]\naddress = '127.0.0.1:9464'\n\
         [encryption]\napplication = 'a'\ncollection = 'b'\nfield = [{{ path = '/c' }}]\n\
         key_file = 'keys'\nkek_env = 'GIVEN'\n\
         [encryption.vault]\nurl = 'https://vault.internal'\nkey = 'k'\ntoken = 'file:token'\n"
    );
    std::fs::write(folder.path("a.toml"), &text).unwrap();
    let said = run(&folder, &["a.toml", "--alone"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let squeezed = |it: &str| it.split_whitespace().collect::<Vec<_>>().join(" ");
    for line in [
        "keep_for 90d (line 7)",
        "sink[0].name siem (line 9)",
        "sink[0].nats.servers[0] nats.internal:4222 (line 11)",
        "sink[0].nats.window 256 (default)",
        "sink[1].syslog.facility 13 (default)",
        "sink[2].stdout true (line 17)",
        "prometheus.address 127.0.0.1:9464 (line 19)",
        "vault.mount transit (default)",
    ] {
        let mut lines = said.out.lines();
        assert!(lines.any(|it| squeezed(it) == line), "{line}\n{}", said.out);
    }
    assert!(said.out.contains("sink[0].nats.token") && said.out.contains("(secret, file:"));
    assert!(!said.out.contains("hunter2"), "{}", said.out);

    for (wrong, expected) in [
        (
            "name = 'siem'",
            "a.toml: line 16, column 1: audit.sink[2].nmae: unknown option, did you",
        ),
        (
            "stdout = true",
            "a.toml: line 17, column 1: audit.sink[2].stdot: unknown option, did you",
        ),
    ] {
        let text = match wrong.starts_with("name") {
            true => text.replace("name = 'lines'", "nmae = 'lines'"),
            false => text.replace("stdout = true", "stdot = true"),
        };
        std::fs::write(folder.path("b.toml"), text).unwrap();
        let said = run(&folder, &["b.toml", "--alone"]);
        let expected = expected.replace("a.toml", "b.toml");
        assert!(
            said.err.lines().any(|it| it.starts_with(&expected)),
            "{said:?}"
        );
    }
}

/// The snippets of this language in a page of the repository.
fn snippets(page: &str, language: &str) -> Vec<String> {
    let page = format!("{}/../../{page}", env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(page).unwrap();
    let begins = format!("```{language}");
    let mut snippets = Vec::new();
    let mut lines = page.lines();
    while lines.by_ref().any(|line| line == begins) {
        let snippet = lines.by_ref().take_while(|line| *line != "```");
        snippets.push(snippet.map(|line| format!("{line}\n")).collect());
    }
    snippets
}

#[test]
fn the_file_of_the_readme_is_good_as_it_stands() {
    let folder = Folder::new("check-readme");
    let ca = bartizan_testkit::DevelopmentCa::new("example.org").unwrap();
    ca.write_pem(&folder.path(""), "ca").unwrap();
    let identity = ca.workload("/invoices").unwrap();
    identity.write_pem(&folder.path(""), "invoices").unwrap();
    let files = snippets("README.md", "toml");
    let mut files = files.iter().filter(|it| !it.contains("[dependencies]"));
    let (Some(file), None) = (files.next(), files.next()) else {
        panic!("the README has one file of a configuration")
    };
    std::fs::write(folder.path("bartizan.toml"), file).unwrap();
    let said = run(&folder, &["bartizan.toml"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("bartizan.toml can be built."), "{said:?}");
    // What the README says about slips.
    let slip = file.replace("audiences", "audience");
    std::fs::write(folder.path("bartizan.toml"), slip).unwrap();
    let said = run(&folder, &["bartizan.toml"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let expected = "tokens.issuer[0].audience: unknown option, did you mean `audiences`?";
    assert!(said.err.contains(expected), "{said:?}");
}

/// Cedar is in the tool if it is built with it, and named if it is not.
#[test]
fn policies_in_cedar_are_checked_or_the_feature_is_named() {
    let folder = Folder::new("check-cedar");
    let write = |name: &str, text: &str| std::fs::write(folder.path(name), text).unwrap();
    let text = "[entrance]\nroutes = ['/orders']\n[rules.cedar]\nfiles = ['a.cedar']\n";
    write("bartizan.toml", text);
    let about =
        |route: &str| format!("permit (principal, action,\n  resource == Route::\"{route}\");");
    write("a.cedar", &about("/orders"));
    let said = run(&folder, &["bartizan.toml"]);
    if !cfg!(feature = "cedar") {
        let lacking = "line 3, column 1: rules.cedar: this program was built without the feature \
                       `cedar`\n";
        assert_eq!(said.code, Some(1));
        assert!(said.err.ends_with(lacking), "{}", said.err);
        return;
    }
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("cedar.files[0]"), "{}", said.out);
    write("a.cedar", &about("/ordrs"));
    let said = run(&folder, &["bartizan.toml"]);
    assert_eq!(said.code, Some(1));
    let expected = "a.cedar: line ";
    assert!(
        said.err.contains("line 3, column 1: rules.cedar: ") && said.err.contains(expected),
        "{}",
        said.err
    );
}

/// The tool has no tracer, and needs none to say what a file puts in force.
#[test]
fn spans_are_shown_without_a_tracer() {
    let folder = Folder::new("check-spans");
    let text = "[telemetry.spans]\ntrust = 'nobody'\n";
    std::fs::write(folder.path("bartizan.toml"), text).unwrap();
    let said = run(&folder, &["bartizan.toml"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    let line = said.out.lines().find(|line| line.contains("spans.trust"));
    assert!(
        line.is_some_and(|line| line.contains("nobody  (line 2)")),
        "{}",
        said.out
    );
}
