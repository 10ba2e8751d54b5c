//! What somebody may have meant.

/// Names that are longer are no slips of the pen.
const LONGEST: usize = 64;

/// The name that is nearest to `given`, if one is near enough: a third of it may differ.
pub(crate) fn nearest<'n>(
    given: &str,
    names: impl IntoIterator<Item = &'n str>,
) -> Option<&'n str> {
    if given.is_empty() || given.len() > LONGEST {
        return None;
    }
    let given = given.to_ascii_lowercase().replace('-', "_");
    let most = (given.chars().count() / 3).clamp(1, 3);
    let near = names.into_iter().filter_map(|name| {
        let away = distance(&given, name);
        (away <= most).then_some((away, name))
    });
    near.min().map(|(_, name)| name)
}

/// How many characters have to be changed, added, left out or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (row, x) in a.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, y) in b.iter().enumerate() {
            let get = |cells: &[usize], at: usize| cells.get(at).copied().unwrap_or(usize::MAX / 2);
            let changed = get(&above, column) + usize::from(x != y);
            let mut least = changed
                .min(get(&above, column + 1) + 1)
                .min(get(&current, column) + 1);
            let swapped =
                row > 0 && column > 0 && a.get(row - 1) == Some(y) && b.get(column - 1) == Some(x);
            if swapped {
                least = least.min(get(&before, column - 1) + 1);
            }
            current.push(least);
        }
        before = std::mem::replace(&mut above, current);
    }
    above.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_other_words_are_not() {
        let names = ["audiences", "algorithms", "leeway", "issuer", "key_file"];
        for (given, expected) in [
            ("audience", Some("audiences")),
            ("audeinces", Some("audiences")),
            ("leway", Some("leeway")),
            ("Issuer", Some("issuer")),
            ("key-file", Some("key_file")),
            ("issuer_url", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(given, names), expected, "{given}");
        }
        assert_eq!(nearest(&"a".repeat(100_000), names), None);
    }

    #[test]
    fn the_distance_counts_swaps_as_one() {
        for (a, b, expected) in [
            ("", "", 0),
            ("", "ab", 2),
            ("ab", "ba", 1),
            ("abc", "abd", 1),
            ("abc", "acbd", 2),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
            assert_eq!(distance(b, a), expected, "{b} {a}");
        }
    }
}
