//! `SELECT` and `EXPLAIN`.

use super::{Parser, is_word, name};
use crate::influxql::ParseError;
use crate::influxql::ast::{
    Bounds, Dimension, Explain, Expr, Field, Fill, Measurement, MeasurementName, Op, Order, Select,
    Source, Statement,
};
use crate::influxql::lexer::{self, Token};

impl Parser<'_> {
    pub(super) fn explain(&mut self) -> Result<Statement, ParseError> {
        self.next()?;
        let analyze = self.eat_word("ANALYZE")?;
        let verbose = self.eat_word("VERBOSE")?;
        let first = self.peek()?;
        let statement = match () {
            () if is_word(&first, "SELECT") => Statement::Select(Box::new(self.select()?)),
            () if is_word(&first, "SHOW") => Statement::Show(Box::new(self.show()?)),
            () => {
                let message = "invalid EXPLAIN statement, expected SELECT or SHOW statement";
                return Err(lexer::at(message, first.start));
            }
        };
        Ok(Statement::Explain(Box::new(Explain { analyze, verbose, statement })))
    }

    pub(super) fn select(&mut self) -> Result<Select, ParseError> {
        self.next()?;
        let mut fields = vec![self.field()?];
        while self.eat(&Token::Comma)? {
            fields.push(self.field()?);
        }
        let piece = self.peek()?;
        if is_word(&piece, "INTO") {
            let message = "SELECT INTO is not supported, write the rows back with a plugin of the \
                           processing engine or with a client";
            return Err(lexer::at(message, piece.start));
        }
        self.expect_word("FROM", "invalid SELECT statement, expected FROM")?;
        let from = self.sources()?;
        let condition = self.where_clause()?;
        let dimensions = self.group_by()?;
        let fill = self.fill()?;
        let order = self.order_by()?;
        let bounds = self.bounds(true)?;
        let zone = self.zone()?;
        Ok(Select { fields, from, condition, dimensions, fill, order, bounds, zone })
    }

    fn field(&mut self) -> Result<Field, ParseError> {
        let first = self.peek()?;
        let begins_field = match &first.token {
            Token::Word(word) => !lexer::is_reserved(word) || is_word(&first, "DISTINCT"),
            Token::Quoted(_)
            | Token::String(_)
            | Token::Integer(_)
            | Token::Float(_)
            | Token::Duration(_)
            | Token::Bind(_)
            | Token::Open => true,
            Token::Op(op) => {
                matches!(op, Op::Multiply | Op::Divide | Op::Add | Op::Subtract)
            }
            _ => false,
        };
        if !begins_field {
            return Err(lexer::at("invalid SELECT statement, expected field", first.start));
        }
        let expr = self.arithmetic()?;
        let alias = match self.eat_word("AS")? {
            false => None,
            true => {
                let end = self.end;
                let missing = || lexer::at("invalid field alias, expected identifier", end);
                Some(self.eat_name()?.ok_or_else(missing)?)
            }
        };
        Ok(Field { expr, alias })
    }

    /// Reads what follows FROM.
    pub(super) fn sources(&mut self) -> Result<Vec<Source>, ParseError> {
        let mut sources = vec![self.source()?];
        while self.eat(&Token::Comma)? {
            sources.push(self.source()?);
        }
        Ok(sources)
    }

    fn source(&mut self) -> Result<Source, ParseError> {
        self.count_part()?;
        if self.eat(&Token::Open)? {
            let start = self.peek()?;
            if !is_word(&start, "SELECT") {
                let message = "invalid FROM clause, expected SELECT statement";
                return Err(lexer::at(message, start.start));
            }
            let select = self.nested(Self::select)?;
            self.expect(&Token::Close)?;
            return Ok(Source::Subquery(Box::new(select)));
        }
        self.measurement().map(Source::Measurement)
    }

    fn measurement(&mut self) -> Result<Measurement, ParseError> {
        let (mut parts, mut last) = (Vec::new(), self.measurement_part()?);
        while parts.len() < 2 && self.eat(&Token::Dot)? {
            let part = match last {
                Some(MeasurementName::Name(name)) => Some(name),
                None => None,
                Some(MeasurementName::Regex(_)) => return Err(self.unexpected(self.end)),
            };
            parts.push(part);
            last = self.measurement_part()?;
        }
        let missing = "invalid FROM clause, expected identifier, regular expression or subquery";
        let start = self.peek()?.start;
        let name = last.ok_or_else(|| lexer::at(missing, start))?;
        let mut parts = parts.into_iter().rev();
        let policy = parts.next().flatten();
        Ok(Measurement { policy, database: parts.next().flatten(), name })
    }

    fn measurement_part(&mut self) -> Result<Option<MeasurementName>, ParseError> {
        Ok(match self.eat_name()? {
            Some(name) => Some(MeasurementName::Name(name)),
            None => self.eat_regex()?.map(MeasurementName::Regex),
        })
    }

    /// Reads WHERE and what follows it.
    pub(super) fn where_clause(&mut self) -> Result<Option<Expr>, ParseError> {
        let piece = self.peek()?;
        if !is_word(&piece, "WHERE") {
            return Ok(None);
        }
        self.end = piece.end;
        match self.peek()?.token {
            Token::End | Token::Semicolon | Token::Close => Err(self.unexpected(piece.start)),
            _ => self.condition().map(Some),
        }
    }

    fn group_by(&mut self) -> Result<Vec<Dimension>, ParseError> {
        let mut dimensions = Vec::new();
        if !self.eat_word("GROUP")? {
            return Ok(dimensions);
        }
        self.expect_word("BY", "invalid GROUP BY clause, expected BY")?;
        loop {
            self.count_part()?;
            dimensions.push(self.dimension()?);
            if !self.eat(&Token::Comma)? {
                return Ok(dimensions);
            }
        }
    }

    fn dimension(&mut self) -> Result<Dimension, ParseError> {
        let piece = self.peek()?;
        if is_word(&piece, "TIME") && self.after(&piece)?.token == Token::Open {
            return self.time_dimension();
        }
        let wrong = "invalid GROUP BY clause, expected wildcard, TIME, identifier or regular \
                     expression";
        let dimension = match self.eat(&Token::Op(Op::Multiply))? {
            true => Dimension::Wildcard,
            false => match (name(&piece), self.eat_regex()?) {
                (_, Some(pattern)) => return Ok(Dimension::Regex(pattern)),
                (Some(name), None) => {
                    self.end = piece.end;
                    Dimension::Tag(name)
                }
                (None, None) => return Err(lexer::at(wrong, piece.start)),
            },
        };
        if self.eat(&Token::Colons)? {
            let kind = self.next()?;
            if !is_word(&kind, "TAG") {
                return Err(lexer::at("invalid GROUP BY clause, expected TAG", kind.start));
            }
        }
        Ok(dimension)
    }

    fn time_dimension(&mut self) -> Result<Dimension, ParseError> {
        self.next()?;
        self.expect(&Token::Open)?;
        let piece = self.peek()?;
        if !matches!(
            piece.token,
            Token::Duration(_) | Token::Integer(_) | Token::Float(_) | Token::String(_)
        ) {
            let message = "invalid TIME call, expected a duration for the interval";
            return Err(lexer::at(message, piece.start));
        }
        let interval = self.arithmetic()?;
        let offset = match self.eat(&Token::Comma)? {
            true => Some(self.arithmetic()?),
            false => None,
        };
        self.expect(&Token::Close)?;
        Ok(Dimension::Time { interval, offset })
    }

    fn fill(&mut self) -> Result<Option<Fill>, ParseError> {
        let piece = self.peek()?;
        if !is_word(&piece, "FILL") || self.after(&piece)?.token != Token::Open {
            return Ok(None);
        }
        self.end = self.after(&piece)?.end;
        let option = self.peek()?;
        let is_negative = self.eat(&Token::Op(Op::Subtract))?;
        if !is_negative {
            self.eat(&Token::Op(Op::Add))?;
        }
        let value = self.next()?;
        let number = |value: u64| match is_negative {
            true => i64::try_from(-i128::from(value)).ok(),
            false => i64::try_from(value).ok(),
        };
        let word = |word| !is_negative && is_word(&value, word);
        let fill = match value.token {
            Token::Integer(value) => number(value).map(Fill::Integer),
            Token::Float(value) => Some(Fill::Float(if is_negative { -value } else { value })),
            _ if word("NULL") => Some(Fill::Null),
            _ if word("NONE") => Some(Fill::None),
            _ if word("PREVIOUS") => Some(Fill::Previous),
            _ if word("LINEAR") => Some(Fill::Linear),
            _ => None,
        };
        let message = "invalid FILL option, expected NULL, NONE, PREVIOUS, LINEAR, or a number";
        let fill = fill.ok_or_else(|| lexer::at(message, option.start))?;
        self.expect(&Token::Close)?;
        Ok(Some(fill))
    }

    fn order_by(&mut self) -> Result<Option<Order>, ParseError> {
        if !self.eat_word("ORDER")? {
            return Ok(None);
        }
        self.expect_word("BY", "invalid ORDER BY, expected BY")?;
        let piece = self.peek()?;
        let is_time = match &piece.token {
            Token::Quoted(name) => name == "time",
            _ => is_word(&piece, "TIME"),
        };
        if is_time {
            self.end = piece.end;
        }
        if self.eat_word("DESC")? {
            return Ok(Some(Order::Descending));
        }
        if self.eat_word("ASC")? || is_time {
            return Ok(Some(Order::Ascending));
        }
        let message = match name(&piece) {
            Some(_) => "invalid ORDER BY, expected TIME column",
            None => "invalid ORDER BY, expected ASC, DESC or TIME",
        };
        Err(lexer::at(message, piece.start))
    }

    /// Reads LIMIT and OFFSET, and what counts series if that is possible here.
    pub(super) fn bounds(&mut self, of_series: bool) -> Result<Bounds, ParseError> {
        let mut bounds = Bounds {
            limit: self.bound("LIMIT")?,
            offset: self.bound("OFFSET")?,
            ..Bounds::default()
        };
        if of_series {
            bounds.slimit = self.bound("SLIMIT")?;
            bounds.soffset = self.bound("SOFFSET")?;
        }
        Ok(bounds)
    }

    fn bound(&mut self, word: &str) -> Result<Option<u64>, ParseError> {
        if !self.eat_word(word)? {
            return Ok(None);
        }
        let piece = self.peek()?;
        let Token::Integer(value) = piece.token else {
            let message = format!("invalid {word} clause, expected unsigned integer");
            return Err(lexer::at(&message, piece.start));
        };
        self.end = piece.end;
        Ok(Some(value))
    }

    fn zone(&mut self) -> Result<Option<String>, ParseError> {
        if !self.eat_word("TZ")? {
            return Ok(None);
        }
        self.expect(&Token::Open)?;
        let piece = self.next()?;
        let Token::String(zone) = piece.token else {
            return Err(lexer::at("invalid TZ clause, expected string", piece.start));
        };
        if !(self.is_zone)(&zone) {
            return Err(lexer::at("unable to find timezone", piece.end));
        }
        self.expect(&Token::Close)?;
        Ok(Some(zone.into_owned()))
    }
}
