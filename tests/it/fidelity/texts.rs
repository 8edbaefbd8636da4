//! JSON that something between would like to tidy up.

use sealcast_wire::MAX_DEPTH;

/// What stands in a member as it is: nothing around it, no raw line ends.
pub(super) fn plain() -> Vec<String> {
    let mut texts: Vec<String> = [
        // Literals, and what a program takes for nothing.
        "null",
        "true",
        "false",
        "0",
        "\"\"",
        "[]",
        "{}",
        // Numbers that a program would write otherwise, or could not hold.
        "-0",
        "-0.0",
        "1.0",
        "1e3",
        "1E+2",
        "0.1000",
        "1e-7",
        "1e400",
        "9007199254740993",
        "18446744073709551615",
        "-9223372036854775808",
        "123456789012345678901234567890.000",
        // White space.
        "{ \"a\" :\t[ 1 ,2 ] }",
        "[ ]",
        "{\t}",
        // Names: their order, twice, none, the protocol's own.
        "{\"b\":1,\"a\":2}",
        "{\"a\":1,\"a\":2,\"a\":1}",
        "{\"\":0}",
        "{\"id\":1,\"push\":{\"channel\":\"other\"}}",
        "{\"\\u0061\":1,\"a\":2}",
        // Escapes that need not be, and characters that need no escape.
        r#""\u0041\u0042""#,
        r#""\/ \b \f \n \r \t \" \\""#,
        r#""\u00e9 \u00E9""#,
        r#""\ud83d\ude00 \uD83D\uDE00""#,
        r#""\ud800""#,
        r#""\udc00\ud800""#,
        r#""\u0000\u001f\u007f""#,
        r#""\u2028\u2029""#,
        "\"\u{2028}\u{2029}\"",
        "\"é😀\u{7f}\u{85}\u{feff}\"",
        "\"<script>&amp;</script>'\"",
        "\"e\u{301} and \u{e9}\"",
    ]
    .map(String::from)
    .into();
    texts.push(format!("{}1{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH)));
    texts.push(format!("{}1{}", "{\"a\":".repeat(MAX_DEPTH), "}".repeat(MAX_DEPTH)));
    texts.push(format!("[{}0.10]", "1.0, ".repeat(3_000)));
    texts
}

/// Raw line ends within: white space to JSON, the end of a message to its frames.
pub(super) fn with_line_ends() -> Vec<String> {
    ["{\n  \"a\": [\r\n 1,\n\n2 ],\t\"b\": \"\\n\"\n}", "[1,\r2]", "[\n]"].map(String::from).into()
}

/// White space around, which only those can write who do not write a member.
pub(super) fn with_space_around() -> Vec<String> {
    [" 1 ", "\t{\"a\": 1}\t", "\n[1]\n", "\r\n {} \r\n"].map(String::from).into()
}

/// As JSON carries it.
pub(super) fn joined(text: &str) -> String {
    text.replace(['\n', '\r'], "")
}
