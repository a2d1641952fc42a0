//! What `rulectl detect` finds, as lines of JSON.

use std::collections::hash_map;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, BufWriter, Write};

use serde::Serialize;
use uuid::Uuid;

use crate::detect::{Detector, Finding, Heading, Level, Match, Status};
use crate::diag::{counted, grouped, noun};
use crate::event::{Digest, Time};
use crate::geo::DatabaseRecord;
use crate::pipeline::{Advance, Counts, DetectSink, Late, LiveSink, Rejected};

use crate::visible::json;

/// Writes a line for each match of a single-event rule and each finding of a correlation.
pub struct Lines<W: Write, R: Write> {
    out: BufWriter<W>,
    rejects: Option<BufWriter<R>>,
    /// Of live input, where watermarks and late events are written.
    journal: Option<BufWriter<R>>,
    /// Whether a finding is written more than once, and tells its id and status.
    live: bool,
    /// The rules whose findings are matches.
    of_one_event: HashSet<Uuid>,
    /// What the lines of a rule begin with.
    heads: HashMap<Uuid, String>,
    matches: u64,
    findings: u64,
}

#[derive(Serialize)]
struct Head<'l> {
    rule: Uuid,
    title: &'l str,
    level: Level,
    /// The Detection Rule License asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<&'l str>,
}

#[derive(Serialize)]
struct OfMatch<'l> {
    time: Option<Time>,
    event_ids: &'l [&'l str],
    event_digests: [Digest; 1],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    enriched: &'l [String],
}

#[derive(Serialize)]
struct OfFinding<'l> {
    #[serde(flatten)]
    revision: Option<Revision>,
    first_seen: Option<Time>,
    last_seen: Option<Time>,
    group: &'l BTreeMap<String, String>,
    count: u64,
    hits: u64,
    event_ids: &'l [String],
    event_digests: &'l [Digest],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    enriched: &'l [String],
}

/// Which state of which finding a line tells: a later one of the same id replaces it.
#[derive(Serialize)]
struct Revision {
    id: Uuid,
    status: Status,
}

/// A line of the journal.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Entry<'l> {
    Advance(Advance),
    Late(&'l Late),
    Database(&'l DatabaseRecord),
}

impl<W: Write, R: Write> Lines<W, R> {
    /// Writes lines to `out`, and records that are no events to `rejects`.
    pub fn new(detector: &Detector, out: W, rejects: Option<R>) -> Self {
        const BUFFER: usize = 64 << 10;
        Self {
            out: BufWriter::with_capacity(BUFFER, out),
            rejects: rejects.map(BufWriter::new),
            journal: None,
            live: false,
            of_one_event: detector.rules_of_one_event(),
            heads: HashMap::new(),
            matches: 0,
            findings: 0,
        }
    }

    /// Writes of live input: a finding when it opens and when it closes, with id and status, and
    /// where the watermark went, and what came too late, to `journal`.
    #[must_use]
    pub fn live(self, journal: Option<R>) -> Self {
        Self {
            journal: journal.map(BufWriter::new),
            live: true,
            ..self
        }
    }

    /// Tells the journal which databases are asked.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn asked(&mut self, databases: &[DatabaseRecord]) -> io::Result<()> {
        let mut databases = databases.iter();
        databases.try_for_each(|database| self.entry(&Entry::Database(database)))
    }

    /// Everything written so far reaches its file.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.rejects.iter_mut().try_for_each(Write::flush)?;
        self.journal.iter_mut().try_for_each(Write::flush)?;
        self.out.flush()
    }

    fn entry(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        let Some(journal) = &mut self.journal else {
            return Ok(());
        };
        journal.write_all(json(entry)?.as_bytes())?;
        journal.write_all(b"\n")
    }

    /// Writes one object of two parts: what is the same for all lines of a rule, and the rest.
    fn line(&mut self, head: &Head<'_>, rest: &impl Serialize) -> io::Result<()> {
        let head = match self.heads.entry(head.rule) {
            hash_map::Entry::Occupied(known) => known.into_mut(),
            hash_map::Entry::Vacant(new) => {
                let mut head = json(head)?;
                head.pop(); // the brace, which the rest closes
                new.insert(head)
            }
        };
        let rest = json(rest)?;
        self.out.write_all(head.as_bytes())?;
        self.out.write_all(b",")?;
        self.out
            .write_all(rest.get(1..).unwrap_or_default().as_bytes())?;
        self.out.write_all(b"\n")
    }
}

impl<W: Write, R: Write> DetectSink for Lines<W, R> {
    fn found(&mut self, rule: &Heading, found: &Match) -> io::Result<()> {
        self.matches += 1;
        let id = found.event_id();
        let enriched = rule.supplied(found);
        let rest = OfMatch {
            time: found.time,
            event_ids: id.as_slice(),
            event_digests: [found.digest],
            enriched: &enriched,
        };
        let head = Head {
            rule: rule.rule,
            title: &rule.title,
            level: rule.level,
            author: rule.author.as_deref(),
        };
        self.line(&head, &rest)
    }

    fn finding(&mut self, finding: Finding) -> io::Result<()> {
        let head = Head {
            rule: finding.rule,
            title: &finding.rule_title,
            level: finding.level,
            author: finding.rule_author.as_deref(),
        };
        if self.of_one_event.contains(&finding.rule) {
            self.matches += 1;
            let ids: Vec<&str> = finding.okta_event_ids.iter().map(String::as_str).collect();
            let rest = OfMatch {
                time: finding.first_seen,
                event_ids: &ids,
                event_digests: [finding.anchor],
                enriched: &finding.enriched,
            };
            return self.line(&head, &rest);
        }
        let is_last = finding.status == Status::Closed;
        self.findings += u64::from(is_last);
        let revision = Revision {
            id: finding.id,
            status: finding.status,
        };
        let rest = OfFinding {
            revision: self.live.then_some(revision),
            first_seen: finding.first_seen,
            last_seen: finding.last_seen,
            group: &finding.group,
            count: finding.count,
            hits: finding.hits,
            event_ids: &finding.okta_event_ids,
            event_digests: &finding.event_digests,
            enriched: &finding.enriched,
        };
        self.line(&head, &rest)
    }

    fn reject(&mut self, rejected: &Rejected) -> io::Result<()> {
        let Some(rejects) = &mut self.rejects else {
            return Ok(());
        };
        rejects.write_all(json(rejected)?.as_bytes())?;
        rejects.write_all(b"\n")
    }
}

impl<W: Write, R: Write> LiveSink for Lines<W, R> {
    fn advanced(&mut self, advance: Advance) -> io::Result<()> {
        self.entry(&Entry::Advance(advance))
    }

    fn late(&mut self, late: &Late) -> io::Result<()> {
        self.entry(&Entry::Late(late))
    }
}

/// What was read and found, in one line.
#[must_use]
pub fn detected<W: Write, R: Write>(lines: &Lines<W, R>, counts: &Counts) -> String {
    let mut text = format!(
        "{}: {}, {}",
        counted(counts.events, "event"),
        counted(lines.matches, "match"),
        counted(lines.findings, "finding")
    );
    let correlation = &counts.correlation;
    for (count, one, what) in [
        (counts.rejected, "", "rejected"),
        (counts.outside_range, "", "outside the time range"),
        (counts.without_time, "", "without a readable time"),
        (counts.late, "", "too late for windows"),
        (
            counts.ahead,
            "",
            "more than five minutes ahead of the clock",
        ),
        (counts.evicted, "match", "that the watermark never reached"),
        (correlation.duplicates, "second copy", "of a matched event"),
        (
            correlation.without_group,
            "match",
            "without a value to group by",
        ),
        (
            correlation.cut_groups,
            "match",
            "with more values to group by than are followed",
        ),
        (
            correlation.pending,
            "event",
            "still waiting for what is asked to follow",
        ),
        (
            correlation.evicted,
            "",
            "let go before their time, since there were too many events and values",
        ),
    ] {
        if count > 0 {
            let what = of_several(count, one, what);
            text.push_str(&format!(", {} {what}", grouped(count)));
        }
    }
    text
}

/// What there are so many of: `matches without a value to group by`.
pub(super) fn of_several(count: u64, one: &str, what: &str) -> String {
    match one {
        "" => what.to_owned(),
        one => format!("{} {what}", noun(count, one)),
    }
}
