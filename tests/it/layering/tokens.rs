//! Rust source to tokens: identifiers, `::` and single characters. Comments and
//! literals are left out, so nothing that is only written about is taken for code.

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ident(String),
    PathSep,
    Punct(char),
    /// A literal of any type.
    Literal,
}

#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) line: usize,
}

impl Token {
    pub(super) fn is(&self, punct: char) -> bool {
        self.kind == Kind::Punct(punct)
    }

    pub(super) fn ident(&self) -> Option<&str> {
        match &self.kind {
            Kind::Ident(name) => Some(name),
            _ => None,
        }
    }
}

pub(super) fn tokens(source: &str) -> Vec<Token> {
    let mut lexer = Lexer { text: source.chars().collect(), at: 0, line: 1, found: Vec::new() };
    while lexer.at < lexer.text.len() {
        lexer.step();
    }
    lexer.found
}

struct Lexer {
    text: Vec<char>,
    at: usize,
    line: usize,
    found: Vec<Token>,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> char {
        self.text.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn bump(&mut self) -> char {
        let next = self.peek(0);
        self.at += 1;
        if next == '\n' {
            self.line += 1;
        }
        next
    }

    fn push(&mut self, kind: Kind) {
        self.found.push(Token { kind, line: self.line });
    }

    fn step(&mut self) {
        match (self.peek(0), self.peek(1)) {
            (space, _) if space.is_whitespace() => {
                self.bump();
            }
            ('/', '/') => {
                while self.at < self.text.len() && self.peek(0) != '\n' {
                    self.bump();
                }
            }
            ('/', '*') => self.block_comment(),
            ('"', _) => self.string(),
            ('\'', _) => self.quote(),
            (':', ':') => {
                self.push(Kind::PathSep);
                self.at += 2;
            }
            (digit, _) if digit.is_ascii_digit() => {
                while self.peek(0).is_alphanumeric() || self.peek(0) == '_' {
                    self.bump();
                }
                self.push(Kind::Literal);
            }
            (letter, _) if letter.is_alphabetic() || letter == '_' => self.word(),
            (other, _) => {
                self.push(Kind::Punct(other));
                self.bump();
            }
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while self.at < self.text.len() {
            match (self.peek(0), self.peek(1)) {
                ('/', '*') => {
                    depth += 1;
                    self.at += 2;
                }
                ('*', '/') => {
                    depth -= 1;
                    self.at += 2;
                }
                _ => {
                    self.bump();
                }
            }
            if depth == 0 {
                return;
            }
        }
    }

    fn string(&mut self) {
        self.bump();
        while self.at < self.text.len() {
            match self.bump() {
                '\\' => {
                    self.bump();
                }
                '"' => break,
                _ => {}
            }
        }
        self.push(Kind::Literal);
    }

    fn raw_string(&mut self, hashes: usize) {
        self.at += hashes + 1;
        while self.at < self.text.len() {
            if self.bump() == '"' && (0..hashes).all(|ahead| self.peek(ahead) == '#') {
                self.at += hashes;
                break;
            }
        }
        self.push(Kind::Literal);
    }

    /// A character, or a lifetime.
    fn quote(&mut self) {
        self.bump();
        if self.peek(0) == '\\' || self.peek(1) == '\'' {
            while self.at < self.text.len() {
                match self.bump() {
                    '\\' => {
                        self.bump();
                    }
                    '\'' => break,
                    _ => {}
                }
            }
            self.push(Kind::Literal);
        } else {
            while self.peek(0).is_alphanumeric() || self.peek(0) == '_' {
                self.bump();
            }
        }
    }

    fn word(&mut self) {
        let mut word = String::new();
        while self.peek(0).is_alphanumeric() || self.peek(0) == '_' {
            word.push(self.bump());
        }
        let hashes = (0..).take_while(|ahead| self.peek(*ahead) == '#').count();
        let raw = matches!(word.as_str(), "r" | "br" | "cr") && self.peek(hashes) == '"';
        if raw {
            self.raw_string(hashes);
        } else if word == "r" && hashes == 1 {
            // A raw identifier: what counts is the name.
            self.bump();
            self.word();
        } else if matches!(word.as_str(), "b" | "c") && self.peek(0) == '"' {
            self.string();
        } else if word == "b" && self.peek(0) == '\'' {
            self.quote();
        } else {
            self.push(Kind::Ident(word));
        }
    }
}

#[test]
fn only_code_is_seen() {
    let source = r##"
        // crate::a
        /* crate::b /* crate::c */ crate::d */
        let it = "crate::e \" crate::f"; let c = '"'; let l: &'static str = r#"crate::g"#;
        let b = b"crate::h"; let q = '\''; let z = b'\''; r#crate::seen
    "##;
    let names: Vec<String> =
        tokens(source).iter().filter_map(|token| token.ident().map(str::to_owned)).collect();
    assert_eq!(
        names,
        [
            "let", "it", "let", "c", "let", "l", "str", "let", "b", "let", "q", "let", "z",
            "crate", "seen"
        ]
    );
}
