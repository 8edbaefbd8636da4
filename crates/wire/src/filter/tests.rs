use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const COMPARISONS: [Comparison; 9] = [
    Comparison::Equal,
    Comparison::NotEqual,
    Comparison::StartsWith,
    Comparison::EndsWith,
    Comparison::Contains,
    Comparison::Less,
    Comparison::LessOrEqual,
    Comparison::Greater,
    Comparison::GreaterOrEqual,
];

/// The comparisons that hold between a tag, if there is one, and a value.
#[track_caller]
fn hold(tag: Option<&str>, value: &str, expected: &[Comparison]) {
    let tags = tag.map(|tag| ("k", tag));
    for comparison in COMPARISONS {
        let holds = is("k", comparison, value).matches(&tags_of(tags.as_slice()));
        assert_eq!(holds, expected.contains(&comparison), "{tag:?} {comparison:?} {value}");
    }
}

#[test]
fn texts_and_numbers() {
    use Comparison::*;
    hold(Some("abc"), "abc", &[Equal, StartsWith, EndsWith, Contains]);
    hold(Some("abc"), "a", &[NotEqual, StartsWith, Contains]);
    hold(Some("abc"), "b", &[NotEqual, Contains]);
    hold(Some("abc"), "c", &[NotEqual, EndsWith, Contains]);
    hold(Some("abc"), "C", &[NotEqual]);
    hold(Some("abc"), "abcd", &[NotEqual]);
    hold(Some("naïve"), "ï", &[NotEqual, Contains]);
    hold(Some("10"), "9", &[NotEqual, Greater, GreaterOrEqual]);
    hold(Some("-10"), "9", &[NotEqual, Less, LessOrEqual]);
    hold(Some("9.0"), "9", &[NotEqual, StartsWith, Contains, LessOrEqual, GreaterOrEqual]);
    hold(Some("9"), "nine", &[NotEqual]);
    hold(Some("nine"), "9", &[NotEqual]);
    hold(Some(""), "9", &[NotEqual]);
    hold(None, "9", &[NotEqual]);
}

#[test]
fn lists_and_presence() {
    let (some, other, empty, none) =
        (&[("k", "b")][..], &[("k", "d")][..], &[("k", "")][..], &[("K", "b")][..]);
    for (condition, expected) in [
        (Condition::In(list(&["c", "b", "a"])), [true, false, false, false]),
        (Condition::NotIn(list(&["c", "b", "a"])), [false, true, true, true]),
        (Condition::In(list(&["", "b"])), [true, false, true, false]),
        (Condition::NotIn(list(&["", "b"])), [false, true, false, false]),
        (Condition::Exists, [true, true, true, false]),
        (Condition::NotExists, [false, false, false, true]),
    ] {
        let filter = Filter::tag("k", condition).unwrap();
        let matches = [some, other, empty, none].map(|tags| filter.matches(&tags_of(tags)));
        assert_eq!(matches, expected, "{filter:?}");
    }
}

#[test]
fn trees() {
    let coin = || is("coin", Comparison::Equal, "btc");
    let price = || is("price", Comparison::Greater, "100");
    let tags = |coin, price| tags_of(&[("coin", coin), ("price", price)]);
    let table = [
        (Filter::all(vec![coin(), price()]), [true, false, false, false]),
        (Filter::any(vec![coin(), price()]), [true, true, true, false]),
        (Filter::negated(coin()), [false, false, true, true]),
        (Filter::negated(Filter::any(vec![coin(), price()]).unwrap()), [false, false, false, true]),
        (Filter::all(vec![price()]), [true, false, true, false]),
        (Filter::any(vec![price()]), [true, false, true, false]),
    ];
    for (filter, expected) in table {
        let filter = filter.unwrap();
        let matches = [("btc", "101"), ("btc", "99.5"), ("eth", "101"), ("eth", "dear")]
            .map(|(coin, price)| filter.matches(&tags(coin, price)));
        assert_eq!(matches, expected, "{filter:?}");
    }
}

#[test]
fn what_must_not_be_empty() {
    for comparison in COMPARISONS {
        assert_eq!(Filter::tag("k", Condition::Is(comparison, "".into())), Err(BadFilter));
    }
    assert_eq!(Filter::tag("k", Condition::In(list(&[]))), Err(BadFilter));
    assert_eq!(Filter::tag("k", Condition::NotIn(list(&[]))), Err(BadFilter));
    assert_eq!(Filter::all(vec![]), Err(BadFilter));
    assert_eq!(Filter::any(vec![]), Err(BadFilter));
}

#[test]
fn filters_end_at_their_limits() {
    let exists = || Filter::tag("", Condition::Exists).unwrap();

    let mut deepest = exists();
    for _ in 1..MAX_DEPTH {
        deepest = Filter::negated(deepest).unwrap();
    }
    assert_eq!(Filter::all(vec![exists(), deepest.clone()]), Err(BadFilter));
    assert_eq!(Filter::negated(deepest), Err(BadFilter));

    let widest = Filter::any(vec![exists(); MAX_NODES - 1]).unwrap();
    assert_eq!(widest.nodes(), MAX_NODES);
    assert_eq!(Filter::negated(widest), Err(BadFilter));
    assert_eq!(Filter::all(vec![exists(); MAX_NODES]), Err(BadFilter));

    let numbers = |many: usize| (0..many).map(|n| n.to_string().into()).collect();
    let longest = Filter::tag("", Condition::In(numbers(MAX_VALUES))).unwrap();
    assert_eq!(Filter::tag("", Condition::In(numbers(MAX_VALUES + 1))), Err(BadFilter));
    let one_more = Filter::tag("", Condition::NotIn(numbers(1))).unwrap();
    assert_eq!(Filter::all(vec![longest, one_more]), Err(BadFilter));

    let text = |length: usize| "x".repeat(length);
    let condition = |length| Condition::Is(Comparison::Equal, text(length).into());
    let largest = Filter::tag(&text(100), condition(MAX_TEXT - 100)).unwrap();
    assert_eq!(Filter::tag(&text(101), condition(MAX_TEXT - 100)), Err(BadFilter));
    assert!(Filter::all(vec![largest.clone(), exists()]).is_ok());
    assert_eq!(Filter::all(vec![largest, is("k", Comparison::Less, "1")]), Err(BadFilter));
}

proptest! {
    #[test]
    fn lists_know_their_values(
        values in vec("[a-c]{0,2}", 1..6),
        tags in btree_map("k", "[a-c]{0,2}", 0..2),
    ) {
        let boxed = || values.iter().map(|value| value.as_str().into()).collect();
        let tag = tags.get("k");
        let has = |tag: &String| values.contains(tag);
        let is_in = Filter::tag("k", Condition::In(boxed())).unwrap();
        prop_assert_eq!(is_in.matches(&tags), tag.is_some_and(has));
        let is_not = Filter::tag("k", Condition::NotIn(boxed())).unwrap();
        prop_assert_eq!(is_not.matches(&tags), !has(&tag.cloned().unwrap_or_default()));
    }

    /// Also for numbers, where both a tag and its value must be some.
    #[test]
    fn numbers_compare_as_integers_do(a in any::<i64>(), b in any::<i64>(), close in any::<bool>()) {
        let b = if close { a.wrapping_add(b % 3) } else { b };
        let holds = |by, a: i64, b: i64| {
            is("k", by, &b.to_string()).matches(&tags_of(&[("k", &a.to_string())]))
        };
        prop_assert_eq!(holds(Comparison::Less, a, b), a < b);
        prop_assert_eq!(holds(Comparison::LessOrEqual, a, b), a <= b);
        prop_assert_eq!(holds(Comparison::Greater, a, b), a > b);
        prop_assert_eq!(holds(Comparison::GreaterOrEqual, a, b), a >= b);
    }

    #[test]
    fn not_is_the_opposite(
        by in select(&COMPARISONS),
        value in "[0-2a.-]{1,3}",
        tags in btree_map("k", "[0-2a.-]{0,3}", 0..2),
    ) {
        let filter = is("k", by, &value);
        let not = Filter::negated(filter.clone()).unwrap();
        prop_assert_ne!(filter.matches(&tags), not.matches(&tags));
    }
}

fn is(key: &str, comparison: Comparison, value: &str) -> Filter {
    Filter::tag(key, Condition::Is(comparison, value.into())).unwrap()
}

fn list(values: &[&str]) -> Box<[Box<str>]> {
    values.iter().map(|value| Box::from(*value)).collect()
}

fn tags_of(tags: &[(&str, &str)]) -> BTreeMap<String, String> {
    tags.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}
