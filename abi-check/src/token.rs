//! The tokens of a C header, with the places they stand at. Comments and preprocessor lines are no
//! tokens; both branches of an `#if` are read, but never what is for C++ alone.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Word,
    Number,
    Text,
    Punctuation,
}

/// A token: the bytes `start..end` of the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A `#define NAME value` without parameters.
#[derive(Clone, Debug)]
pub(crate) struct Macro {
    pub(crate) name: String,
    pub(crate) name_span: std::ops::Range<usize>,
    /// The bytes of the value, without the blanks around it.
    pub(crate) value: std::ops::Range<usize>,
}

/// Splits a header. The tokens are in order.
pub(crate) fn split(text: &str) -> (Vec<Token>, Vec<Macro>) {
    let mut scanner = Scanner {
        bytes: text.as_bytes(),
        text,
        at: 0,
        cplusplus: 0,
    };
    let (mut tokens, mut macros) = (Vec::new(), Vec::new());
    let mut line_is_blank = true;
    while let Some(byte) = scanner.peek(0) {
        match byte {
            b'\n' => {
                line_is_blank = true;
                scanner.at += 1;
            }
            b' ' | b'\t' | b'\r' | b'\\' => scanner.at += 1,
            b'/' if scanner.peek(1) == Some(b'*') => scanner.skip_past("*/"),
            b'/' if scanner.peek(1) == Some(b'/') => scanner.skip_to_line_end(),
            b'#' if line_is_blank => macros.extend(scanner.directive()),
            _ => {
                line_is_blank = false;
                let token = scanner.token(byte);
                if scanner.cplusplus == 0 {
                    tokens.push(token);
                }
            }
        }
    }
    (tokens, macros)
}

struct Scanner<'a> {
    bytes: &'a [u8],
    text: &'a str,
    at: usize,
    /// Depth of conditionals within an `#ifdef __cplusplus`; 0 outside.
    cplusplus: u32,
}

impl Scanner<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    fn skip_past(&mut self, end: &str) {
        self.at = match self.text[self.at..].find(end) {
            Some(position) => self.at + position + end.len(),
            None => self.bytes.len(),
        };
    }

    fn skip_to_line_end(&mut self) {
        while self.peek(0).is_some_and(|byte| byte != b'\n') {
            self.at += 1;
        }
    }

    fn token(&mut self, first: u8) -> Token {
        let start = self.at;
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let kind = if first.is_ascii_digit() {
            TokenKind::Number
        } else if is_word(first) {
            TokenKind::Word
        } else if first == b'"' || first == b'\'' {
            TokenKind::Text
        } else {
            TokenKind::Punctuation
        };
        self.at += 1;
        match kind {
            TokenKind::Word | TokenKind::Number => {
                while self.peek(0).is_some_and(is_word) {
                    self.at += 1;
                }
            }
            TokenKind::Text => {
                while let Some(byte) = self.peek(0) {
                    self.at += if byte == b'\\' { 2 } else { 1 };
                    if byte == first {
                        break;
                    }
                }
            }
            TokenKind::Punctuation => {
                // Only `...` is longer than one byte here; operators do not matter.
                if self.text.as_bytes()[start..].starts_with(b"...") {
                    self.at += 2;
                }
                // Not in the middle of a character that is not ASCII.
                while !self.text.is_char_boundary(self.at.min(self.bytes.len())) {
                    self.at += 1;
                }
            }
        }
        self.at = self.at.min(self.bytes.len());
        Token {
            kind,
            start,
            end: self.at,
        }
    }

    /// Skips a preprocessor line with its continuations; returns what it defines.
    fn directive(&mut self) -> Option<Macro> {
        let start = self.at;
        // A comment that goes on over the line end belongs to the directive as far as C is concerned.
        while let Some(byte) = self.peek(0) {
            match byte {
                b'\n' => break,
                b'\\' => self.at += 2,
                b'/' if self.peek(1) == Some(b'*') => self.skip_past("*/"),
                _ => self.at += 1,
            }
        }
        self.at = self.at.min(self.bytes.len());
        let line = &self.text[start + 1..self.at];
        let word_start = line.len() - line.trim_start().len();
        let body = &line[word_start..];
        let word_len = body.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (word, rest) = body.split_at(word_len);
        match word {
            "ifdef" if rest.trim() == "__cplusplus" || self.cplusplus > 0 => self.cplusplus += 1,
            "if" | "ifndef" if self.cplusplus > 0 => self.cplusplus += 1,
            "else" if self.cplusplus == 1 => self.cplusplus = 0,
            "endif" => self.cplusplus = self.cplusplus.saturating_sub(1),
            "define" => return macro_of(start + 1 + word_start + word_len, rest),
            _ => {}
        }
        None
    }
}

fn macro_of(rest_start: usize, rest: &str) -> Option<Macro> {
    let name_start = rest.len() - rest.trim_start().len();
    let body = &rest[name_start..];
    let name_len = body
        .bytes()
        .take_while(|b| b.is_ascii_alphanumeric() || *b == b'_')
        .count();
    let (name, value) = body.split_at(name_len);
    if value.starts_with('(') || value.trim().is_empty() {
        return None;
    }
    let value = value.find("/*").map_or(value, |comment| &value[..comment]);
    let value = value.find("//").map_or(value, |comment| &value[..comment]);
    let name_span = rest_start + name_start..rest_start + name_start + name_len;
    let start = name_span.end + value.len() - value.trim_start().len();
    let value = start..start + value.trim().len();
    Some(Macro {
        name: name.to_string(),
        name_span,
        value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        split(text)
            .0
            .iter()
            .map(|t| &text[t.start..t.end])
            .collect()
    }

    #[test]
    fn comments_and_directives_are_no_tokens() {
        let text = "int /* a */ x; // b\n#if 1 \\\n + 2\nint y;\n#endif\n";
        assert_eq!(words(text), ["int", "x", ";", "int", "y", ";"]);
    }

    #[test]
    fn what_is_for_cplusplus_is_left_out() {
        let text =
            "#ifdef __cplusplus\nextern \"C\" {\n#endif\nint x;\n#ifdef __cplusplus\n}\n#endif\n";
        assert_eq!(words(text), ["int", "x", ";"]);
    }

    #[test]
    fn macros_with_values_are_found() {
        let text = "#define A 1 /* one */\n#define B(x) x\n#define C\n#  define D (1 << \\\n 3)\n";
        let (_, macros) = split(text);
        let found: Vec<_> = macros
            .iter()
            .map(|m| (m.name.as_str(), &text[m.value.clone()]))
            .collect();
        assert_eq!(found, [("A", "1"), ("D", "(1 << \\\n 3)")]);
    }

    #[test]
    fn odd_ends_do_not_panic() {
        for text in ["\"", "'\\", "/*", "#define A \\", "é…", "#", "a\\"] {
            split(text);
        }
    }
}
