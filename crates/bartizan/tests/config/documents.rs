//! What a file says, and what is wrong with others.

use bartizan::config::Config;
use proptest::prelude::*;

use crate::sample::{Folder, WHOLE};

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let folder = std::env::temp_dir();
    let problems = match Config::from_toml(text, folder) {
        Ok(_) => Vec::new(),
        Err(error) => error.problems().iter().map(ToString::to_string).collect(),
    };
    assert_eq!(problems, expected, "{text}");
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_its_place() {
    check(
        "[bans]\ncapacty = 7\nfirst = \"1 hour\"\n\n[intake]\nmax_body = true\n",
        &[
            "line 2, column 1: bans.capacty: unknown option, did you mean `capacity`?",
            "line 3, column 9: bans.first: \"1 hour\" is no duration, such as \"30s\": a whole \
             number and ns, us, ms, s, min, h or d",
            "line 6, column 12: intake.max_body: expected a size such as \"64KiB\", found a boolean",
        ],
    );
    check(
        "a =\n",
        &["line 1, column 4: string values must be quoted, expected literal string"],
    );
    check(
        "[load]\n",
        &["line 1, column 1: load.limit: is missing, and there is no default for it"],
    );
    let short = "line 1, column 1: reload_interval: is less than 100ms";
    check("reload_interval = '1ns'", &[short]);
    check("reload_interval = '0s'", &[]);
    check(
        "leeway = '5s'",
        &["line 1, column 1: leeway: unknown option here, it belongs into [[tokens.issuer]]"],
    );
    check(
        "[bans]\ncapacity = 0",
        &["line 1, column 1: bans: bans: capacity is not within 1 and 2^24"],
    );
}

#[test]
fn an_empty_list_widens_nothing_and_is_refused_with_its_line() {
    let rule = "[[rules.rule]]\nname = 'a'\neffect = 'allow'\n";
    let issuer = "[[tokens.issuer]]\nissuer = 'https://a.example'\naudiences = ['b']\n";
    let empty = |text: &str, path: &str| {
        let error = Config::from_toml(text, "").unwrap_err();
        let expected = "is an empty list: leave the option out for its default";
        let of = error.problems().iter().find(|it| it.path() == path);
        let of = of.unwrap_or_else(|| panic!("{path}: {error}"));
        assert_eq!(of.message(), expected, "{text}");
        assert_eq!(of.line(), Some(text.lines().count()), "{text}");
    };
    for name in ["from", "to"] {
        empty(
            &format!("{rule}{name} = []"),
            &format!("rules.rule[0].{name}"),
        );
    }
    for name in [
        "peers",
        "trust_domains",
        "issuers",
        "subjects",
        "clients",
        "any_scope",
        "scopes",
        "roles",
        "claims",
        "networks",
        "except",
    ] {
        let path = format!("rules.rule[0].from[0].{name}");
        empty(&format!("{rule}from = [{{ {name} = [] }}]"), &path);
    }
    for name in ["methods", "paths", "except_paths", "grpc", "hosts", "ports"] {
        let path = format!("rules.rule[0].to[0].{name}");
        empty(&format!("{rule}to = [{{ {name} = [] }}]"), &path);
    }
    for name in ["clients", "algorithms"] {
        empty(
            &format!("{issuer}{name} = []"),
            &format!("tokens.issuer[0].{name}"),
        );
    }
    empty("[intake]\ncontent_types = []", "intake.content_types");
    empty(
        "[tokens]\nrequire_authentication_context = []",
        "tokens.require_authentication_context",
    );
}

#[test]
fn environment_variables_are_put_into_texts_and_never_into_keys() {
    // This one every test has.
    let path = std::env::var("PATH").unwrap();
    let config = Config::from_toml(
        "[tokens]\nrealm = '<${PATH}> $$'\n[[tokens.issuer]]\n\
                                    issuer = 'https://a.example'\naudiences = ['b']",
        "",
    );
    let config = config.unwrap().effective();
    let mut entries = config.entries().iter();
    let realm = entries
        .find(|entry| entry.path() == "tokens.realm")
        .unwrap();
    // Who reads it learns what it is called, and not what it holds.
    assert_eq!((realm.value(), realm.line()), ("<${PATH}> $$", Some(2)));
    let long = "first = '${PATH}'\nexempt = ['${PATH}']\nmode = '${PATH}'";
    let error = Config::from_toml(&format!("[bans]\n{long}"), "")
        .unwrap_err()
        .to_string();
    assert_eq!(error.lines().count(), 3, "{error}");
    assert!(!error.contains(&path), "{error}");
    for (text, expected) in [
        (
            "'${BARTIZAN_NOT_SET}'",
            "environment variable BARTIZAN_NOT_SET is not set",
        ),
        (
            "'${A:-b}'",
            "\"A:-b\" is no name of an environment variable; there are no defaults for them",
        ),
        ("'$PATH'", "`$` begins `${NAME}`; write `$$` for one"),
        ("'${PATH'", "`$` begins `${NAME}`; write `$$` for one"),
    ] {
        let text = format!("[bans]\nfirst = {text}");
        check(
            &text,
            &[&format!("line 2, column 9: bans.first: {expected}")],
        );
    }
}

#[test]
fn secrets_are_named_and_never_shown() {
    let folder = Folder::new();
    folder.write("secret", "hunter2-hunter2-hunter2-hunter2!\n");
    let text = |secret: &str| {
        format!(
            "[[tokens.issuer]]\nissuer = 'https://a.example'\naudiences = ['b']\n\
             algorithms = ['HS256']\nsecret = [{{ algorithm = 'HS256', secret = '{secret}' }}]"
        )
    };
    let config = Config::from_toml(&text("file:secret"), folder.path()).unwrap();
    let printed = format!("{config:?} {}", config.effective());
    assert!(!printed.contains("hunter2"), "{printed}");
    assert!(printed.contains("(secret, file:"), "{printed}");

    for (secret, expected) in [
        (
            "hunter2",
            "a secret is not written here: name it by ${NAME} or file:PATH",
        ),
        (
            "x${PATH}",
            "a secret is not written here: name it by ${NAME} or file:PATH",
        ),
        ("file:", "file: names no file"),
    ] {
        let error = Config::from_toml(&text(secret), folder.path())
            .unwrap_err()
            .to_string();
        assert!(
            error.ends_with(expected) && !error.contains("hunter2"),
            "{error}"
        );
    }
    folder.write("secret", "hunter2");
    let error = Config::from_toml(&text("file:secret"), folder.path())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("the secret has 7 bytes, and HS256 needs 32"),
        "{error}"
    );
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn nothing_opens_by_itself() {
    let config = Config::from_toml("", "").unwrap();
    let warnings = config.effective().warnings().join("\n");
    assert!(
        warnings.contains("no [rules]: every request is refused"),
        "{warnings}"
    );
    assert!(warnings.contains("nobody is authenticated"), "{warnings}");
    assert!(warnings.contains("nothing is recorded"), "{warnings}");
    check(
        "[rules]",
        &["line 1, column 1: rules: has no rules: add [[rules.rule]], or name a `file`"],
    );
    check(
        "[peers]",
        &[
            "line 1, column 1: peers: nobody is allowed: add at least one pattern, trust domain or \
             dns name",
        ],
    );
    check(
        "[tokens]",
        &["line 1, column 1: tokens: trusts no issuer: add [[tokens.issuer]]"],
    );
    let loose = "[rules]\ninsecure_allow_everything = true\nmode = 'shadow'";
    let warnings = Config::from_toml(loose, "")
        .unwrap()
        .effective()
        .warnings()
        .join("\n");
    assert!(
        warnings.contains("rules.insecure_allow_everything is true (line 2)"),
        "{warnings}"
    );
    assert!(
        warnings.contains("rules.mode: shadow refuses nobody (line 3)"),
        "{warnings}"
    );
}

#[test]
fn limits_by_template_take_a_list_of_routes() {
    let limit = "[peer_limit]\nby = 'peer + template'\npolicy = [{ name = 'a', rate = '1/s' }]\n";
    for (entrance, warned) in [
        ("", true),
        ("[entrance]\n", true),
        ("[entrance]\nroutes = ['/echo']\n", false),
    ] {
        let config = Config::from_toml(&format!("{limit}{entrance}"), "").unwrap();
        let warnings = config.effective().warnings().join("\n");
        let warning = "peer_limit.by counts by `template`, and `entrance.routes` lists none: no \
                       request has one (line 1)";
        assert_eq!(warnings.contains(warning), warned, "{entrance}{warnings}");
    }
}

#[test]
fn the_stack_is_printed_outermost_first() {
    let folder = Folder::new();
    let config = Config::from_toml(WHOLE, folder.path()).unwrap();
    let printed = config.effective().to_string();
    let mut at = 0;
    for section in [
        "entrance",
        "listener",
        "audit",
        "exempt",
        "bans",
        "intake",
        "deadline",
        "load",
        "address_limit",
        "peers",
        "peer_limit",
        "tokens",
        "principal_limit",
        "rules",
        "upload",
    ] {
        let found = printed.find(&format!(". {section}: "));
        let found = found.unwrap_or_else(|| panic!("{section}\n{printed}"));
        assert!(found > at || at == 0, "{section}\n{printed}");
        at = found;
    }
    assert!(
        printed.contains("Not there: telemetry, metadata, api_keys, witness, encryption, redis."),
        "{printed}"
    );
}

#[cfg(feature = "yaml")]
#[test]
fn the_same_file_in_yaml_says_the_same() {
    use bartizan::config::Reload;
    let toml = "[bans]\ncapacity = 7\nexempt = ['10.0.0.0/8']\n[rules]\nrule = [{ name = 'a', \
                effect = 'allow', shadow = false }]";
    let yaml = "bans:\n  capacity: 7\n  exempt: [10.0.0.0/8]\nrules:\n  rule:\n    - name: a\n      \
                effect: allow\n      shadow: false\n";
    let toml = Config::from_toml(toml, "").unwrap();
    let yaml = Config::from_yaml(yaml, "").unwrap();
    assert_eq!(Reload::between(&toml, &yaml).to_string(), "nothing changed");
    for (text, expected) in [
        (
            "bans:\n  capacty: 7\n",
            "line 2: bans.capacty: unknown option, did you mean `capacity`?",
        ),
        ("bans: {}\n---\nload: {}\n", "line 3: a second document"),
        ("bans: &a {}\n", "line 1: "),
        (
            "bans:\n  capacity: seven\n",
            "line 2: bans.capacity: expected a number, found a text",
        ),
        ("- bans\n", "line 1: expected a table, found a list"),
    ] {
        let error = Config::from_yaml(text, "").unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    assert!(Config::from_yaml("# nothing\n", "").is_ok());
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "([a-z_.]{0,8}[\\[\\]={}\"'$ \n,0-9]{0,4}){0,20}") {
        let _ = Config::from_toml(&text, "");
    }

    #[test]
    fn an_unknown_key_is_refused_wherever_it_stands(line in 0_usize..60, name in "zz[a-z]{4,9}") {
        let lines: Vec<_> = WHOLE.lines().collect();
        // Behind a line that ends a statement.
        let ends = |line: &str| line.is_empty() || line.ends_with(']') || line.ends_with('"');
        let at = (line..lines.len()).find(|at| ends(lines[*at])).unwrap_or(lines.len() - 1);
        let mut text = lines[..=at].join("\n");
        text.push_str(&format!("\n{name} = 1\n"));
        text.push_str(&lines[at + 1..].join("\n"));
        let error = Config::from_toml(&text, "").unwrap_err();
        let told = error.to_string();
        prop_assert!(told.contains(&name) && told.contains("unknown option"), "{}", told);
        prop_assert!(error.problems().iter().any(|it| it.line() == Some(at + 2)), "{}", told);
    }
}
