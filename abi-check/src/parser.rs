//! The parser of C declarations behind [`crate::header`].

use std::ops::Range;

use crate::bindings::Kind;
use crate::declaration::{
    Aggregate, Callable, Declarator, Enum, Enumerator, Member, Parameter, Parameters,
};
use crate::token::{Token, TokenKind};

/// What a text declares, in its order.
#[derive(Debug, Default)]
pub(crate) struct Declarations {
    pub(crate) aggregates: Vec<Aggregate>,
    pub(crate) enums: Vec<Enum>,
    pub(crate) callables: Vec<Callable>,
}

/// Reads the declarations of a text.
pub(crate) fn parse(text: &str, tokens: &[Token]) -> Declarations {
    let mut parser = Parser {
        text,
        tokens,
        found: Declarations::default(),
    };
    parser.declarations();
    parser.found
}

struct Parser<'a> {
    text: &'a str,
    tokens: &'a [Token],
    found: Declarations,
}

impl Parser<'_> {
    fn word(&self, index: usize) -> &str {
        self.tokens
            .get(index)
            .map_or("", |token| &self.text[token.start..token.end])
    }

    fn span(&self, tokens: Range<usize>) -> Range<usize> {
        match (self.tokens.get(tokens.start), tokens.end.checked_sub(1)) {
            (Some(first), Some(last)) if last >= tokens.start => {
                first.start..self.tokens.get(last).map_or(first.end, |token| token.end)
            }
            _ => 0..0,
        }
    }

    /// Index behind the bracket that closes the one at `open`.
    fn behind_closing(&self, open: usize) -> usize {
        let mut depth = 0_usize;
        for index in open..self.tokens.len() {
            match self.word(index) {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        return index + 1;
                    }
                }
                _ => {}
            }
        }
        self.tokens.len()
    }

    /// Splits `range` at a separator that is in no brackets.
    fn split_at(&self, range: Range<usize>, separator: &str) -> Vec<Range<usize>> {
        let (mut parts, mut start, mut index) = (Vec::new(), range.start, range.start);
        while index < range.end {
            match self.word(index) {
                "(" | "[" | "{" => index = self.behind_closing(index),
                word => {
                    if word == separator {
                        parts.push(start..index);
                        start = index + 1;
                    }
                    index += 1;
                }
            }
        }
        if start < range.end {
            parts.push(start..range.end);
        }
        parts
    }

    fn declarations(&mut self) {
        let mut start = 0;
        let mut index = 0;
        while index < self.tokens.len() {
            match self.word(index) {
                ";" => {
                    self.declaration(start..index, None);
                    index += 1;
                    start = index;
                }
                "{" => {
                    let end = self.behind_closing(index);
                    // Braces behind parentheses are the body of a function.
                    if index > start
                        && self.word(index - 1) == ")"
                        && !self.defines_type(start..index)
                    {
                        let body = self.span(index..end);
                        self.declaration(start..index, Some(body));
                        start = end;
                    }
                    index = end;
                }
                "(" | "[" => index = self.behind_closing(index),
                _ => index += 1,
            }
        }
    }

    fn defines_type(&self, range: Range<usize>) -> bool {
        // `struct __attribute__((packed)) {` ends in a parenthesis too.
        self.keyword_of_definition(&range).is_some_and(|keyword| {
            (keyword + 1..range.end).all(|index| {
                let word = self.word(index);
                word.starts_with("__attribute") || matches!(word, "(" | ")") || {
                    self.word(index - 1) == "(" || self.word(index - 1) == ","
                }
            })
        })
    }

    fn keyword_of_definition(&self, range: &Range<usize>) -> Option<usize> {
        range
            .clone()
            .find(|index| matches!(self.word(*index), "struct" | "union" | "enum"))
    }

    fn declaration(&mut self, range: Range<usize>, body: Option<Range<usize>>) {
        if range.is_empty() {
            return;
        }
        if body.is_none()
            && let Some(brace) = self.top_level(&range, "{")
            && let Some(keyword) = self.keyword_of_definition(&(range.start..brace))
        {
            self.definition(keyword, brace, range.end);
            return;
        }
        let Some(open) = self.top_level(&range, "(") else {
            return;
        };
        if self.word(range.start) == "typedef" {
            // typedef RESULT (*NAME)(PARAMETERS)
            if self.word(open + 1) == "*" && self.word(open + 4) == "(" {
                let result = self.span(range.start + 1..open);
                self.callable(result, open + 2, open + 4, None);
            }
            return;
        }
        let mut first = range.start;
        while matches!(
            self.word(first),
            "static" | "inline" | "extern" | "__inline__"
        ) {
            first += 1;
        }
        while self.word(first).starts_with("__attribute") {
            first = self.behind_closing(first + 1);
        }
        let Some(open) = self.top_level(&(first..range.end), "(") else {
            return;
        };
        if open > first + 1 && self.tokens[open - 1].kind == TokenKind::Word {
            self.callable(self.span(first..open - 1), open - 1, open, body);
        }
    }

    /// The first token of a spelling that is in no brackets.
    fn top_level(&self, range: &Range<usize>, wanted: &str) -> Option<usize> {
        let mut index = range.start;
        while index < range.end {
            match self.word(index) {
                word if word == wanted => return Some(index),
                "(" | "[" | "{" => index = self.behind_closing(index),
                word if word.starts_with("__attribute") => index = self.behind_closing(index + 1),
                _ => index += 1,
            }
        }
        None
    }

    fn callable(
        &mut self,
        result: Range<usize>,
        name: usize,
        open: usize,
        body: Option<Range<usize>>,
    ) {
        let end = self.behind_closing(open);
        let parameters = self.parameters(open, end);
        self.found.callables.push(Callable {
            name: self.word(name).to_string(),
            result,
            parameters,
            body,
        });
    }

    /// The parameters within the parentheses `open..end`.
    fn parameters(&self, open: usize, end: usize) -> Parameters {
        let span = self.tokens[open].end..self.tokens[end - 1].start.max(self.tokens[open].end);
        let (mut list, mut variadic) = (Vec::new(), false);
        let range = open + 1..end - 1;
        if range.len() == 1 && self.word(range.start) == "void" {
            return Parameters {
                span,
                list,
                variadic,
            };
        }
        for part in self.split_at(range, ",") {
            if self.word(part.start) == "..." {
                variadic = true;
                continue;
            }
            let name = self.declarator(part.clone(), false).name;
            list.push(Parameter {
                name,
                span: self.span(part),
            });
        }
        Parameters {
            span,
            list,
            variadic,
        }
    }

    fn definition(&mut self, keyword: usize, brace: usize, end: usize) {
        if self.word(keyword) == "enum" {
            let item = self.enumeration(keyword, brace);
            self.found.enums.push(item);
        } else {
            let item = self.aggregate(keyword, brace, end);
            self.found.aggregates.push(item);
        }
    }

    fn tag(&self, keyword: usize, brace: usize) -> Option<String> {
        let last = brace.checked_sub(1).filter(|last| *last > keyword)?;
        let is_word = self.tokens[last].kind == TokenKind::Word;
        let tag = if is_word { last } else { keyword + 1 };
        (self.tokens[tag].kind == TokenKind::Word && !self.word(tag).starts_with("__attribute"))
            .then(|| self.word(tag).to_string())
    }

    fn enumeration(&self, keyword: usize, brace: usize) -> Enum {
        let end = self.behind_closing(brace);
        let parts = self.split_at(brace + 1..end.saturating_sub(1), ",");
        let enumerators = parts
            .into_iter()
            .filter(|part| !part.is_empty())
            .map(|part| Enumerator {
                name: self.word(part.start).to_string(),
                span: self.span(part),
            });
        Enum {
            tag: self.tag(keyword, brace),
            enumerators: enumerators.collect(),
        }
    }

    fn aggregate(&mut self, keyword: usize, brace: usize, end: usize) -> Aggregate {
        let kind = if self.word(keyword) == "union" {
            Kind::Union
        } else {
            Kind::Struct
        };
        let close = self.behind_closing(brace);
        let mut last = close;
        while last < end && self.word(last).starts_with("__attribute") {
            last = self.behind_closing(last + 1);
        }
        let mut members = Vec::new();
        for part in self.split_at(brace + 1..close.saturating_sub(1), ";") {
            if !part.is_empty() {
                members.push(self.member(part));
            }
        }
        let brace_end = self.span(brace..close).end;
        let span = self.span(keyword..last);
        Aggregate {
            kind,
            tag: self.tag(keyword, brace),
            span,
            brace_end,
            members,
        }
    }

    fn member(&mut self, part: Range<usize>) -> Member {
        let end = self
            .tokens
            .get(part.end)
            .map_or(self.text.len(), |semicolon| semicolon.end);
        let span = self.span(part.clone()).start..end;
        let brace = self.top_level(&part, "{");
        let keyword = brace.and_then(|b| self.keyword_of_definition(&(part.start..b)));
        let (inner, base_end) = match (brace, keyword) {
            (Some(brace), Some(keyword)) if self.word(keyword) != "enum" => {
                let inner = self.aggregate(keyword, brace, part.end);
                let mut base_end = self.behind_closing(brace);
                while base_end < part.end && self.word(base_end).starts_with("__attribute") {
                    base_end = self.behind_closing(base_end + 1);
                }
                (Some(inner), Some(base_end))
            }
            (Some(brace), Some(keyword)) => {
                let item = self.enumeration(keyword, brace);
                self.found.enums.push(item);
                (None, Some(self.behind_closing(brace)))
            }
            _ => (None, None),
        };
        let mut declarators = Vec::new();
        let mut base = base_end.map(|end| self.span(part.start..end));
        for piece in self.split_at(base_end.unwrap_or(part.start)..part.end, ",") {
            let declarator = self.declarator(piece, base.is_some());
            if base.is_none() {
                base = Some(self.span(part.start..part.end).start..declarator.span.start);
            }
            declarators.push(declarator);
        }
        let base = base.unwrap_or_else(|| self.span(part));
        Member {
            span,
            base,
            declarators,
            inner,
        }
    }

    /// Reads `int *const x[4] : 3` or `int (*x)(void)`; the type in front is left out of the span.
    /// A `bare` one has no type in front, as it follows a comma or a closing brace.
    fn declarator(&self, part: Range<usize>, bare: bool) -> Declarator {
        let mut end = part.end;
        let mut width = None;
        if let Some(colon) = self.top_level(&part, ":") {
            width = Some(self.span(colon + 1..part.end));
            end = colon;
        }
        if let Some(open) = self.top_level(&(part.start..end), "(")
            && self.word(open + 1) == "*"
        {
            let close = self.behind_closing(open);
            let name = (open + 1..close)
                .find(|i| self.tokens[*i].kind == TokenKind::Word && self.word(*i) != "const");
            let parameters = (self.word(close) == "(")
                .then(|| self.parameters(close, self.behind_closing(close)));
            return Declarator {
                name: name.map(|index| self.word(index).to_string()),
                span: self.span(open..part.end),
                width,
                parameters,
            };
        }
        let mut last = end;
        loop {
            let previous = last.saturating_sub(1);
            if last > part.start && self.word(previous) == "]" {
                last = (part.start..previous)
                    .rev()
                    .find(|i| self.word(*i) == "[")
                    .unwrap_or(last);
                if self.word(last) != "[" {
                    break;
                }
            } else if last > part.start && self.word(previous) == ")" {
                match (part.start..previous).find(|i| self.word(*i).starts_with("__attribute")) {
                    Some(attribute) => last = attribute,
                    None => break,
                }
            } else {
                break;
            }
        }
        let name = last.checked_sub(1).filter(|name| {
            *name >= part.start
                && self.tokens[*name].kind == TokenKind::Word
                && (bare || self.names_something(part.start, *name))
        });
        let mut start = name.unwrap_or(last);
        while start > part.start && matches!(self.word(start - 1), "*" | "const" | "restrict") {
            if self.word(start - 1) != "*" && !self.star_before(part.start, start - 1) {
                break;
            }
            start -= 1;
        }
        Declarator {
            name: name.map(|index| self.word(index).to_string()),
            span: self.span(start..part.end),
            width,
            parameters: None,
        }
    }

    fn star_before(&self, start: usize, index: usize) -> bool {
        (start..index).any(|i| self.word(i) == "*")
    }

    /// Whether the word at `name` is a name and not the type of a parameter without one.
    fn names_something(&self, start: usize, name: usize) -> bool {
        let words: Vec<&str> = (start..name)
            .map(|index| self.word(index))
            .filter(|word| !matches!(*word, "const" | "volatile" | "restrict" | "*"))
            .collect();
        let is_type_word = matches!(
            self.word(name),
            "void"
                | "char"
                | "short"
                | "int"
                | "long"
                | "unsigned"
                | "signed"
                | "float"
                | "double"
                | "bool"
                | "_Bool"
                | "const"
                | "restrict"
        );
        let is_tag = matches!(words.as_slice(), ["struct" | "union" | "enum"]);
        !is_type_word && !is_tag && !words.is_empty()
    }
}
