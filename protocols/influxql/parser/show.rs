//! `SHOW`.

use super::Parser;
use crate::influxql::ParseError;
use crate::influxql::ast::{Bounds, Counted, KeyMatch, MeasurementMatch, Op, Show, ShowWhat};
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
        if self.eat_word("SERIES")? {
            return match self.cardinality()? {
                Some(exact) => self.counted(Counted::Series, exact),
                None => self.list(ShowWhat::Series),
            };
        }
        if self.eat_word("MEASUREMENT")? {
            let exact = self.expect_cardinality("SHOW MEASUREMENT")?;
            return self.counted(Counted::Measurements, exact);
        }
        if self.eat_word("FIELD")? {
            if self.eat_word("KEY")? {
                let exact = self.expect_cardinality("SHOW FIELD KEY")?;
                return self.counted(Counted::FieldKeys, exact);
            }
            self.expect_word("KEYS", "invalid SHOW FIELD KEYS statement, expected KEYS")?;
            let (on, from) = (self.on()?, self.from()?);
            let bounds = self.bounds(false)?;
            return Ok(Show { what: ShowWhat::FieldKeys, on, from, condition: None, bounds });
        }
        if !self.eat_word("TAG")? {
            return Err(lexer::at(WHAT, start));
        }
        if self.eat_word("KEYS")? {
            return self.list(ShowWhat::TagKeys);
        }
        if self.eat_word("KEY")? {
            let exact = self.expect_cardinality("SHOW TAG KEY")?;
            return self.counted(Counted::TagKeys, exact);
        }
        self.expect_word("VALUES", "invalid SHOW TAG statement, expected KEYS or VALUES")?;
        let exact = self.cardinality()?;
        let (on, from) = (self.on()?, self.from()?);
        let keys = self.key_match()?;
        let condition = self.where_clause()?;
        let bounds = self.bounds(false)?;
        let what = match exact {
            None => ShowWhat::TagValues(keys),
            Some(exact) => ShowWhat::Cardinality { of: Counted::TagValues(keys), exact },
        };
        Ok(Show { what, on, from, condition, bounds })
    }

    /// Reads what follows the name of a list.
    fn list(&mut self, what: ShowWhat) -> Result<Show, ParseError> {
        let (on, from) = (self.on()?, self.from()?);
        let condition = self.where_clause()?;
        let bounds = self.bounds(false)?;
        Ok(Show { what, on, from, condition, bounds })
    }

    fn counted(&mut self, of: Counted, exact: bool) -> Result<Show, ParseError> {
        self.list(ShowWhat::Cardinality { of, exact })
    }

    /// Reads `[EXACT] CARDINALITY`, if it comes next; says whether it is exact.
    fn cardinality(&mut self) -> Result<Option<bool>, ParseError> {
        let exact = self.eat_word("EXACT")?;
        match self.eat_word("CARDINALITY")? {
            true => Ok(Some(exact)),
            false if exact => {
                let start = self.peek()?.start;
                Err(lexer::at("invalid SHOW statement, expected CARDINALITY", start))
            }
            false => Ok(None),
        }
    }

    fn expect_cardinality(&mut self, statement: &str) -> Result<bool, ParseError> {
        let start = self.peek()?.start;
        let message = format!("invalid {statement} statement, expected CARDINALITY");
        self.cardinality()?.ok_or_else(|| lexer::at(&message, start))
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
