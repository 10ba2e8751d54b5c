//! `lib.rs` holds docs, attributes, `mod` and `pub use`, nothing else.

use super::Violation;
use crate::mask::behind_bracket;
use crate::source::Source;

/// Finds anything else in the `lib.rs` of a crate.
#[must_use]
pub fn check(sources: &[Source]) -> Vec<Violation> {
    sources
        .iter()
        .filter(|source| source.room().is_some_and(|(_, path)| path == "lib.rs"))
        .flat_map(|source| {
            others(&source.masked.shipped_bare)
                .into_iter()
                .filter(|(_, item)| !is_macro(source, item))
                .map(|(at, item)| {
                    Violation::new(
                        source.place(at),
                        format!("`{item}` stands in lib.rs, where only `mod` and `pub use` may"),
                    )
                })
        })
        .collect()
}

/// Whether an item is a derive macro, which the compiler wants in `lib.rs`.
fn is_macro(source: &Source, item: &str) -> bool {
    let derive = source
        .room()
        .is_some_and(|(name, _)| name.ends_with("-derive"));
    derive && item.starts_with("pub fn derive_")
}

/// The items that are neither `mod name;` nor `pub use`, by their first line.
fn others(bare: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = bare
        .get(at..)
        .and_then(|rest| rest.find(|c: char| !c.is_whitespace()))
    {
        let start = at + start;
        let rest = bare.get(start..).unwrap_or_default();
        if rest.starts_with("#[") || rest.starts_with("#![") {
            at = rest
                .find('[')
                .map_or(bare.len(), |open| behind_bracket(bare, start + open));
            continue;
        }
        // A list in braces belongs to a `use`; to a `mod` they are a room of its own.
        let listed = rest.starts_with("pub use ");
        let end = rest.find([';', '{']).map_or(rest.len(), |end| end + 1);
        let block = rest.get(..end).is_some_and(|item| item.ends_with('{'));
        let plain = !block && (rest.starts_with("mod ") || rest.starts_with("pub mod "));
        at = if block {
            behind_bracket(bare, start + end - 1)
        } else {
            start + end
        };
        if listed && block {
            at += usize::from(bare.as_bytes().get(at) == Some(&b';'));
        }
        if !listed && !plain {
            let line = rest.lines().next().unwrap_or_default();
            found.push((start, line.trim().to_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_lib(text: &str, places: &[&str]) {
        let found: Vec<String> = check(&[Source::new("crates/a/src/lib.rs", text)])
            .into_iter()
            .map(|violation| violation.place)
            .collect();
        assert_eq!(found, places, "{text}");
    }

    #[test]
    fn docs_mods_and_reexports_may_stand_there() {
        check_lib(
            "//! fn f() {}\n#![cfg_attr(docsrs, feature(doc_cfg))]\n\nmod a;\n#[cfg(feature = \
             \"b\")]\npub mod b;\n/// Doc.\npub use self::a::{\n    A,\n    B,\n};\n\
             #[cfg(feature = \"b\")]\npub use self::b::B;\n#[cfg(test)]\nmod tests {}\n",
            &[],
        );
    }

    #[test]
    fn anything_else_is_found() {
        let line_2 = &["crates/a/src/lib.rs:2"];
        check_lib("mod a;\nfn f() { g(); }\nmod b;", line_2);
        check_lib("mod a;\npub struct A;\nmod b;", line_2);
        check_lib("mod a;\nuse std::fmt;\nmod b;", line_2);
        check_lib("mod a;\nmod b { fn f() {} }\nmod c;", line_2);
        check_lib("mod a;\npub(crate) use self::a::A;\nmod c;", line_2);
        check_lib(
            "mod a;\n#[derive(Debug)] struct B {\n a: u8 }\nmod c;",
            line_2,
        );
        check_lib("mod a;\nmacro_rules! m { () => {} }", line_2);
    }

    #[test]
    fn the_macros_of_a_derive_crate_may_stand_there_and_nothing_else() {
        let found = |text: &str| {
            let source = Source::new("crates/a-derive/src/lib.rs", text);
            check(&[source]).len()
        };
        assert_eq!(
            found("mod a;\n#[b]\npub fn derive_a(c: D) -> D { a::e(c) }\n"),
            0
        );
        assert_eq!(found("mod a;\npub fn a() {}\n"), 1);
        check_lib(
            "mod a;\npub fn derive_a() {}\nmod b;",
            &["crates/a/src/lib.rs:2"],
        );
    }

    #[test]
    fn other_files_are_free() {
        assert_eq!(check(&[Source::new("crates/a/src/b.rs", "fn f() {}")]), []);
    }
}
