//! `script`: a function of a script looks at the window.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

use crate::detect::Rules;
use crate::detect::bounds::{Bounds, Kind, decode_bounds};
use crate::detect::capture::CaptureId;
use crate::detect::compile::Scope;
use crate::detect::correlation::{Account, Asked, Condition, Linked, Reached, Written, save_rules};
use crate::detect::groups::Window;
use crate::detect::limits::VALUE;
use crate::detect::script::Named;
use crate::detect::seen::Member;
use crate::detect::state::{Restoring, Saving};
use crate::diag::{Problems, noun};
use crate::event::{FieldPath, Nanos, Time};
use crate::script::{
    EventView, Failure, Function, Scripts, Source, Value, Verdict, WINDOW_EVENTS, WindowView,
};

/// The condition as written, with its function once that was found.
#[derive(Clone, Debug)]
struct Unjudged {
    named: Named,
    bounds: Option<Bounds>,
    rules: Arc<[String]>,
    timespan: Nanos,
}

/// The condition, ready to run.
#[derive(Debug)]
struct Judged {
    /// None where it was reported that there is none.
    function: Option<Function>,
    fields: Arc<[CaptureId]>,
    bounds: Option<Bounds>,
    rules: Arc<[String]>,
    timespan: Nanos,
}

/// Reads `condition: {function: FILE#FUNCTION}`, with bounds where it gives a number.
pub(super) fn decode_script(
    written: &mut Written<'_>,
    problems: &mut Problems,
) -> Option<Arc<dyn Asked>> {
    let node = written.needed(problems)?;
    let mut table = node.table(problems)?;
    let named = table
        .require("function", problems)
        .and_then(|node| Named::decode(node, problems));
    let is_bounded = table
        .entries()
        .iter()
        .any(|(key, _)| key.text != "function");
    let bounds = if is_bounded {
        Some(decode_bounds(
            node,
            &mut table,
            Kind::Number,
            &["function"],
            problems,
        )?)
    } else {
        None
    };
    table.finish(problems);
    Some(Arc::new(Unjudged {
        named: named?,
        bounds,
        rules: written.rules.iter().map(|(name, _)| name.clone()).collect(),
        timespan: written.timespan,
    }))
}

impl Asked for Unjudged {
    fn compile(&self, scope: &mut Scope<'_>) -> Arc<dyn Condition> {
        let function = self.named.function().cloned();
        let fields = function.iter().flat_map(|function| function.fields());
        let ids = fields.map(|(path, _)| scope.id(&FieldPath::new(path)));
        Arc::new(Judged {
            fields: ids.collect(),
            function,
            bounds: self.bounds.clone(),
            rules: Arc::clone(&self.rules),
            timespan: self.timespan,
        })
    }

    fn is_scripted(&self) -> bool {
        true
    }

    fn linked(&self, scripts: &mut Scripts, problems: &mut Problems) -> Option<Linked> {
        let mut linked = self.clone();
        let function = linked.named.link("window", scripts, problems)?;
        let fields = function.fields().to_vec();
        let written = function.written();
        Some((Arc::new(linked), fields, written))
    }
}

impl Condition for Judged {
    fn account(self: Arc<Self>) -> Option<Box<dyn Account>> {
        Some(Box::new(Shown {
            count: 0,
            newest: VecDeque::new(),
            satisfied: VecDeque::new(),
            failure: RefCell::new(None),
            asked: self,
        }))
    }

    fn so_far(&self, reached: &Reached, _: &Window) -> String {
        let (count, within) = (reached.number, self.timespan);
        let name = self.function.as_ref().map_or("", Function::name);
        let asked = self.bounds.as_ref();
        let asked = asked.map_or_else(|| "true".to_owned(), ToString::to_string);
        let events = noun(count, "event");
        format!("{count} {events} within {within}, of which {name} does not say {asked}")
    }

    fn reason(&self, number: f64, _: Option<&(Member, Member)>) -> String {
        let (name, within) = (
            self.function.as_ref().map_or("", Function::name),
            self.timespan,
        );
        match &self.bounds {
            Some(bounds) => {
                format!("script: {name} is {number} within {within}, where {bounds} is asked")
            }
            None => format!("script: {name} within {within}"),
        }
    }
}

/// What the function is shown of a window.
struct Shown {
    count: u64,
    /// The newest events, in order.
    newest: VecDeque<EventView>,
    /// Which rules each of these satisfies.
    satisfied: VecDeque<Rules>,
    /// Why it gave no answer at the last event.
    failure: RefCell<Option<Failure>>,
    asked: Arc<Judged>,
}

impl Account for Shown {
    fn enter(&mut self, member: &Member, rules: Rules) {
        self.count += 1;
        let Some(function) = &self.asked.function else {
            return;
        };
        if self.newest.len() == WINDOW_EVENTS {
            self.newest.pop_front();
            self.satisfied.pop_front();
        }
        self.satisfied.push_back(rules);
        self.newest.push_back(function.event(Arc::new(Sighted {
            member: member.clone(),
            satisfied: rules,
            fields: Arc::clone(&self.asked.fields),
            rules: Arc::clone(&self.asked.rules),
        })));
    }

    fn leave(&mut self, _: &Member) {
        self.count -= 1;
        if self.newest.len() as u64 > self.count {
            self.newest.pop_front();
            self.satisfied.pop_front();
        }
    }

    fn weight(&self) -> usize {
        VALUE * self.newest.len()
    }

    fn hit(&self) -> Option<f64> {
        let window = WindowView {
            count: self.count,
            events: self.newest.iter().cloned().collect(),
        };
        let bounds = self.asked.bounds.as_ref();
        match self
            .asked
            .function
            .as_ref()?
            .judge(window, bounds.is_some())
        {
            Ok(Verdict::Bool(hit)) => hit.then_some(1.0),
            Ok(Verdict::Number(number)) => bounds?.hold(number).then_some(number),
            Err(why) => {
                self.failure.replace(Some(why));
                None
            }
        }
    }

    /// Of what a function answers nobody can say how far it is from another answer.
    fn reached(&self) -> Reached {
        #[expect(clippy::cast_precision_loss, reason = "no window holds 2^53 events")]
        let number = self.count as f64;
        Reached { number, lacks: 1.0 }
    }

    fn save(&self, saving: &mut Saving<'_>) {
        save_rules(&self.satisfied, saving);
    }

    fn restore(&mut self, saved: &mut Restoring<'_>, members: &VecDeque<Member>) -> Option<()> {
        let satisfied: Vec<Rules> = saved.each(Restoring::number)?;
        // Of those before the newest it is not asked any more.
        let before = members.len().checked_sub(satisfied.len())?;
        let rules = std::iter::repeat_n(0, before).chain(satisfied.iter().copied());
        for (member, rules) in members.iter().zip(rules) {
            self.enter(member, rules);
        }
        (self.satisfied.len() == satisfied.len()).then_some(())
    }

    fn failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }
}

/// An event of a window: its values are those that findings have, texts.
#[derive(Debug)]
struct Sighted {
    member: Member,
    satisfied: Rules,
    fields: Arc<[CaptureId]>,
    rules: Arc<[String]>,
}

impl Source for Sighted {
    fn time(&self) -> Option<Time> {
        Some(self.member.time)
    }

    fn values(&self, field: usize) -> Vec<Value> {
        let id = self.fields.get(field).copied();
        let texts = id.into_iter().flat_map(|id| self.member.values().all(id));
        texts.map(|text| Value::Text(text.to_owned())).collect()
    }

    fn exists(&self, field: usize) -> bool {
        let id = self.fields.get(field);
        id.is_some_and(|id| self.member.values().first(*id).is_some())
    }

    fn rules(&self) -> Vec<&str> {
        let numbered = (0..Rules::BITS).zip(self.rules.iter());
        let satisfied = numbered.filter(|(bit, _)| self.satisfied & (1 << bit) != 0);
        satisfied.map(|(_, name)| name.as_str()).collect()
    }
}
