use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;

/// Patches that the decoder of the JavaScript SDK takes, and what it makes.
const TAKEN_BY_THE_SDK: [(&str, &str, &str); 13] = [
    ("", "5\n5:hello3NPMmh;", "hello"),
    ("", "0\n0;", ""),
    ("abc", "0\n0;", ""),
    ("hello", "5\n5@0,3NPMmh;", "hello"),
    ("hello world", "B\n5@6,1: 5@0,17~4cH;", "world hello"),
    ("x", "4\n1@0,1@0,1@0,1@0,1tU7Xt;", "xxxx"),
    ("abc", "3\n0@3,3@0,0:1XObC0;", "abc"),
    ("0123456789", "A\n005@0,5@05,2ScrXf;", "0123456789"),
    ("привет", "C\nC@0,1nBcEp;", "привет"),
    // What `encode_text` makes.
    (
        r#"{"text":"dew on the grass, a fine day","n":1}"#,
        "i\nP@0,1:;H@Q,2:2}1kItLD;",
        r#"{"text":"dew on the grass; a fine day","n":2}"#,
    ),
    (
        r#"{"стих":"мороз и солнце, день чудесный","n":1}"#,
        "1A\nc@0,1:;W@d,2:2}1F9WWj;",
        r#"{"стих":"мороз и солнце; день чудесный","n":2}"#,
    ),
    (
        "aaaaаbbbbbbbbbbbbbbbbbcccccccccccccccc",
        "h\n6:aaaaбG@6,2:аG@N,4:😀unU6a;",
        "aaaaбbbbbbbbbbbbbbbbbаcccccccccccccccc😀",
    ),
    (
        r#"{"bids":[[100,1],[101,2],[102,3]],"asks":[]}"#,
        "h\nC@0,C@K,7:,[100,1D@V,n7f9A;",
        r#"{"bids":[[101,2],[102,3],[100,1]],"asks":[]}"#,
    ),
];

#[test]
fn patches_that_the_sdk_takes() {
    for (base, patch, target) in TAKEN_BY_THE_SDK {
        let made = decode(base.as_bytes(), patch.as_bytes(), target.len());
        assert_eq!(made.as_deref(), Ok(target.as_bytes()), "{patch}");
    }
    for (base, patch, target) in &TAKEN_BY_THE_SDK[9..] {
        assert_eq!(encode_text(base, target).as_deref(), Some(*patch));
    }
}

#[test]
fn patches_that_are_none() {
    use BadPatch::*;
    for (base, patch, why) in [
        ("hello", "", Syntax),
        ("hello", "5", Syntax),
        ("hello", "5\n", Syntax),
        ("hello", "5\n5@0,", Syntax),
        ("hello", "5\n5@0,3NPMmh", Syntax),
        ("hello", "5\n5@0,3NPMmh;;", Syntax),
        ("hello", "5,5@0,3NPMmh;", Syntax),
        ("hello", "\n5@0,3NPMmh;", Syntax),
        ("hello", "5\n5!0,3NPMmh;", Syntax),
        ("hello", "5\n5@0;3NPMmh;", Syntax),
        ("hello", "5\n@0,3NPMmh;", Syntax),
        ("hello", "5\n5:hell", Syntax),
        ("hello", "5\n~~~~~~:hello3NPMmh;", Syntax),
        ("hello", "5\n5@~~~~~~~~~~~~~~,3NPMmh;", Syntax),
        ("hello", "H\n5@0,3NPMmh;", TooLong),
        ("hello", "~~~~~~~~~~\n5@0,3NPMmh;", TooLong),
        ("hello", "5\n5@1,3NPMmh;", OutOfBase),
        ("hello", "5\n0@6,5@0,3NPMmh;", OutOfBase),
        ("hello", "5\nF~~~~~~~~~~@F~~~~~~~~~~,3NPMmh;", OutOfBase),
        ("hello", "4\n5@0,3NPMmh;", Length),
        ("hello", "6\n5@0,3NPMmh;", Length),
        ("hello", "5\n5@0,1@0,3NPMmh;", Length),
        ("hello", "5\n5@0,0;", Checksum),
        ("hello", "5\n5@0,3NPMmi;", Checksum),
        ("hello", "5\n5@0,13NPMmh;", Checksum),
        ("hellp", "5\n5@0,3NPMmh;", Checksum),
    ] {
        assert_eq!(decode(base.as_bytes(), patch.as_bytes(), 16), Err(why), "{patch:?}");
    }
}

/// Such a patch asks for much with few bytes.
#[test]
fn what_is_made_stays_below_the_limit() {
    let base = [b'x'; 1000];
    let bomb = format!("F~~~~~\n{}0;", "Fc@0,".repeat(10_000));
    assert_eq!(decode(&base, bomb.as_bytes(), 65536), Err(BadPatch::TooLong));
    let bomb = format!("FE~\n{}0;", "Fc@0,".repeat(10_000));
    assert_eq!(decode(&base, bomb.as_bytes(), 65536), Err(BadPatch::Length));
}

/// Near its start and in its last character, where what both have in common at
/// their ends saves nothing.
#[test]
fn a_payload_that_changes_near_both_ends() {
    let payload = |number: u32, last: char| {
        let text = "Whatever is long enough and does not repeat itself too often; ".repeat(7);
        format!(r#"{{"input":"value {number}","text":"{text}","number":{number},"last":"{last}"#)
    };
    let [first, second, third] = [payload(1, 'a'), payload(2, 'b'), payload(10, 'c')];
    for (base, target) in [(&first, &second), (&second, &third)] {
        assert!(target.len() > 480);
        assert!(text_size(base, target).unwrap() < 60);
        assert!(size(base.as_bytes(), target.as_bytes()).unwrap() < 60);
    }
}

#[test]
fn a_list_that_moves_on() {
    let list = |from: u32| {
        let items: Vec<_> =
            (from..from + 50).map(|n| format!(r#"{{"id":{n},"at":"x"}}"#)).collect();
        format!("[{}]", items.join(","))
    };
    assert!(text_size(&list(100), &list(101)).unwrap() < 50);
    assert!(text_size(&list(101), &list(100)).unwrap() < 50);
    let twice = list(100) + &list(100);
    assert!(text_size(&list(100), &twice).unwrap() < 30);
}

#[test]
fn no_patch_where_it_would_not_be_smaller() {
    for (base, target) in [
        ("", ""),
        ("", "x"),
        ("x", ""),
        ("x", "x"),
        ("{\"x\":1}", "{\"x\":2}"),
        ("", "all of this is new, so that it would only be longer"),
        ("nothing of this is there", "all of that is as new as it can be"),
    ] {
        assert_eq!(encode_text(base, target), None, "{target}");
        assert_eq!(encode(base.as_bytes(), target.as_bytes()), None, "{target}");
    }
}

/// Both characters share their first byte, and others their last.
#[test]
fn characters_stay_whole() {
    let text = |char: char| format!("some words before {char} and some more words behind");
    for (one, other) in [('é', 'è'), ('é', 'Щ'), ('語', '誫'), ('😀', '😁'), ('😀', '🐀')]
    {
        let patch = encode_text(&text(one), &text(other)).unwrap();
        assert!(patch.contains(other), "{patch}");
        text_size(&text(one), &text(other)).unwrap();
        // Where it need not be text, the byte that differs will do.
        let bytes = size(text(one).as_bytes(), text(other).as_bytes()).unwrap();
        assert!(bytes < patch.len() || one.len_utf8() == 2 && bytes <= patch.len());
    }
}

/// The encoder holds its steps against the sizes itself.
#[test]
fn texts_that_repeat_themselves_are_done_in_bounded_steps() {
    const SIZE: usize = 1 << 16;
    const SOME: usize = 1 << 10;
    let one_byte = vec![b'a'; SIZE];
    let period = |of: &[u8]| of.iter().copied().cycle().take(SIZE).collect::<Vec<_>>();
    let almost = |bytes: &[u8], every: usize| {
        let mut bytes = bytes.to_vec();
        bytes.iter_mut().step_by(every).for_each(|byte| *byte ^= 1);
        bytes
    };
    let mut texts = vec![
        one_byte.clone(),
        period(b"ab"),
        period(b"abcdefg"),
        period(b"abcdefgh"),
        period(b"abcdefghi"),
        period(br#"{"id":1,"name":"x"},"#),
    ];
    for every in [7, 9, 11, 13, 15, 16, 17, 64, 1000] {
        texts.push(almost(&one_byte, every));
        texts.push(almost(&period(b"abcdefgh"), every));
    }
    for base in &texts {
        for target in &texts {
            size(&base[..SOME], &target[..SOME]);
        }
        assert!(size(base, base).is_some());
        size(base, &one_byte);
    }
    assert!(size(&one_byte, &one_byte).unwrap() < 20);
    assert!(size(&one_byte[1..], &one_byte).unwrap() < 24);
}

proptest! {
    #[test]
    fn unrelated_bytes(base in vec(any::<u8>(), 0..300), target in vec(any::<u8>(), 0..300)) {
        size(&base, &target);
    }

    #[test]
    fn bytes_of_a_small_alphabet(base in vec(0..3_u8, 0..600), target in vec(0..3_u8, 0..600)) {
        size(&base, &target);
    }

    #[test]
    fn bytes_edited(base in vec(any::<u8>(), 0..600), edits in vec(edit(any::<u8>()), 0..6)) {
        size(&base, &edited(&base, &edits));
    }

    #[test]
    fn texts_edited(base in vec(piece(), 0..80), edits in vec(edit(piece()), 0..6)) {
        let target = edited(&base, &edits).concat();
        text_size(&base.concat(), &target);
        size(base.concat().as_bytes(), target.as_bytes());
    }

    /// A few edits in a long payload make a small patch.
    #[test]
    fn an_edit_costs_little(
        base in vec(any::<u8>(), 600..900),
        at in 0..500_usize,
        put in vec(any::<u8>(), 0..20),
    ) {
        let target = [&base[..at], &put, &base[at + 9..]].concat();
        let size = size(&base, &target);
        prop_assert!(size.is_some_and(|size| size < 70), "{size:?}");
    }

    #[test]
    fn any_patch(
        base in vec(any::<u8>(), 0..40),
        patch in prop_oneof![
            vec(any::<u8>(), 0..60),
            vec(select(b"0123AZ_az~@,:;\n".as_slice()), 0..40),
        ],
        most in 0..200_usize,
    ) {
        if let Ok(made) = decode(&base, &patch, most) {
            prop_assert!(made.len() <= most);
        }
    }

    #[test]
    fn a_damaged_patch(
        base in vec(0..3_u8, 100..300),
        edits in vec(edit(0..3_u8), 1..4),
        damage in vec((any::<Index>(), any::<u8>()), 1..4),
        cut in any::<Index>(),
    ) {
        let target = edited(&base, &edits);
        if let Some(mut patch) = encode(&base, &target) {
            prop_assert_eq!(decode(&base, &patch[..cut.index(patch.len())], 1000), Err(BadPatch::Syntax));
            for (at, byte) in damage {
                let at = at.index(patch.len());
                patch[at] = byte;
            }
            if let Ok(made) = decode(&base, &patch, 1000) {
                prop_assert!(made.len() <= 1000);
            }
        }
    }
}

/// How long the patch is, which must make the target again.
#[track_caller]
fn size(base: &[u8], target: &[u8]) -> Option<usize> {
    let patch = encode(base, target)?;
    assert!(patch.len() < target.len());
    assert_eq!(decode(base, &patch, target.len()).as_deref(), Ok(target));
    if !target.is_empty() {
        assert_eq!(decode(base, &patch, target.len() - 1), Err(BadPatch::TooLong));
    }
    Some(patch.len())
}

/// As [`size`], for a patch that is text, as its type says.
#[track_caller]
fn text_size(base: &str, target: &str) -> Option<usize> {
    let patch = encode_text(base, target)?;
    assert!(patch.len() < target.len());
    let made = decode(base.as_bytes(), patch.as_bytes(), target.len());
    assert_eq!(made.as_deref(), Ok(target.as_bytes()));
    Some(patch.len())
}

/// What is put in where, and how much is left out there.
type Edit<T> = (Index, usize, Vec<T>);

fn edit<T: std::fmt::Debug>(of: impl Strategy<Value = T>) -> impl Strategy<Value = Edit<T>> {
    (any::<Index>(), 0..20_usize, vec(of, 0..8))
}

fn edited<T: Clone>(base: &[T], edits: &[Edit<T>]) -> Vec<T> {
    let mut items = base.to_vec();
    for (at, left_out, put_in) in edits {
        let at = at.index(items.len() + 1);
        let end = items.len().min(at + left_out);
        items.splice(at..end, put_in.iter().cloned());
    }
    items
}

fn piece() -> impl Strategy<Value = String> {
    const PIECES: [&str; 16] = [
        "{",
        "}",
        "\"name\":",
        "\"value\":",
        ",",
        "12",
        "\"",
        "é",
        "è",
        "Щ",
        "日本",
        "\u{2028}",
        "😀",
        "😁",
        "text",
        "\\n",
    ];
    prop_oneof![8 => select(&PIECES).prop_map(str::to_owned), 1 => ".{0,4}"]
}
