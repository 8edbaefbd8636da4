//! Every path that a file writes, with the module in which it stands, and what
//! each `use` binds.

use super::tokens::{Kind, Token, tokens};

/// What one file says about modules and paths.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) paths: Vec<Path>,
    pub(super) modules: Vec<Module>,
    /// Ways around the file tree, which this check cannot follow.
    pub(super) escapes: Vec<(usize, String)>,
}

#[derive(Debug)]
pub(super) struct Path {
    /// Where it stands; begins with `crate`.
    pub(super) module: Vec<String>,
    pub(super) segments: Vec<String>,
    pub(super) binding: Binding,
    pub(super) line: usize,
    /// Under `#[cfg(test)]`.
    pub(super) test: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Binding {
    /// An expression or type.
    Inline,
    /// A `use` that makes this name.
    Name(String),
    /// A `use` of everything.
    Glob,
}

/// A `mod` declaration.
#[derive(Debug)]
pub(super) struct Module {
    pub(super) path: Vec<String>,
    pub(super) test: bool,
}

pub(super) fn scan(module: Vec<String>, source: &str) -> Found {
    let mut scanner = Scanner {
        tokens: tokens(source),
        at: 0,
        open: vec![Open { module, depth: 0, test: false }],
        depth: 0,
        test: false,
        found: Found::default(),
    };
    while scanner.at < scanner.tokens.len() {
        scanner.step();
    }
    scanner.found
}

struct Open {
    module: Vec<String>,
    depth: usize,
    test: bool,
}

struct Scanner {
    tokens: Vec<Token>,
    at: usize,
    /// The file's module, and inline modules around the current place.
    open: Vec<Open>,
    depth: usize,
    /// `#[cfg(test)]` stands before the next item.
    test: bool,
    found: Found,
}

impl Scanner {
    fn token(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead)
    }

    fn word(&self, ahead: usize) -> &str {
        self.token(ahead).and_then(Token::ident).unwrap_or_default()
    }

    fn is(&self, ahead: usize, punct: char) -> bool {
        self.token(ahead).is_some_and(|token| token.is(punct))
    }

    fn is_sep(&self, ahead: usize) -> bool {
        self.token(ahead).is_some_and(|token| token.kind == Kind::PathSep)
    }

    fn line(&self) -> usize {
        self.token(0).or(self.tokens.last()).map_or(0, |token| token.line)
    }

    fn step(&mut self) {
        if self.is(0, '#') && (self.is(1, '[') || (self.is(1, '!') && self.is(2, '['))) {
            return self.attribute();
        }
        match self.word(0) {
            // A visibility does not end what an attribute began.
            "pub" => {
                self.at += 1;
                if self.is(0, '(') {
                    while self.at < self.tokens.len() && !self.is(0, ')') {
                        self.at += 1;
                    }
                    self.at += 1;
                }
                return;
            }
            "mod" if !self.word(1).is_empty() => self.module(),
            "use" => self.import(),
            "extern" if self.word(1) == "crate" => self.escape("extern crate"),
            "include" if self.is(1, '!') => self.escape("include!"),
            "" => self.punct(),
            _ => self.inline(),
        }
        self.test = false;
    }

    fn punct(&mut self) {
        if self.is(0, '{') {
            self.depth += 1;
        } else if self.is(0, '}') {
            self.depth = self.depth.saturating_sub(1);
            if self.open.len() > 1 && self.open.last().is_some_and(|open| open.depth == self.depth)
            {
                self.open.pop();
            }
        } else if self.is_sep(0) && !self.word(1).is_empty() && !self.follows_path() {
            return self.inline();
        }
        self.at += 1;
    }

    /// Whether a `::` here goes on a path, as in `<T as X>::Y` or `Vec::<u8>::new`.
    fn follows_path(&self) -> bool {
        self.at
            .checked_sub(1)
            .and_then(|before| self.tokens.get(before))
            .is_some_and(|token| token.is('>') || token.is(')') || token.ident().is_some())
    }

    fn escape(&mut self, what: &str) {
        self.found.escapes.push((self.line(), what.to_owned()));
        self.at += 1;
    }

    fn attribute(&mut self) {
        let begin = self.at;
        while self.at < self.tokens.len() && !self.is(0, '[') {
            self.at += 1;
        }
        let mut depth = 0;
        while self.at < self.tokens.len() {
            if self.is(0, '[') {
                depth += 1;
            } else if self.is(0, ']') {
                depth -= 1;
            } else if self.word(0) == "path" && self.is(1, '=') {
                self.escape("#[path]");
                self.at -= 1;
            }
            self.at += 1;
            if depth == 0 {
                break;
            }
        }
        let words: Vec<&str> = self.tokens[begin..self.at.min(self.tokens.len())]
            .iter()
            .filter_map(Token::ident)
            .collect();
        self.test |= words == ["cfg", "test"];
    }

    fn here(&self) -> &Open {
        self.open.last().expect("the file's module stays")
    }

    fn module(&mut self) {
        let here = self.here();
        let mut path = here.module.clone();
        path.push(self.word(1).to_owned());
        let test = here.test || self.test;
        if self.is(2, '{') {
            self.open.push(Open { module: path.clone(), depth: self.depth, test });
            self.depth += 1;
        }
        self.found.modules.push(Module { path, test });
        self.at += 3;
    }

    fn import(&mut self) {
        self.at += 1;
        self.tree(Vec::new());
        while self.at < self.tokens.len() && !self.is(0, ';') {
            self.at += 1;
        }
    }

    fn tree(&mut self, mut segments: Vec<String>) {
        if self.is_sep(0) {
            segments.push("::".to_owned());
            self.at += 1;
        }
        loop {
            if self.is(0, '{') {
                self.at += 1;
                while self.at < self.tokens.len() && !self.is(0, '}') {
                    self.tree(segments.clone());
                    if self.is(0, ',') {
                        self.at += 1;
                    }
                }
                self.at += 1;
                return;
            }
            if self.is(0, '*') {
                self.at += 1;
                return self.found(segments, Binding::Glob);
            }
            let word = self.word(0).to_owned();
            self.at += 1;
            if word.is_empty() {
                return;
            }
            if word != "self" || segments.is_empty() {
                segments.push(word);
            }
            if self.is_sep(0) {
                self.at += 1;
                continue;
            }
            let mut name = segments.last().cloned().unwrap_or_default();
            if self.word(0) == "as" {
                name = self.word(1).to_owned();
                self.at += 2;
            }
            return self.found(segments, Binding::Name(name));
        }
    }

    fn inline(&mut self) {
        let mut segments = Vec::new();
        if self.is_sep(0) {
            segments.push("::".to_owned());
            self.at += 1;
        }
        let line = self.line();
        loop {
            segments.push(self.word(0).to_owned());
            self.at += 1;
            if !self.is_sep(0) || self.word(1).is_empty() {
                break;
            }
            self.at += 1;
        }
        if segments.len() > 1 {
            self.found_at(segments, Binding::Inline, line);
        }
    }

    fn found(&mut self, segments: Vec<String>, binding: Binding) {
        let line = self.line();
        self.found_at(segments, binding, line);
    }

    fn found_at(&mut self, segments: Vec<String>, binding: Binding, line: usize) {
        let here = self.here();
        let (module, test) = (here.module.clone(), here.test || self.test);
        self.found.paths.push(Path { module, segments, binding, line, test });
    }
}
