//! Rules by the paths they are about: a tree of segments.

use rustc_hash::FxHashMap;

use crate::index::Clause;
use crate::pattern::{PathPattern, Segment};

/// Rules by path. A path visits at most the nodes that match it; none is visited twice, because
/// there is one way to each.
#[derive(Debug)]
pub(crate) struct PathIndex {
    root: Node,
    /// As rules that deny have it; see [`PathPattern`].
    loosely: bool,
    longest_literal: usize,
}

#[derive(Debug, Default)]
struct Node {
    literals: FxHashMap<Box<str>, Self>,
    one: Option<Box<Self>>,
    /// About every path from here on.
    rest: Vec<Clause>,
    /// About the path that ends here.
    here: Vec<Clause>,
}

/// Segments up to this length are brought into lower case without an allocation.
const SHORT: usize = 128;

impl PathIndex {
    pub(crate) fn new(loosely: bool) -> Self {
        Self {
            root: Node::default(),
            loosely,
            longest_literal: 0,
        }
    }

    pub(crate) fn add(&mut self, pattern: &PathPattern, clause: Clause) {
        let mut segments = pattern.segments();
        if self.loosely
            && let [before @ .., Segment::Literal(last)] = segments
            && last.is_empty()
        {
            segments = before;
        }
        let mut node = &mut self.root;
        for segment in segments {
            node = match segment {
                Segment::Literal(text) => {
                    self.longest_literal = self.longest_literal.max(text.len());
                    let text = match self.loosely {
                        true => text.to_ascii_lowercase().into(),
                        false => text.clone(),
                    };
                    node.literals.entry(text).or_default()
                }
                Segment::One => node.one.get_or_insert_default(),
                Segment::Rest => {
                    node.rest.push(clause);
                    return;
                }
            };
        }
        node.here.push(clause);
    }

    /// Calls `visit` with each clause whose path matches, until it says true; says whether it did.
    pub(crate) fn find(&self, path: &str, mut visit: impl FnMut(Clause) -> bool) -> bool {
        let Some(path) = path.strip_prefix('/') else {
            return false;
        };
        let path = match self.loosely {
            true => path.strip_suffix('/').unwrap_or(path),
            false => path,
        };
        let left = (!self.loosely || !path.is_empty()).then_some(path);
        self.descend(&self.root, left, &mut visit)
    }

    fn descend(
        &self,
        node: &Node,
        left: Option<&str>,
        visit: &mut impl FnMut(Clause) -> bool,
    ) -> bool {
        let Some(left) = left else {
            return (self.loosely && node.rest.iter().any(|clause| visit(*clause)))
                || node.here.iter().any(|clause| visit(*clause));
        };
        // Not a segment less: `/files/` is not below `/files/{*rest}`, as axum has it.
        if !left.is_empty() && node.rest.iter().any(|clause| visit(*clause)) {
            return true;
        }
        let (segment, left) = match left.split_once('/') {
            Some((segment, left)) => (segment, Some(left)),
            None => (left, None),
        };
        if let Some(next) = self.literal(node, segment)
            && self.descend(next, left, visit)
        {
            return true;
        }
        match &node.one {
            Some(next) if !segment.is_empty() => self.descend(next, left, visit),
            _ => false,
        }
    }

    fn literal<'n>(&self, node: &'n Node, segment: &str) -> Option<&'n Node> {
        if node.literals.is_empty() || segment.len() > self.longest_literal {
            return None;
        }
        if !self.loosely || !segment.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return node.literals.get(segment);
        }
        let mut short = [0; SHORT];
        let Some(lower) = short.get_mut(..segment.len()) else {
            return node.literals.get(segment.to_ascii_lowercase().as_str());
        };
        lower.copy_from_slice(segment.as_bytes());
        lower.make_ascii_lowercase();
        node.literals.get(std::str::from_utf8(lower).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What the index finds is what each pattern says by itself.
    fn agrees(patterns: &[String], path: &str, loosely: bool) -> bool {
        let parsed: Vec<_> = patterns
            .iter()
            .map(|text| PathPattern::parse(text).unwrap())
            .collect();
        let mut index = PathIndex::new(loosely);
        for (rule, pattern) in parsed.iter().enumerate() {
            let rule = u16::try_from(rule).unwrap();
            index.add(
                pattern,
                Clause {
                    rule,
                    targets: None,
                },
            );
        }
        let mut found = Vec::new();
        index.find(path, |clause| {
            found.push(usize::from(clause.rule));
            false
        });
        found.sort_unstable();
        let expected: Vec<_> = (0..parsed.len())
            .filter(|at| parsed[*at].matches(path, loosely))
            .collect();
        found == expected
    }

    fn pattern() -> impl Strategy<Value = String> {
        let segment = prop_oneof![Just("a"), Just("B"), Just("ab"), Just("{x}")];
        let tail = prop_oneof![Just(""), Just("/"), Just("/{*rest}")];
        (prop::collection::vec(segment, 0..4), tail).prop_map(|(segments, tail)| {
            match segments.is_empty() {
                true => {
                    if tail.is_empty() {
                        "/".to_owned()
                    } else {
                        tail.to_owned()
                    }
                }
                false => format!("/{}{tail}", segments.join("/")),
            }
        })
    }

    fn path() -> impl Strategy<Value = String> {
        let segment = prop_oneof![
            Just("a"),
            Just("A"),
            Just("b"),
            Just("B"),
            Just("AB"),
            Just("c")
        ];
        (prop::collection::vec(segment, 0..5), any::<bool>()).prop_map(|(segments, slash)| {
            let tail = if slash && !segments.is_empty() {
                "/"
            } else {
                ""
            };
            format!("/{}{tail}", segments.join("/"))
        })
    }

    proptest! {
        #[test]
        fn finds_what_the_patterns_say(
            patterns in prop::collection::vec(pattern(), 0..8),
            path in path(),
            loosely in any::<bool>(),
        ) {
            prop_assert!(agrees(&patterns, &path, loosely));
        }
    }

    #[test]
    fn a_long_segment_in_capitals_is_found_too() {
        let long = "x".repeat(300);
        assert!(agrees(
            &[format!("/{long}")],
            &format!("/{}", long.to_uppercase()),
            true
        ));
        assert!(agrees(
            &["/x".to_owned()],
            &format!("/{}", long.to_uppercase()),
            true
        ));
    }

    #[test]
    fn whoever_is_found_first_can_end_the_search() {
        let mut index = PathIndex::new(false);
        for rule in 0..3 {
            index.add(
                &PathPattern::parse("/a").unwrap(),
                Clause {
                    rule,
                    targets: None,
                },
            );
        }
        let mut asked = 0;
        assert!(index.find("/a", |_| {
            asked += 1;
            asked == 2
        }));
        assert_eq!(asked, 2);
    }
}
