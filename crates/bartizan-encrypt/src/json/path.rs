//! Which values are meant: JSON Pointers, with `*` for every element or member.

use crate::error::ConfigError;

/// The most segments of a path, and the most members that are named at one place.
const MOST: usize = 64;

/// A set of paths as a tree, so that a document is walked once for all of them.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    members: Vec<(Box<str>, usize)>,
    every: Option<usize>,
    rule: Option<usize>,
}

/// What a member's name leads to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// A place that `*` stands for.
    Every(usize),
    /// The member of this number among those that are named here.
    Named(usize, usize),
    /// Nothing that is meant.
    Nowhere,
}

impl Paths {
    pub(crate) const ROOT: usize = 0;

    /// A tree of these paths; the rule of each is its position.
    pub(crate) fn new<'p>(paths: impl Iterator<Item = &'p str>) -> Result<Self, ConfigError> {
        let mut tree = Self {
            nodes: vec![Node::default()],
        };
        for (rule, path) in paths.enumerate() {
            tree.add(path, rule).map_err(|problem| ConfigError::Path {
                path: path.to_owned(),
                problem,
            })?;
        }
        Ok(tree)
    }

    pub(crate) fn rule(&self, node: usize) -> Option<usize> {
        self.nodes.get(node)?.rule
    }

    pub(crate) fn member(&self, node: usize, name: &str) -> Step {
        let Some(node) = self.nodes.get(node) else {
            return Step::Nowhere;
        };
        if let Some(every) = node.every {
            return Step::Every(every);
        }
        let named = node
            .members
            .iter()
            .position(|(member, _)| **member == *name);
        named
            .and_then(|number| Some(Step::Named(number, node.members.get(number)?.1)))
            .unwrap_or(Step::Nowhere)
    }

    pub(crate) fn element(&self, node: usize) -> Option<usize> {
        self.nodes.get(node)?.every
    }

    fn add(&mut self, path: &str, rule: usize) -> Result<(), &'static str> {
        let path = path
            .strip_prefix('/')
            .ok_or("does not begin with a slash")?;
        let mut at = Self::ROOT;
        for (depth, segment) in path.split('/').enumerate() {
            if depth >= MOST {
                return Err("has too many segments");
            }
            if self.rule(at).is_some() {
                return Err("lies within another path");
            }
            at = if segment == "*" {
                self.every(at)?
            } else {
                self.named(at, &unescape(segment)?)?
            };
        }
        let node = self.nodes.get_mut(at).ok_or("cannot be added")?;
        if node.rule.is_some() {
            return Err("is there twice");
        }
        if node.every.is_some() || !node.members.is_empty() {
            return Err("holds another path");
        }
        node.rule = Some(rule);
        Ok(())
    }

    fn every(&mut self, at: usize) -> Result<usize, &'static str> {
        let next = self.nodes.len();
        let node = self.nodes.get_mut(at).ok_or("cannot be added")?;
        if !node.members.is_empty() {
            return Err("says * where another path names a member");
        }
        if let Some(every) = node.every {
            return Ok(every);
        }
        node.every = Some(next);
        self.nodes.push(Node::default());
        Ok(next)
    }

    fn named(&mut self, at: usize, name: &str) -> Result<usize, &'static str> {
        let next = self.nodes.len();
        let node = self.nodes.get_mut(at).ok_or("cannot be added")?;
        if node.every.is_some() {
            return Err("names a member where another path says *");
        }
        if let Some((_, known)) = node.members.iter().find(|(member, _)| **member == *name) {
            return Ok(*known);
        }
        if node.members.len() >= MOST {
            return Err("is one of too many members of one object");
        }
        node.members.push((name.into(), next));
        self.nodes.push(Node::default());
        Ok(next)
    }
}

/// A segment as [RFC 6901 §4](https://www.rfc-editor.org/rfc/rfc6901#section-4) reads it.
fn unescape(segment: &str) -> Result<String, &'static str> {
    let mut name = String::with_capacity(segment.len());
    let mut rest = segment.chars();
    while let Some(next) = rest.next() {
        name.push(match next {
            '~' => match rest.next() {
                Some('0') => '~',
                Some('1') => '/',
                _ => return Err("holds a ~ that is neither ~0 nor ~1"),
            },
            other => other,
        });
    }
    if name.is_empty() {
        return Err("has an empty segment");
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(paths: &[&str], problem: Option<&str>) {
        let found = Paths::new(paths.iter().copied())
            .err()
            .map(|e| e.to_string());
        match problem {
            None => assert_eq!(found, None, "{paths:?}"),
            Some(problem) => assert!(
                found.as_deref().is_some_and(|f| f.contains(problem)),
                "{paths:?} {found:?}"
            ),
        }
    }

    #[test]
    fn paths_that_cannot_be_told_apart_are_refused() {
        check(&["/a", "/b/c", "/b/d", "/e/*/f", "/e/*/g", "/~0~1"], None);
        check(&["a"], Some("begin with a slash"));
        check(&[""], Some("begin with a slash"));
        check(&["/"], Some("empty segment"));
        check(&["/a//b"], Some("empty segment"));
        check(&["/~2"], Some("~0 nor ~1"));
        check(&["/a", "/a"], Some("twice"));
        check(&["/a", "/a/b"], Some("within another"));
        check(&["/a/b", "/a"], Some("holds another"));
        check(&["/a/*", "/a/b"], Some("where another path says *"));
        check(&["/a/b", "/a/*"], Some("names a member"));
        check(&[&"/a".repeat(65)], Some("too many segments"));
    }

    #[test]
    fn steps_lead_where_paths_say() {
        let paths = Paths::new(["/a/*/~1", "/b"].into_iter()).expect("good paths");
        let Step::Named(0, a) = paths.member(Paths::ROOT, "a") else {
            panic!("a is named");
        };
        let every = paths.element(a).expect("*");
        assert_eq!(paths.member(a, "anything"), Step::Every(every));
        let Step::Named(0, slash) = paths.member(every, "/") else {
            panic!("the slash is named");
        };
        assert_eq!(paths.rule(slash), Some(0));
        assert_eq!(paths.member(Paths::ROOT, "c"), Step::Nowhere);
        assert_eq!(paths.element(Paths::ROOT), None);
    }
}
