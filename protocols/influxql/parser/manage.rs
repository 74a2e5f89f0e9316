//! Statements that change something.

use super::Parser;
use crate::influxql::ParseError;
use crate::influxql::ast::{PolicySettings, Statement};
use crate::influxql::lexer::{self, Token};

const NAME: &str = "expected identifier";

impl Parser<'_> {
    pub(super) fn create(&mut self) -> Result<Statement, ParseError> {
        self.next()?;
        let start = self.peek()?.start;
        if self.eat_word("DATABASE")? {
            let name =
                self.expect_name("invalid CREATE DATABASE statement, expected identifier")?;
            let policy = match self.eat_word("WITH")? {
                true => self.policy_settings(true)?,
                false => PolicySettings::default(),
            };
            return Ok(Statement::CreateDatabase { name, policy });
        }
        if self.eat_word("RETENTION")? {
            let (name, on) = self.policy()?;
            let settings = self.policy_settings(false)?;
            return Ok(Statement::CreatePolicy { name, on, settings });
        }
        if self.eat_word("CONTINUOUS")? {
            let message = "continuous queries are not supported, use a scheduled trigger of the \
                           processing engine";
            return Err(lexer::at(message, start));
        }
        let message = "Invalid CREATE statement, expected DATABASE following CREATE";
        Err(lexer::at(message, start))
    }

    pub(super) fn drop(&mut self) -> Result<Statement, ParseError> {
        self.next()?;
        let start = self.peek()?.start;
        if self.eat_word("MEASUREMENT")? {
            let message = "invalid DROP MEASUREMENT statement, expected identifier";
            return Ok(Statement::DropMeasurement { name: self.expect_name(message)? });
        }
        if self.eat_word("DATABASE")? {
            let message = "invalid DROP DATABASE statement, expected identifier";
            return Ok(Statement::DropDatabase { name: self.expect_name(message)? });
        }
        if self.eat_word("RETENTION")? {
            let (name, on) = self.policy()?;
            return Ok(Statement::DropPolicy { name, on });
        }
        if self.eat_word("SERIES")? && self.eat_word("FROM")? {
            let from = self.sources()?;
            return Ok(Statement::DropSeries { from, condition: self.where_clause()? });
        }
        Err(lexer::at("invalid DROP statement, expected MEASUREMENT", start))
    }

    pub(super) fn alter(&mut self) -> Result<Statement, ParseError> {
        self.next()?;
        self.expect_word("RETENTION", "invalid ALTER statement, expected RETENTION POLICY")?;
        let (name, on) = self.policy()?;
        let settings = self.policy_settings(false)?;
        Ok(Statement::AlterPolicy { name, on, settings })
    }

    pub(super) fn delete(&mut self) -> Result<Statement, ParseError> {
        self.next()?;
        let from = match self.eat_word("FROM")? {
            true => self.sources()?,
            false => Vec::new(),
        };
        let condition = self.where_clause()?;
        if from.is_empty() && condition.is_none() {
            let message = "invalid DELETE statement, expected FROM or WHERE";
            return Err(lexer::at(message, self.peek()?.start));
        }
        Ok(Statement::Delete { from, condition })
    }

    /// Reads `POLICY name ON database`.
    fn policy(&mut self) -> Result<(String, String), ParseError> {
        self.expect_word("POLICY", "invalid RETENTION POLICY statement, expected POLICY")?;
        let name = self.expect_name(NAME)?;
        self.expect_word("ON", "invalid RETENTION POLICY statement, expected ON")?;
        Ok((name, self.expect_name(NAME)?))
    }

    fn policy_settings(&mut self, of_database: bool) -> Result<PolicySettings, ParseError> {
        let mut settings = PolicySettings::default();
        let begun = self.end;
        loop {
            let before = self.end;
            if self.eat_word("DURATION")? {
                settings.duration_ns = Some(self.duration()?);
            } else if self.eat_word("REPLICATION")? {
                let piece = self.next()?;
                let Token::Integer(count) = piece.token else {
                    return Err(lexer::at("expected unsigned integer", piece.start));
                };
                settings.replication = Some(count);
            } else if self.eat_word("SHARD")? {
                self.expect_word("DURATION", "expected DURATION")?;
                settings.shard_duration_ns = Some(self.duration()?);
            } else if of_database && self.eat_word("NAME")? {
                settings.name = Some(self.expect_name(NAME)?);
            } else if !of_database && self.eat_word("DEFAULT")? {
                settings.is_default = true;
            }
            if before == self.end {
                break;
            }
        }
        match begun == self.end {
            true => {
                let message = "expected DURATION, REPLICATION, SHARD or another setting";
                Err(lexer::at(message, self.peek()?.start))
            }
            false => Ok(settings),
        }
    }

    fn duration(&mut self) -> Result<i64, ParseError> {
        if self.eat_word("INF")? {
            return Ok(0);
        }
        let piece = self.next()?;
        match piece.token {
            Token::Duration(ns) => Ok(ns),
            Token::Integer(0) => Ok(0),
            _ => Err(lexer::at("expected duration", piece.start)),
        }
    }
}
