use super::*;

fn plain(text: &str) -> Result<bool, CelError> {
    holds(text, &mut |text| Ok(text.to_owned()))
}

#[test]
fn conditions() {
    for (text, expected) in [
        ("true", true),
        ("'$(params.foo)' == 'x'", false),
        ("\"a\" in ['a', \"b\",]", true),
        ("'c' in ['a']", false),
        (
            "size('abc') > 2 && !('a'.startsWith('b') || 'x'.matches(r'^\\d+$'))",
            true,
        ),
        ("int('42') % 2 == 0 ? true : -1.5e-3 < 0x1Fu", true),
        ("[1, 2].exists(n, n > 1)", true),
        ("[1, 2].all(n, n > 1)", false),
        ("[1, 2].exists_one(n, n > 1)", true),
        ("[1, 2].map(n, n * 2) == [2, 4]", true),
        ("[1, 2, 3].map(n, n > 1, n * 2) == [4, 6]", true),
        ("[1, 2].filter(n, n > 1).size() == 1", true),
        (
            "[[1], [2]].all(l, l.exists(n, n in [1, 2] && size(l) == 1))",
            true,
        ),
        ("{'a': 1}['a'] == 1", true),
        ("has({'a': 1}.a) && !has({'a': 1}.b)", true),
        ("{'a': {'b': 2}}.a.b == 2 && 'a' in {'a': 1}", true),
        (
            "type('a') == string && type(1) != uint && type(null) == null_type && type([]) == list",
            true,
        ),
        ("'it\\'s' != '''two\nlines'''", true),
        ("1 + 2 * 3 - 4 / 2 == 5 && -(3) == -3 && 7 % -3 == 1", true),
        (
            "-9223372036854775808 < 0 && 0x10 == 16 && 18446744073709551615u > 1u",
            true,
        ),
        ("1 == 1.0 && 1 < 1.5 && 2u > 1.5 && .5 < 1", true),
        (
            "double('80.5') >= 80.5 && 0.1 + 0.2 != 0.3 && 1e3 == 1000.0",
            true,
        ),
        ("'a' + 'b' == 'ab' && [1] + [2] == [1, 2]", true),
        (
            "'b' > 'a' && 'b' >= 'b' && !('a' > 'b') && 'a' <= 'b' && true > false",
            true,
        ),
        (
            "'abc'.contains('b') && 'abc'.endsWith('c') && size('äö') == 2 && 'ä'.size() == 1",
            true,
        ),
        (
            "string(12) == '12' && string(true) == 'true' && bool('True') && uint('3') == 3u",
            true,
        ),
        ("int(3.9) == 3 && int(-3.9) == -3 && double(1) == 1.0", true),
        ("null == null && dyn(1) != dyn('1')", true),
        ("true || 1 / 0 == 1", true),
        ("1 / 0 == 1 || true", true),
        ("false && 1 / 0 == 1 || false", false),
        ("[0, 1].exists(n, 1 / n == 1)", true),
        ("[1, 2].exists(a, [0].map(b, 1 / b) == [] || a == 2)", true),
        ("true ? false : true ? true : false", false),
        ("false == false ? true : false", true),
        (
            "'\\x41\\u00e4\\101\\n' == 'AäA' + \"\\n\" && r'\\n'.size() == 2",
            true,
        ),
        ("matches('v1.20.3', '^v[0-9]+(\\\\.[0-9]+){2}$')", true),
    ] {
        assert_eq!(check(text), Ok(()), "{text}");
        assert_eq!(plain(text), Ok(expected), "{text}");
    }
}

#[test]
fn what_does_not_compile() {
    for (text, at, problem) in [
        ("'a' ==", 7, "a value is missing"),
        ("$(params.foo) == 'x'", 1, "a variable stands in quotes"),
        ("foo == 'x'", 1, "there is nothing called \"foo\""),
        ("'a' = 'a'", 5, "did you mean \"==\""),
        ("('a' == 'b'", 12, "\")\" is missing"),
        ("'a", 1, "no closing quote"),
        ("'a' 'b'", 5, "an operator is missing"),
        ("grep('a')", 1, "there is no function \"grep\""),
        ("", 1, "a value is missing"),
        ("[1].exists(n, m > 1)", 15, "there is nothing called \"m\""),
        (
            "[1].exists(n, n > 1) && n > 1",
            25,
            "there is nothing called \"n\"",
        ),
        ("timestamp('x') == timestamp('x')", 1, "there are no times"),
        ("b'x' == b'x'", 1, "bytes are not possible"),
        ("'x' == 1", 5, "a string and a int do not go together"),
        ("'x'", 1, "no condition, it yields a value of type string"),
        ("'x' && true", 1, "a bool is wanted here, not a string"),
        ("1 in 2", 6, "a list or map is wanted here, not a int"),
        ("'a' + 1 == 'a1'", 5, "do not go together"),
        ("contains('a', 'b')", 1, "write '...'.contains(...)"),
        ("'1'.int() == 1", 5, "write int(...)"),
        ("'a'.contains() == true", 5, "contains takes 1 values, not 0"),
        ("9223372036854775808 > 0", 1, "too large"),
        ("'\\q' == 'q'", 1, "write r'...'"),
        ("'a'.matches('[a')", 13, "lacks a \"]\""),
        ("has('a')", 1, "has takes a key of a map"),
        ("[1].exists(1, true)", 12, "a name for the element"),
        ("1x == 1", 1, "\"1x\" is no number"),
    ] {
        let error = check(text).unwrap_err();
        assert!(
            error.at == at && error.problem.contains(problem),
            "{text}: {error}"
        );
    }
}

#[test]
fn what_cannot_be_evaluated() {
    for (text, problem) in [
        ("1 / 0 == 1", "divided by zero"),
        ("9223372036854775807 + 1 > 0", "too large"),
        ("[1][1] == 1", "only 1 elements"),
        ("{'a': 1}['b'] == 1", "no such key"),
        ("{'a': 1, 'a': 2} == {}", "each once"),
        ("int('x') == 1", "this string cannot become a int"),
        ("uint(-1) == 1u", "this int cannot become a uint"),
        ("[dyn(1)].exists(n, n)", "a condition is wanted here, not a int"),
        (
            "dyn('a') + dyn(1) == 'a'",
            "cannot be done with a string and a int",
        ),
        (
            "dyn('a')",
            "not evaluated to a boolean, but to a value of type string",
        ),
        ("false || 1 / 0 == 1", "divided by zero"),
    ] {
        assert_eq!(check(text), Ok(()), "{text}");
        let error = plain(text).unwrap_err();
        assert!(error.problem.contains(problem), "{text}: {error}");
    }
}

#[test]
fn what_is_too_much_is_refused() {
    for text in [
        "(".repeat(10_000),
        "!".repeat(10_000),
        "-".repeat(10_000),
        "[".repeat(10_000),
    ] {
        assert!(check(&text).unwrap_err().problem.contains("too deep"));
    }
    assert!(
        check(&format!("1{} > 1", "+1".repeat(10_000)))
            .unwrap_err()
            .problem
            .contains("too deep")
    );
    let long = vec!["'a' == 'b'"; 5_000].join(" || ");
    assert_eq!(plain(&long), Ok(false));
    let list = format!("[{}]", vec!["1"; 200].join(","));
    let nested = format!("{list}.all(a, {list}.all(b, {list}.all(c, {list}.all(d, a + b + c + d > 0))))");
    assert_eq!(check(&nested), Ok(()));
    assert!(plain(&nested).unwrap_err().problem.contains("takes too long"));
    let double = "[''].map(a, 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx')".to_owned()
        + &".map(a, a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a)".repeat(12)
        + " == []";
    assert!(plain(&double).unwrap_err().problem.contains("takes too long"));
}

#[test]
fn a_value_stays_a_value() {
    let nasty = "it's \"\\n\"\n' || true || '";
    let expression = "'$(steps.a.results.b)' == 'x'";
    assert_eq!(
        holds(expression, &mut |text| Ok(
            text.replace("$(steps.a.results.b)", nasty)
        )),
        Ok(false)
    );
    let error = holds(expression, &mut |_| Err("there is none".to_owned())).unwrap_err();
    assert_eq!(error.to_string(), "at character 1: there is none");
}

#[test]
fn patterns() {
    for (pattern, yes, no) in [
        ("b", "abc", "ac"),
        ("^b", "bc", "abc"),
        ("b$", "ab", "abc"),
        ("^$", "", "a"),
        ("a.c", "abc", "a\nc"),
        ("^(a|bc)+$", "abca", "abb"),
        ("^(?:a|b|cd)$", "cd", "c"),
        ("^a*$", "aaa", "ab"),
        ("^(a*)*$", "aaa", "ab"),
        ("^a+?b??$", "aab", "abb"),
        ("^a{2,3}$", "aaa", "aaaa"),
        ("^a{2}$", "aa", "a"),
        ("^a{2,}$", "aaaa", "a"),
        ("^a{0}$", "", "a"),
        ("^[a-c_-]+$", "a_-c", "d"),
        ("^[^a-c]$", "d", "a"),
        ("^[]a]+$", "]a", "b"),
        ("^[\\d.]+$", "1.2", "x"),
        (r"^\d+\.\d+$", "1.20", "1x20"),
        (r"^\w+\s\W$", "ab !", "ab b"),
        (r"\bend\b", "the end.", "bending"),
        (r"^\{\}\[\]\(\)\\$", r"{}[]()\", "x"),
        ("(?i)^main$", "MaIn", "mains"),
        ("(?i)[^a]", "b", "A"),
        ("^(?P<major>[0-9])$", "1", "x"),
        ("ä+", "xää", "a"),
        ("", "", "\u{0}none"),
        ("|a", "", "\u{0}none"),
        (r"\Ax\z", "x", "x\n"),
    ] {
        let read = pattern::Pattern::new(pattern).unwrap();
        assert!(read.is_in(yes), "{pattern} {yes}");
        assert!(no.starts_with('\u{0}') || !read.is_in(no), "{pattern} {no}");
    }
    for (pattern, problem) in [
        ("(a", "lacks a \")\""),
        ("a)", "\")\" too many"),
        ("[a", "lacks a \"]\""),
        ("*a", "repeats nothing"),
        ("a{x}", "no repetition"),
        ("a{3,2}", "less than nothing"),
        ("a{2000}{2000}", "repeats too much"),
        ("(?=a)", "not possible here"),
        ("[[:alpha:]]", "not possible here"),
        (r"\pL", "not possible here"),
        ("[b-a]", "empty"),
        ("\\", "backslash"),
    ] {
        let error = pattern::Pattern::new(pattern).unwrap_err();
        assert!(error.contains(problem), "{pattern}: {error}");
    }
    assert!(
        pattern::Pattern::new(&"(".repeat(10_000))
            .unwrap_err()
            .contains("too deep")
    );
}

#[test]
fn fractions() {
    for (text, number) in [
        ("0", 0.0),
        ("1.5", 1.5),
        ("-2.25e2", -225.0),
        ("1e-3", 0.001),
        (".5", 0.5),
        ("5.", 5.0),
        ("123456789.125", 123_456_789.125),
        ("1e22", 1e22),
        ("0.1", 0.1),
        ("+3", 3.0),
        ("1e-400", 0.0),
        ("100000000000000000000000", 1e23),
    ] {
        let read = value::parse_double(text).unwrap();
        assert!(
            (read - number).abs() <= number.abs() * f64::EPSILON,
            "{text}: {read}"
        );
    }
    for text in ["", ".", "e1", "1e", "x", "1.2.3", "1e999", "--1", "inf"] {
        assert_eq!(value::parse_double(text), None, "{text}");
    }
}
