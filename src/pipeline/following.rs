//! Follows the findings of a run, several at once where a model is asked, and hands on what comes
//! of them in their order.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use uuid::Uuid;

use crate::detect::{Finding, Heading, Match, Status};
use crate::pipeline::follow::{Filling, begin};
use crate::pipeline::{
    Advance, Counts, DetectSink, Evidence, Late, LiveSink, Outcome, Rejected, Sink, follow,
};
use crate::policy::Policy;
use crate::route::Runs;
use crate::source::InputRead;

/// So many findings for each call that may be made at once are under way or done before their turn.
const AHEAD: usize = 4;

/// Decides the route of a run and tells it; then `go` hands over findings, and each is followed to
/// its commands. Where the route leaves detection out, `go` is not called.
///
/// # Errors
///
/// When what comes of it cannot be kept.
pub fn following<S: Sink + ?Sized, R>(
    policy: &Policy,
    filling: &Filling<'_>,
    sink: &mut S,
    go: impl FnOnce(&mut Following<'_, S>) -> R,
) -> io::Result<Option<R>> {
    let beginning = begin(policy, filling);
    sink.begin(&beginning)?;
    let runs: Vec<&Runs> = policy.routing.runs(&beginning.route).collect();
    if !runs.contains(&&Runs::Detect) {
        return Ok(None);
    }
    // Without a model nothing is waited for, and threads would only be in the way.
    let threads = filling.model.map_or(0, |model| model.concurrency().max(1));
    let (jobs, given) = channel();
    let given = Mutex::new(given);
    let followed = Followed {
        policy,
        filling: *filling,
        asks_risk: runs.contains(&&Runs::Risk),
    };
    thread::scope(|scope| {
        let (results, done) = channel();
        for _ in 0..threads {
            let (given, results) = (&given, results.clone());
            scope.spawn(move || followed.work(given, &results));
        }
        let mut following = Following {
            followed,
            sink,
            promoted: HashSet::new(),
            ahead: threads * AHEAD,
            jobs,
            done,
            under_way: BTreeMap::new(),
            ready: BTreeMap::new(),
            next: 0,
        };
        let came = go(&mut following);
        following.settle()?;
        Ok(Some(came))
    })
}

/// How a finding is followed in this run.
#[derive(Clone, Copy)]
struct Followed<'r> {
    policy: &'r Policy,
    filling: Filling<'r>,
    asks_risk: bool,
}

/// A finding with its place in the order, and whether it was promoted when it opened.
struct Job {
    at: u64,
    finding: Finding,
    was_promoted: bool,
}

/// The place of a finding in the order, and what came of it; nothing where the program failed.
type Done = (u64, Option<Outcome>);

impl Followed<'_> {
    fn follow(&self, finding: Finding, was_promoted: bool) -> Outcome {
        let Self {
            policy,
            filling,
            asks_risk,
        } = self;
        follow(policy, filling, *asks_risk, finding, was_promoted)
    }

    /// Follows what is given until there is no more.
    ///
    /// Whoever waits for a finding is told where it cannot be followed for a fault of the program:
    /// a run ends, whatever happens.
    fn work(&self, given: &Mutex<Receiver<Job>>, results: &Sender<Done>) {
        loop {
            let next = given.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(job) = next else { return };
            let follow = || self.follow(job.finding, job.was_promoted);
            let outcome = catch_unwind(AssertUnwindSafe(follow)).ok();
            if results.send((job.at, outcome)).is_err() {
                return;
            }
        }
    }
}

/// Follows each finding to its commands, and hands on what comes of it.
pub struct Following<'r, S: Sink + ?Sized> {
    followed: Followed<'r>,
    sink: &'r mut S,
    /// The findings that are open and were promoted when they opened.
    promoted: HashSet<Uuid>,
    /// How many findings may be under way or ready; none where each is followed at once.
    ahead: usize,
    jobs: Sender<Job>,
    done: Receiver<Done>,
    /// The findings that are followed, by their place in the order.
    under_way: BTreeMap<u64, Uuid>,
    /// What came of findings whose turn has not come.
    ready: BTreeMap<u64, Outcome>,
    /// The place of the finding that is handed on next.
    next: u64,
}

impl<S: Sink + ?Sized> Following<'_, S> {
    /// The findings that are open and were promoted when they opened, of those that were handed on.
    #[must_use]
    pub fn promoted(&self) -> Vec<Uuid> {
        let mut promoted: Vec<Uuid> = self.promoted.iter().copied().collect();
        promoted.sort_unstable();
        promoted
    }

    /// Where the results go, with what came of every finding so far.
    ///
    /// # Errors
    ///
    /// When that cannot be kept.
    pub fn settled(&mut self) -> io::Result<&mut S> {
        self.settle()?;
        Ok(self.sink)
    }

    /// Waits for all that is under way.
    fn settle(&mut self) -> io::Result<()> {
        while !self.under_way.is_empty() {
            self.wait()?;
        }
        Ok(())
    }

    /// Waits for one finding, and hands on those whose turn has come.
    fn wait(&mut self) -> io::Result<()> {
        let failed = || io::Error::other("a finding could not be followed: the program failed");
        let (at, outcome) = self.done.recv().map_err(|_| failed())?;
        self.under_way.remove(&at);
        self.ready.insert(at, outcome.ok_or_else(failed)?);
        while let Some(outcome) = self.ready.remove(&self.next) {
            self.next += 1;
            self.hand_on(&outcome)?;
        }
        Ok(())
    }

    fn hand_on(&mut self, outcome: &Outcome) -> io::Result<()> {
        if outcome.finding.status == Status::Open && outcome.promotion.promoted {
            self.promoted.insert(outcome.finding.id);
        }
        self.sink.outcome(outcome)
    }

    fn give(&mut self, finding: Finding) -> io::Result<()> {
        // What becomes of a finding depends on what became of it when it opened.
        let id = finding.id;
        let is_known = |known: &mut Self| {
            let ready = known.ready.values().any(|outcome| outcome.finding.id == id);
            ready || known.under_way.values().any(|other| *other == id)
        };
        while is_known(self) || self.under_way.len() + self.ready.len() >= self.ahead {
            self.wait()?;
        }
        let at = self.next + (self.under_way.len() + self.ready.len()) as u64;
        let was_promoted = self.promoted.remove(&id);
        self.under_way.insert(at, id);
        let job = Job {
            at,
            finding,
            was_promoted,
        };
        let ended = |_| io::Error::other("the threads that follow findings ended");
        self.jobs.send(job).map_err(ended)
    }
}

impl<S: Sink + ?Sized> DetectSink for Following<'_, S> {
    fn found(&mut self, _: &Heading, _: &Match) -> io::Result<()> {
        Ok(()) // a policy's detector makes findings of its matches
    }

    fn finding(&mut self, finding: Finding) -> io::Result<()> {
        if self.ahead > 0 {
            return self.give(finding);
        }
        let was_promoted = self.promoted.remove(&finding.id);
        let outcome = self.followed.follow(finding, was_promoted);
        self.hand_on(&outcome)
    }

    fn reject(&mut self, rejected: &Rejected) -> io::Result<()> {
        self.sink.reject(rejected)
    }

    fn evidence(&mut self, evidence: Evidence) -> io::Result<()> {
        self.sink.evidence(evidence)
    }

    fn read(&mut self, counts: &Counts, inputs: &[InputRead]) -> io::Result<()> {
        self.settled()?.read(counts, inputs)
    }
}

impl<S: Sink + ?Sized> LiveSink for Following<'_, S> {
    fn advanced(&mut self, _: Advance) -> io::Result<()> {
        Ok(()) // it is among the evidence
    }

    fn late(&mut self, late: &Late) -> io::Result<()> {
        self.sink.late(late)
    }

    fn remember(&mut self, ids: &[Uuid]) {
        self.promoted.extend(ids);
    }
}
