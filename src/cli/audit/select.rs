//! Which records are wanted.

use std::collections::VecDeque;

use anyhow::{Result, bail};
use uuid::Uuid;

use crate::audit::canonical::canonical;
use crate::audit::{AuditError, Record, read};
use crate::cli::Common;
use crate::cli::audit::folder;
use crate::cli::output::UsageError;
use crate::event::Time;

/// The records that are wanted.
#[derive(Clone, Debug, clap::Args)]
pub struct Select {
    /// Of this kind, or of those that begin with it and a dot; may be given again
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
    /// Written by this run
    #[arg(long, value_name = "ID")]
    run: Option<Uuid>,
    /// Written at this time or later (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Time>,
    /// Written before this time (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Time>,
    /// With a number, or in a range of them, such as 7, 7..9, 7.. or ..9, the ends included
    #[arg(long, value_name = "A..B", value_parser = range)]
    seq: Option<(u64, u64)>,
    /// With this text in their body, such as an id
    #[arg(long, value_name = "TEXT")]
    grep: Option<String>,
    /// The first so many alone
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// The last so many alone
    #[arg(long, value_name = "N", conflicts_with = "limit")]
    last: Option<usize>,
}

/// So many of the last records are held at most.
const MOST_LAST: usize = 100_000;

impl Select {
    /// Hands over each record that is wanted, in order.
    ///
    /// # Errors
    ///
    /// When the log is damaged: what stands before that is handed over. When `take` fails.
    pub fn each(&self, common: &Common, mut take: impl FnMut(Record) -> Result<()>) -> Result<()> {
        if self.last.is_some_and(|last| last > MOST_LAST) {
            bail!(UsageError(format!("`--last` takes at most {MOST_LAST}")));
        }
        let mut last = VecDeque::new();
        let mut failed: Option<AuditError> = None;
        let mut left = self.limit.unwrap_or(usize::MAX);
        for record in read(&folder(common))? {
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            };
            if left == 0 || self.is_behind(&record) {
                break;
            }
            if !self.wants(&record) {
                continue;
            }
            let Some(most) = self.last else {
                left -= 1;
                take(record)?;
                continue;
            };
            last.push_back(record);
            if last.len() > most {
                last.pop_front();
            }
        }
        last.into_iter().try_for_each(take)?;
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Whether nothing that follows can be wanted.
    fn is_behind(&self, record: &Record) -> bool {
        self.seq.is_some_and(|(_, end)| record.seq > end)
    }

    fn wants(&self, record: &Record) -> bool {
        let is_kind = |kind: &String| {
            let rest = record.kind.strip_prefix(kind.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let has = |text: &String| canonical(&record.body).is_ok_and(|body| body.contains(text));
        (self.kind.is_empty() || self.kind.iter().any(is_kind))
            && self.run.is_none_or(|run| record.run == Some(run))
            && self.since.is_none_or(|since| record.time >= since)
            && self.until.is_none_or(|until| record.time < until)
            && self.seq.is_none_or(|(begin, _)| record.seq >= begin)
            && self.grep.as_ref().is_none_or(has)
    }
}

fn time(text: &str) -> Result<Time, String> {
    Time::parse(text).ok_or_else(|| "expected a time such as 2026-11-22T08:00:00Z".to_owned())
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let number = |text: &str, open: u64| match text {
        "" => Some(open),
        digits => digits.parse().ok(),
    };
    let range = match text.split_once("..") {
        Some((begin, end)) => number(begin, 0).zip(number(end, u64::MAX)),
        None => text.parse().ok().map(|one| (one, one)),
    };
    range.ok_or_else(|| "expected a number or a range such as 7..9".to_owned())
}
