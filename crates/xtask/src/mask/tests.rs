use super::*;

fn check_bare(text: &str, expected: &str) {
    let masked = Masked::new(text);
    assert_eq!(masked.bare.len(), text.len(), "{text}");
    let seen: Vec<&str> = masked.bare.split_whitespace().collect();
    assert_eq!(seen.join(" "), expected, "{text}");
}

#[test]
fn comments_and_literals_are_blanked() {
    check_bare("a // b\nc", "a c");
    check_bare("a /* b /* c */ d */ e", "a e");
    check_bare("/// todo!()\nfn f() {}", "fn f() {}");
    check_bare(r#"f("a \" b", c)"#, "f( , c)");
    check_bare(r###"f(r#"a " b"#, c)"###, "f( , c)");
    check_bare(r#"f(b"x", br"y", c"z", b'q')"#, "f( , , , )");
    check_bare(r"f('\'', '{', '\u{7d}')", "f( , , )");
    check_bare("let r#type = 1;", "let r#type = 1;");
    check_bare(
        "fn f<'a>(x: &'a str, y: &'static str) {}",
        "fn f<'a>(x: &'a str, y: &'static str) {}",
    );
    check_bare(
        "for x in \"ä//ö\".chars() { g(x) }",
        "for x in .chars() { g(x) }",
    );
    check_bare("\"never closed", "");
    check_bare("/* never closed", "");
}

#[test]
fn strings_are_seen_where_only_comments_are_removed() {
    let masked = Masked::new("f(\"http::Uri\"); // http::Uri\n");
    assert_eq!(masked.commentless.trim(), "f(\"http::Uri\");");
    assert_eq!(masked.bare.trim_end(), "f(           );");
}

#[test]
fn test_items_are_not_shipped() {
    let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() { \"}\"; }\n}\nfn c() {}\n\
                #[cfg(test)]\n#[path = \"x\"]\nmod more;\nfn d() {}\n\
                #[cfg(all(test, feature = \"x\"))]\nfn e(a: [u8; 2]) {}\nfn f() {}";
    let names: Vec<&str> = {
        let masked = Masked::new(text);
        assert_eq!(masked.shipped_bare.len(), text.len());
        text.split_whitespace()
            .filter(|word| ["a()", "b()", "c()", "d()", "f()"].contains(word))
            .filter(|word| masked.shipped_bare.contains(*word))
            .collect()
    };
    assert_eq!(names, ["a()", "c()", "d()", "f()"]);
    assert!(!Masked::new(text).shipped_bare.contains("fn e"));
}

#[test]
fn a_file_that_is_all_test_ships_nothing() {
    assert_eq!(Masked::new("#![cfg(test)]\nfn a() {}").shipped.trim(), "");
    assert_ne!(Masked::new("#![cfg(unix)]\nfn a() {}").shipped.trim(), "");
}

#[test]
fn lines_and_words_are_found() {
    let text = "use a::b_c;\n  x9(1)";
    let found: Vec<(usize, &str)> = words(text)
        .map(|(at, word)| (line_of(text, at), word))
        .collect();
    assert_eq!(
        found,
        [(1, "use"), (1, "a"), (1, "b_c"), (2, "x9"), (2, "1")]
    );
}
