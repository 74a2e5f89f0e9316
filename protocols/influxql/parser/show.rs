//! `SHOW`.

use super::Parser;
use crate::influxql::ParseError;
use crate::influxql::ast::{Bounds, KeyMatch, MeasurementMatch, Op, Show, ShowWhat};
use crate::influxql::lexer::{self, Token};

const WHAT: &str = "invalid SHOW statement, expected DATABASES, FIELD KEYS, MEASUREMENTS, TAG \
                    KEYS, TAG VALUES, or RETENTION POLICIES following SHOW";

impl Parser<'_> {
    pub(super) fn show(&mut self) -> Result<Show, ParseError> {
        self.next()?;
        let start = self.peek()?.start;
        if self.eat_word("DATABASES")? {
            return Ok(whole(ShowWhat::Databases));
        }
        if self.eat_word("RETENTION")? {
            let message = "invalid SHOW RETENTION POLICIES statement, expected POLICIES";
            self.expect_word("POLICIES", message)?;
            return Ok(Show { on: self.on()?, ..whole(ShowWhat::RetentionPolicies) });
        }
        if self.eat_word("MEASUREMENTS")? {
            return self.measurements();
        }
        if self.eat_word("FIELD")? {
            self.expect_word("KEYS", "invalid SHOW FIELD KEYS statement, expected KEYS")?;
            let (on, from) = (self.on()?, self.from()?);
            let bounds = self.bounds(false)?;
            return Ok(Show { what: ShowWhat::FieldKeys, on, from, condition: None, bounds });
        }
        if !self.eat_word("TAG")? {
            return Err(lexer::at(WHAT, start));
        }
        if self.eat_word("KEYS")? {
            let (on, from) = (self.on()?, self.from()?);
            let condition = self.where_clause()?;
            let bounds = self.bounds(false)?;
            return Ok(Show { what: ShowWhat::TagKeys, on, from, condition, bounds });
        }
        self.expect_word("VALUES", "invalid SHOW TAG statement, expected KEYS or VALUES")?;
        let (on, from) = (self.on()?, self.from()?);
        let keys = self.key_match()?;
        let condition = self.where_clause()?;
        let bounds = self.bounds(false)?;
        Ok(Show { what: ShowWhat::TagValues(keys), on, from, condition, bounds })
    }

    fn measurements(&mut self) -> Result<Show, ParseError> {
        let on = self.on()?;
        let filter = match self.eat_word("WITH")? {
            false => None,
            true => {
                let message = "invalid SHOW MEASUREMENTS statement, expected MEASUREMENT";
                self.expect_word("MEASUREMENT", message)?;
                Some(self.measurement_match()?)
            }
        };
        let condition = self.where_clause()?;
        let bounds = self.bounds(false)?;
        let what = ShowWhat::Measurements(filter);
        Ok(Show { what, on, from: Vec::new(), condition, bounds })
    }

    fn measurement_match(&mut self) -> Result<MeasurementMatch, ParseError> {
        let op = self.next()?;
        match op.token {
            Token::Op(Op::Equal) => match (self.eat_name()?, self.eat_regex()?) {
                (Some(name), _) => Ok(MeasurementMatch::Is(name)),
                (None, Some(_)) => Err(lexer::at("expected string but got regex", op.end)),
                (None, None) => {
                    let message = "invalid WITH MEASUREMENT clause, expected identifier";
                    Err(lexer::at(message, self.peek()?.start))
                }
            },
            Token::Op(Op::Matches) => {
                let start = self.peek()?.start;
                let message = "invalid WITH MEASUREMENT clause, expected regular expression";
                let pattern = self.eat_regex()?.ok_or_else(|| lexer::at(message, start))?;
                Ok(MeasurementMatch::Matches(pattern))
            }
            _ => Err(lexer::at("invalid WITH MEASUREMENT clause, expected = or =~", op.start)),
        }
    }

    fn key_match(&mut self) -> Result<KeyMatch, ParseError> {
        let message = "invalid SHOW TAG VALUES statement, expected WITH KEY clause";
        self.expect_word("WITH", message)?;
        self.expect_word("KEY", message)?;
        let wrong = "invalid WITH KEY clause, expected identifier";
        let wrong_regex = "invalid WITH KEY clause, expected regular expression";
        if self.eat_word("IN")? {
            self.expect(&Token::Open)?;
            let mut keys = vec![self.expect_name(wrong)?];
            while self.eat(&Token::Comma)? {
                self.count_part()?;
                keys.push(self.expect_name(wrong)?);
            }
            self.expect(&Token::Close)?;
            return Ok(KeyMatch::In(keys));
        }
        let op = self.next()?;
        let start = self.peek()?.start;
        match op.token {
            Token::Op(Op::Equal) => Ok(KeyMatch::Is(self.expect_name(wrong)?)),
            Token::Op(Op::NotEqual) => Ok(KeyMatch::IsNot(self.expect_name(wrong)?)),
            Token::Op(Op::Matches) => {
                let pattern = self.eat_regex()?.ok_or_else(|| lexer::at(wrong_regex, start))?;
                Ok(KeyMatch::Matches(pattern))
            }
            Token::Op(Op::MatchesNot) => {
                let pattern = self.eat_regex()?.ok_or_else(|| lexer::at(wrong_regex, start))?;
                Ok(KeyMatch::MatchesNot(pattern))
            }
            _ => Err(lexer::at("invalid WITH KEY clause, expected operator or IN", op.start)),
        }
    }

    fn on(&mut self) -> Result<Option<String>, ParseError> {
        if !self.eat_word("ON")? {
            return Ok(None);
        }
        if self.eat(&Token::Op(Op::Multiply))? {
            return Ok(Some("*".to_owned()));
        }
        self.expect_name("invalid ON clause, expected identifier").map(Some)
    }

    fn from(&mut self) -> Result<Vec<crate::influxql::ast::Source>, ParseError> {
        match self.eat_word("FROM")? {
            true => self.sources(),
            false => Ok(Vec::new()),
        }
    }
}

/// Lists all of something.
fn whole(what: ShowWhat) -> Show {
    Show { what, on: None, from: Vec::new(), condition: None, bounds: Bounds::default() }
}
