//! Expressions and conditions.

use super::{Parser, is_word, name};
use crate::influxql::ParseError;
use crate::influxql::ast::{Cast, Expr, Literal, Logic, Op, WildcardKind};
use crate::influxql::lexer::{self, Token};

/// What binds weakest of what is no comparison.
const ADDITIVE: u8 = 4;
/// What binds strongest.
const STRONGEST: u8 = 5;

impl Parser<'_> {
    /// Reads a condition.
    pub(super) fn condition(&mut self) -> Result<Expr, ParseError> {
        self.joined(Logic::Or, "OR", |parser| parser.joined(Logic::And, "AND", Self::comparison))
    }

    fn joined(
        &mut self,
        logic: Logic,
        word: &str,
        operand: impl Fn(&mut Self) -> Result<Expr, ParseError>,
    ) -> Result<Expr, ParseError> {
        let first = operand(self)?;
        let mut operands = vec![first];
        while self.eat_word(word)? {
            operands.push(operand(self)?);
        }
        match operands.len() {
            1 => Ok(operands.remove(0)),
            _ => Ok(Expr::Logical { logic, operands }),
        }
    }

    fn comparison(&mut self) -> Result<Expr, ParseError> {
        let left = self.chain(ADDITIVE, true)?;
        let piece = self.peek()?;
        let Token::Op(op) = piece.token else { return Ok(left) };
        if !op.is_comparison() {
            return Ok(left);
        }
        self.end = piece.end;
        let start = self.peek()?.start;
        let right = match op {
            Op::Matches | Op::MatchesNot => match self.eat_regex()? {
                Some(pattern) => Expr::Literal(Literal::Regex(pattern)),
                None => {
                    let message = "invalid conditional, expected regular expression";
                    return Err(lexer::at(message, start));
                }
            },
            _ if self.peek()?.token == Token::Op(Op::Divide) => {
                return Err(lexer::at("invalid conditional expression", start));
            }
            _ => self.chain(ADDITIVE, true)?,
        };
        Ok(Expr::Binary { op, left: Box::new(left), right: Box::new(right) })
    }

    /// Reads what can stand in a SELECT list.
    pub(super) fn arithmetic(&mut self) -> Result<Expr, ParseError> {
        self.chain(ADDITIVE, false)
    }

    /// Reads operands joined by operators that bind as `binding` or stronger.
    fn chain(&mut self, binding: u8, in_condition: bool) -> Result<Expr, ParseError> {
        let operand = |parser: &mut Self| match binding {
            STRONGEST => parser.signed(in_condition),
            _ => parser.chain(binding + 1, in_condition),
        };
        let mut left = operand(self)?;
        let mut operators = 0;
        loop {
            let piece = self.peek()?;
            let Token::Op(op) = piece.token else { return Ok(left) };
            if op.binding() != binding {
                return Ok(left);
            }
            operators += 1;
            self.check_chain(operators)?;
            self.end = piece.end;
            let right = operand(self)?;
            left = Expr::Binary { op, left: Box::new(left), right: Box::new(right) };
        }
    }

    fn signed(&mut self, in_condition: bool) -> Result<Expr, ParseError> {
        if self.eat(&Token::Op(Op::Subtract))? {
            let operand = self.nested(|parser| parser.signed(in_condition))?;
            return Ok(Expr::Negative(Box::new(operand)));
        }
        if self.eat(&Token::Op(Op::Add))? {
            return self.nested(|parser| parser.signed(in_condition));
        }
        self.operand(in_condition)
    }

    fn operand(&mut self, in_condition: bool) -> Result<Expr, ParseError> {
        self.count_part()?;
        let piece = self.peek()?;
        let literal = match &piece.token {
            Token::Integer(value) => match i64::try_from(*value) {
                Ok(value) => Literal::Integer(value),
                Err(_) => Literal::Unsigned(*value),
            },
            Token::Float(value) => Literal::Float(*value),
            Token::Duration(ns) => Literal::Duration(*ns),
            Token::String(value) => Literal::String(value.to_string()),
            Token::Word(word) if word.eq_ignore_ascii_case("true") => Literal::Boolean(true),
            Token::Word(word) if word.eq_ignore_ascii_case("false") => Literal::Boolean(false),
            Token::Op(Op::Divide) if !in_condition => {
                let (pattern, end) = lexer::regex(self.text, piece.start)?;
                self.end = end;
                return Ok(Expr::Literal(Literal::Regex(pattern)));
            }
            Token::Bind(name) => {
                self.end = piece.end;
                return Ok(Expr::Bind(name.to_string()));
            }
            Token::Open => {
                self.end = piece.end;
                let inner = self.nested(|parser| match in_condition {
                    true => parser.condition(),
                    false => parser.arithmetic(),
                })?;
                self.expect(&Token::Close)?;
                return Ok(inner);
            }
            Token::Op(Op::Multiply) => {
                self.end = piece.end;
                return Ok(Expr::Wildcard(self.wildcard_kind()?));
            }
            Token::Word(_) if is_word(&piece, "DISTINCT") => return self.distinct(),
            Token::Word(word) => {
                if self.after(&piece)?.token == Token::Open && !lexer::is_reserved(word) {
                    self.end = piece.end;
                    return self.call(word.to_ascii_lowercase());
                }
                return self.variable();
            }
            Token::Quoted(_) => return self.variable(),
            _ => return Err(self.unexpected(piece.start)),
        };
        self.end = piece.end;
        Ok(Expr::Literal(literal))
    }

    fn variable(&mut self) -> Result<Expr, ParseError> {
        let piece = self.peek()?;
        let Some(name) = name(&piece) else { return Err(self.unexpected(piece.start)) };
        self.end = piece.end;
        let cast = match self.eat(&Token::Colons)? {
            true => Some(self.cast()?),
            false => None,
        };
        Ok(Expr::Variable { name, cast })
    }

    fn cast(&mut self) -> Result<Cast, ParseError> {
        let piece = self.next()?;
        let casts = [
            ("float", Cast::Float),
            ("integer", Cast::Integer),
            ("unsigned", Cast::Unsigned),
            ("string", Cast::String),
            ("boolean", Cast::Boolean),
            ("field", Cast::Field),
            ("tag", Cast::Tag),
        ];
        let found = casts.into_iter().find(|(word, _)| is_word(&piece, word));
        let message = "invalid data type for tag or field reference, expected float, integer, \
                       unsigned, string, boolean, field, tag";
        found.map(|(_, cast)| cast).ok_or_else(|| lexer::at(message, piece.start))
    }

    /// Reads `::tag` or `::field` behind a wildcard.
    pub(super) fn wildcard_kind(&mut self) -> Result<Option<WildcardKind>, ParseError> {
        if !self.eat(&Token::Colons)? {
            return Ok(None);
        }
        let piece = self.next()?;
        match () {
            () if is_word(&piece, "TAG") => Ok(Some(WildcardKind::Tag)),
            () if is_word(&piece, "FIELD") => Ok(Some(WildcardKind::Field)),
            () => {
                let message = "invalid wildcard type specifier, expected TAG or FIELD";
                Err(lexer::at(message, piece.start))
            }
        }
    }

    fn distinct(&mut self) -> Result<Expr, ParseError> {
        self.end = self.peek()?.end;
        if self.peek()?.token == Token::Open {
            return self.call("distinct".to_owned());
        }
        let message = "invalid DISTINCT expression, expected identifier";
        Ok(Expr::Distinct(self.expect_name(message)?))
    }

    fn call(&mut self, name: String) -> Result<Expr, ParseError> {
        self.expect(&Token::Open)?;
        let args = self.nested(|parser| {
            let mut args = Vec::new();
            if parser.eat(&Token::Close)? {
                return Ok(args);
            }
            loop {
                args.push(parser.arithmetic()?);
                if !parser.eat(&Token::Comma)? {
                    parser.expect(&Token::Close)?;
                    return Ok(args);
                }
            }
        })?;
        Ok(Expr::Call { name, args })
    }
}
