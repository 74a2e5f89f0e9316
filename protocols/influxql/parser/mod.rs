//! Recursive descent over the pieces of a text.

mod expr;
mod manage;
mod select;
mod show;

use super::ast::Statement;
use super::lexer::{self, Piece, Token};
use super::{CHAIN_MAX, NESTING_MAX, PARTS_MAX, ParseError};
use std::cell::RefCell;

/// A statement with its place in the text.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedStatement {
    /// The statement.
    pub statement: Statement,
    /// Where it begins, in bytes.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

/// Reads all statements of a text. `is_zone` knows the names of time zones.
///
/// # Errors
/// When one of them is wrong, or nested too deeply.
pub fn parse(text: &str, is_zone: fn(&str) -> bool) -> Result<Vec<ParsedStatement>, ParseError> {
    let ahead = RefCell::default();
    let mut parser = Parser { text, end: 0, ahead, depth: 0, parts: 0, is_zone };
    let mut statements = Vec::new();
    loop {
        while parser.eat(&Token::Semicolon)? {}
        let first = parser.peek()?;
        if first.token == Token::End {
            return Ok(statements);
        }
        let statement = parser.statement(&first)?;
        statements.push(ParsedStatement { statement, start: first.start, end: parser.end });
        let next = parser.peek()?;
        if !matches!(next.token, Token::Semicolon | Token::End) {
            return Err(parser.unexpected(next.start));
        }
    }
}

/// A text up to where it was read.
struct Parser<'a> {
    text: &'a str,
    /// Where the last piece ends.
    end: usize,
    /// The piece after a place: there are several questions to most of them.
    ahead: RefCell<Option<(usize, Piece<'a>)>>,
    depth: usize,
    parts: usize,
    is_zone: fn(&str) -> bool,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Result<Piece<'a>, ParseError> {
        let mut ahead = self.ahead.borrow_mut();
        if let Some((end, piece)) = &*ahead
            && *end == self.end
        {
            return Ok(piece.clone());
        }
        let piece = lexer::piece(self.text, self.end)?;
        *ahead = Some((self.end, piece.clone()));
        Ok(piece)
    }

    /// The piece after `piece`.
    fn after(&self, piece: &Piece<'_>) -> Result<Piece<'a>, ParseError> {
        lexer::piece(self.text, piece.end)
    }

    fn next(&mut self) -> Result<Piece<'a>, ParseError> {
        let piece = self.peek()?;
        self.end = piece.end;
        Ok(piece)
    }

    fn eat(&mut self, token: &Token<'_>) -> Result<bool, ParseError> {
        let piece = self.peek()?;
        let found = piece.token == *token;
        if found {
            self.end = piece.end;
        }
        Ok(found)
    }

    /// Reads `token`, or says at its place that it is missing.
    fn expect(&mut self, token: &Token<'_>) -> Result<(), ParseError> {
        match self.eat(token)? {
            true => Ok(()),
            false => Err(self.unexpected(self.peek()?.start)),
        }
    }

    /// Reads a keyword, if it comes next.
    fn eat_word(&mut self, word: &str) -> Result<bool, ParseError> {
        let piece = self.peek()?;
        let found = is_word(&piece, word);
        if found {
            self.end = piece.end;
        }
        Ok(found)
    }

    /// Reads a keyword, or fails with `message` at its place.
    fn expect_word(&mut self, word: &str, message: &str) -> Result<(), ParseError> {
        match self.eat_word(word)? {
            true => Ok(()),
            false => Err(lexer::at(message, self.peek()?.start)),
        }
    }

    /// Reads a name, if one comes next.
    fn eat_name(&mut self) -> Result<Option<String>, ParseError> {
        let piece = self.peek()?;
        let name = name(&piece);
        if name.is_some() {
            self.end = piece.end;
        }
        Ok(name)
    }

    /// Reads a name, or fails with `message` at its place.
    fn expect_name(&mut self, message: &str) -> Result<String, ParseError> {
        let start = self.peek()?.start;
        self.eat_name()?.ok_or_else(|| lexer::at(message, start))
    }

    /// Reads a regular expression, if a slash comes next.
    fn eat_regex(&mut self) -> Result<Option<String>, ParseError> {
        let piece = self.peek()?;
        if piece.token != Token::Op(super::ast::Op::Divide) {
            return Ok(None);
        }
        let (pattern, end) = lexer::regex(self.text, piece.start)?;
        self.end = end;
        Ok(Some(pattern))
    }

    /// What comes next has no place here.
    fn unexpected(&self, position: usize) -> ParseError {
        let rest: String = self.text[position..].chars().take(100).collect();
        let message = format!(
            "invalid InfluxQL statement at pos {position}. Parsing Error: Nom({rest:?}, Tag)"
        );
        ParseError { message }
    }

    /// Reads something that may hold itself.
    fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, ParseError>,
    ) -> Result<T, ParseError> {
        if self.depth >= NESTING_MAX {
            let message = format!("statement is nested more than {NESTING_MAX} levels deep");
            return Err(lexer::at(&message, self.end));
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    /// Counts a part of an expression.
    fn count_part(&mut self) -> Result<(), ParseError> {
        self.parts += 1;
        match self.parts > PARTS_MAX {
            true => {
                let message = format!("statement has more than {PARTS_MAX} operands");
                Err(lexer::at(&message, self.end))
            }
            false => Ok(()),
        }
    }

    fn check_chain(&self, operators: usize) -> Result<(), ParseError> {
        match operators > CHAIN_MAX {
            true => {
                let message = format!("expression has more than {CHAIN_MAX} operators in a row");
                Err(lexer::at(&message, self.end))
            }
            false => Ok(()),
        }
    }

    fn statement(&mut self, first: &Piece<'a>) -> Result<Statement, ParseError> {
        let Token::Word(word) = first.token else { return Err(self.unexpected(first.start)) };
        match word.to_ascii_uppercase().as_str() {
            "SELECT" => Ok(Statement::Select(Box::new(self.select()?))),
            "SHOW" => Ok(Statement::Show(Box::new(self.show()?))),
            "EXPLAIN" => self.explain(),
            "CREATE" => self.create(),
            "DROP" => self.drop(),
            "ALTER" => self.alter(),
            "DELETE" => self.delete(),
            "GRANT" | "REVOKE" | "SET" => Err(lexer::at(
                "users and privileges are not supported, access is by tokens",
                first.start,
            )),
            "KILL" => Err(lexer::at(
                "KILL is not supported, a query ends when its client closes the connection",
                first.start,
            )),
            _ => Err(self.unexpected(first.start)),
        }
    }
}

fn is_word(piece: &Piece<'_>, word: &str) -> bool {
    matches!(piece.token, Token::Word(found) if found.eq_ignore_ascii_case(word))
}

/// The name that a piece is.
fn name(piece: &Piece<'_>) -> Option<String> {
    match &piece.token {
        Token::Quoted(name) => Some(name.to_string()),
        Token::Word(word) if lexer::is_bare(word) => Some((*word).to_owned()),
        _ => None,
    }
}
