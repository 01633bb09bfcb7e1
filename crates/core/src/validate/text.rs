//! Forms of names, and what somebody may have meant. No I/O.

/// What Kubernetes says about a qualified name whose name part is wrong.
const NAME_PART: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
/// The same where more than one slash is in it.
const QUALIFIED: &str = "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
/// The same for what is before the slash.
const PREFIX_PART: &str = "prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/// A DNS-1123 label: lower case, digits and `-`, at most 63, no `-` at either end.
pub fn is_dns_label(text: &str) -> bool {
    text.len() <= 63 && is_dns_part(text)
}

/// A DNS-1123 subdomain: labels with dots between, at most 253.
pub fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_part)
}

fn is_dns_part(text: &str) -> bool {
    let ends = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.first().copied().is_some_and(ends)
        && bytes.last().copied().is_some_and(ends)
        && bytes.iter().all(|c| ends(*c) || *c == b'-')
}

/// `([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]`: what results and the name part of labels look like.
pub fn is_name_part(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
        && bytes
            .iter()
            .all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(c))
}

/// What Kubernetes has against `text` as a qualified name, `[prefix/]name`.
pub fn qualified_name_problems(text: &str) -> Vec<&'static str> {
    let mut problems = Vec::new();
    let mut parts = text.split('/');
    let name = match (parts.next(), parts.next(), parts.next()) {
        (Some(name), None, None) => name,
        (Some(prefix), Some(name), None) => {
            if prefix.is_empty() {
                problems.push("prefix part must be non-empty");
            } else if !is_dns_subdomain(prefix) {
                problems.push(PREFIX_PART);
            }
            name
        }
        _ => return vec![QUALIFIED],
    };
    if name.is_empty() {
        problems.push("name part must be non-empty");
    } else if name.len() > 63 {
        problems.push("name part must be no more than 63 characters");
    }
    if !is_name_part(name) {
        problems.push(NAME_PART);
    }
    problems
}

/// What a parameter may be called: dots are for texts and lists only.
pub fn is_param_name(text: &str, dots: Dots) -> bool {
    let mut chars = text.bytes();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == b'_')
        && chars.all(|c| {
            c.is_ascii_alphanumeric() || c == b'_' || c == b'-' || (c == b'.' && dots == Dots::Allowed)
        })
}

/// Whether a name may have dots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dots {
    /// As texts' and lists' names.
    Allowed,
    /// As objects' names and keys.
    Refused,
}

/// Whether `text` looks like an address: word characters, or `-`, before `:/`.
pub fn is_url_like(text: &str) -> bool {
    text.match_indices(":/").any(|(at, _)| {
        text[..at]
            .chars()
            .next_back()
            .is_some_and(|c| c == '-' || c == '_' || c.is_ascii_alphanumeric())
    })
}

/// Names that are longer are not compared.
const LONGEST_COMPARED: usize = 80;
/// And no more of them than these.
const MOST_COMPARED: usize = 500;
/// As many names are listed in one explanation.
const MOST_LISTED: usize = 60;

/// The one of `known` that `given` is most like, if it is like any.
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if given.len() > LONGEST_COMPARED {
        return None;
    }
    let folded = given.to_lowercase();
    let most = match given.chars().count() {
        0 | 1 => 0,
        2..=4 => 1,
        5..=8 => 2,
        _ => 3,
    };
    known
        .into_iter()
        .take(MOST_COMPARED)
        .filter(|candidate| *candidate != given && candidate.len() <= LONGEST_COMPARED)
        .filter_map(|candidate| {
            let other = candidate.to_lowercase();
            let part = folded.len() > 3 && (other.starts_with(&folded) || other.ends_with(&folded));
            let distance = distance(&folded, &other, most).or(part.then_some(most))?;
            Some((distance, candidate))
        })
        .min_by_key(|(distance, candidate)| (*distance, candidate.len().abs_diff(given.len())))
        .map(|(_, candidate)| candidate)
}

/// How many letters have to be added, left out, changed, or swapped with their neighbour to make `b` of
/// `a`, where `most` are enough. Takes time in proportion to the length and `most`.
pub fn distance(a: &str, b: &str, most: usize) -> Option<usize> {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > most {
        return None;
    }
    let far = most + 1;
    let mut before = vec![far; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).map(|column| column.min(far)).collect();
    let mut row = vec![far; b.len() + 1];
    for line in 1..=a.len() {
        row.fill(far);
        row[0] = line.min(far);
        let mut least = row[0];
        // What lies further from the diagonal is too far.
        for column in line.saturating_sub(most).max(1)..=(line + most).min(b.len()) {
            let changed = above[column - 1] + usize::from(a[line - 1] != b[column - 1]);
            let mut best = changed.min(above[column] + 1).min(row[column - 1] + 1);
            let swapped =
                line > 1 && column > 1 && a[line - 1] == b[column - 2] && a[line - 2] == b[column - 1];
            if swapped {
                best = best.min(before[column - 2] + 1);
            }
            row[column] = best.min(far);
            least = least.min(best);
        }
        if least > most {
            return None;
        }
        std::mem::swap(&mut before, &mut above);
        std::mem::swap(&mut above, &mut row);
    }
    Some(above[b.len()]).filter(|distance| *distance <= most)
}

/// `; did you mean "x"?`, or what there is, or that there is nothing.
pub fn suggestion<'a>(given: &str, known: impl IntoIterator<Item = &'a str> + Clone, of: &str) -> String {
    if let Some(nearest) = nearest(given, known.clone()) {
        return format!("did you mean \"{nearest}\"?");
    }
    let mut known = known.into_iter().filter(|name| !name.is_empty());
    let mut all: Vec<&str> = known.by_ref().take(MOST_COMPARED).collect();
    all.sort_unstable();
    all.dedup();
    let more = if all.len() > MOST_LISTED || known.next().is_some() {
        ", and more"
    } else {
        ""
    };
    all.truncate(MOST_LISTED);
    if all.is_empty() {
        format!("there are no {of}")
    } else {
        format!("{of}: {}{more}", all.join(", "))
    }
}

/// A path as the kubelet would walk it: `.` and doubled slashes gone, `..` resolved, no slash at the end.
pub fn clean_path(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if path.starts_with('/') => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (path.starts_with('/'), joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_forms() {
        for (text, label, subdomain, part, param) in [
            ("a", true, true, true, true),
            ("a-b", true, true, true, true),
            ("a.b", false, true, true, true),
            ("A", false, false, true, true),
            ("-a", false, false, false, false),
            ("a_b", false, false, true, true),
            ("_a", false, false, false, true),
            ("1", true, true, true, false),
            ("", false, false, false, false),
            ("a b", false, false, false, false),
            ("é", false, false, false, false),
        ] {
            assert_eq!(is_dns_label(text), label, "label {text}");
            assert_eq!(is_dns_subdomain(text), subdomain, "subdomain {text}");
            assert_eq!(is_name_part(text), part, "part {text}");
            assert_eq!(is_param_name(text, Dots::Allowed), param, "param {text}");
        }
        assert!(!is_param_name("a.b", Dots::Refused));
        assert!(!is_dns_label(&"a".repeat(64)));
        assert!(!is_dns_subdomain(&"a".repeat(254)));
    }

    #[test]
    fn qualified_names_are_judged_as_kubernetes_does() {
        for (text, count) in [
            ("a", 0),
            ("A/b", 1),
            ("example.com/B", 0),
            ("/a", 1),
            ("a/", 2),
            ("a/b/c", 1),
            ("a b", 1),
            ("", 2),
        ] {
            assert_eq!(qualified_name_problems(text).len(), count, "{text}");
        }
    }

    #[test]
    fn addresses_are_told_from_names() {
        for (text, is) in [
            ("http://x", true),
            ("foo:/bar", true),
            ("a:b", false),
            (":/x", false),
            ("a", false),
            ("é:/x", false),
        ] {
            assert_eq!(is_url_like(text), is, "{text}");
        }
    }

    #[test]
    fn the_nearest_name_is_found() {
        let known = ["source", "image", "script", "name"];
        assert_eq!(nearest("sorce", known), Some("source"));
        assert_eq!(nearest("imagee", known), Some("image"));
        assert_eq!(nearest("Script", known), Some("script"));
        assert_eq!(nearest("zzz", known), None);
        assert_eq!(suggestion("zzz", ["b", "a"], "params"), "params: a, b");
        assert_eq!(suggestion("zzz", [], "params"), "there are no params");
        let many: Vec<String> = (0..1_000).map(|index| format!("n{index:04}")).collect();
        let listed = suggestion("zzz", many.iter().map(String::as_str), "params");
        assert!(listed.starts_with("params: n0000, ") && listed.ends_with("n0059, and more"));
    }

    #[test]
    fn distances_are_counted_up_to_a_bound() {
        for (a, b, distance) in [
            ("image", "image", Some(0)),
            ("", "", Some(0)),
            ("", "abc", Some(3)),
            ("imgae", "image", Some(1)),
            ("imagee", "image", Some(1)),
            ("script", "skript", Some(1)),
            ("sorce", "source", Some(1)),
            ("kitten", "sitting", Some(3)),
            ("é", "e", Some(1)),
            ("abcd", "wxyz", None),
            ("a", "abcde", None),
        ] {
            assert_eq!(super::distance(a, b, 3), distance, "{a} {b}");
            assert_eq!(super::distance(b, a, 3), distance, "{b} {a}");
        }
    }

    #[test]
    fn paths_are_cleaned() {
        for (path, clean) in [
            ("/a//b/./c/", "/a/b/c"),
            ("/a/../b", "/b"),
            ("/..", "/"),
            ("a/..", "."),
            ("../a", "../a"),
            ("", "."),
        ] {
            assert_eq!(clean_path(path), clean);
        }
    }
}
