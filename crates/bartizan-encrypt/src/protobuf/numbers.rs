//! Which fields are meant: their numbers, from the message inwards.

use crate::error::ConfigError;

/// The most numbers of a path.
const MOST: usize = 64;

/// The greatest number that a field may have.
const GREATEST: u32 = (1 << 29) - 1;

/// A set of paths as a tree, so that a message is walked once for all of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Numbers {
    fields: Vec<(u32, Meant)>,
}

/// What a number leads to.
#[derive(Clone, Debug)]
pub(crate) enum Meant {
    /// A message with meant fields in it.
    Inside(Numbers),
    /// A value; the rule of its path.
    Value(usize),
}

impl Numbers {
    /// A tree of these paths, such as `/4/1`; the rule of each is its position.
    pub(crate) fn new<'p>(paths: impl Iterator<Item = &'p str>) -> Result<Self, ConfigError> {
        let mut tree = Self::default();
        for (rule, path) in paths.enumerate() {
            let added = parse(path).and_then(|numbers| tree.add(&numbers, rule));
            added.map_err(|problem| ConfigError::Path {
                path: path.to_owned(),
                problem,
            })?;
        }
        Ok(tree)
    }

    pub(crate) fn find(&self, number: u32) -> Option<&Meant> {
        let found = self.fields.iter().find(|(field, _)| *field == number);
        found.map(|(_, meant)| meant)
    }

    fn add(&mut self, path: &[u32], rule: usize) -> Result<(), &'static str> {
        let (number, rest) = path.split_first().ok_or("has an empty segment")?;
        let found = self.fields.iter_mut().find(|(field, _)| field == number);
        match (found, rest) {
            (Some((_, Meant::Inside(inside))), [_, ..]) => inside.add(rest, rule),
            (Some((_, Meant::Value(_))), [_, ..]) => Err("lies within another path"),
            (Some((_, Meant::Inside(_))), []) => Err("holds another path"),
            (Some((_, Meant::Value(_))), []) => Err("is there twice"),
            (None, []) => {
                self.fields.push((*number, Meant::Value(rule)));
                Ok(())
            }
            (None, [_, ..]) => {
                let mut inside = Self::default();
                inside.add(rest, rule)?;
                self.fields.push((*number, Meant::Inside(inside)));
                Ok(())
            }
        }
    }
}

fn parse(path: &str) -> Result<Vec<u32>, &'static str> {
    let path = path
        .strip_prefix('/')
        .ok_or("does not begin with a slash")?;
    let numbers = path.split('/').map(|segment| {
        let number = segment.parse::<u32>().ok();
        number
            .filter(|number| (1..=GREATEST).contains(number) && number.to_string() == segment)
            .ok_or("has a segment that is no field number")
    });
    let numbers = numbers.collect::<Result<Vec<_>, _>>()?;
    if numbers.len() > MOST {
        return Err("has too many segments");
    }
    Ok(numbers)
}
