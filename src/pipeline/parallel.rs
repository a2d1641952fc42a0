//! The same work on many items, on several threads, results in the order of the items.

use std::collections::BTreeMap;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Condvar, Mutex, PoisonError};

/// Applies `work` to each item on `threads` threads, each with a state of its own,
/// and hands the results to `take` in the items' order. One thread is this one.
///
/// Threads take turns in drawing items, so that who has drawn one works on it, and
/// nobody runs further ahead than a few items a thread: memory does not grow with
/// the number of items.
///
/// # Errors
///
/// The first error of `take`; work under way is then dropped.
pub fn map_in_order<T, R: Send, S, E>(
    items: impl Iterator<Item = T> + Send,
    threads: usize,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, T) -> R + Sync,
    mut take: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E> {
    if threads <= 1 {
        let mut state = state();
        let mut items = items;
        return items.try_for_each(|item| take(work(&mut state, item)));
    }
    let items = Mutex::new((0..).zip(items));
    let gate = Gate::new(AHEAD * threads as u64);
    let (done, results) = sync_channel::<(u64, R)>(threads);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (done, items, gate, state, work) = (done.clone(), &items, &gate, &state, &work);
            scope.spawn(move || {
                let _opening = OpenIfPanicking(gate);
                let mut state = state();
                serve(items, gate, &done, |item| work(&mut state, item));
            });
        }
        drop(done);
        let mut early = BTreeMap::new();
        let mut next = 0;
        let mut in_order = |(at, result)| {
            early.insert(at, result);
            while let Some(result) = early.remove(&next) {
                take(result)?;
                next += 1;
            }
            gate.open_to(next);
            Ok(())
        };
        // Where it ends early, the receiver is gone before anybody is let through the gate.
        let outcome = results.into_iter().try_for_each(&mut in_order);
        gate.open_to(u64::MAX);
        outcome
    })
}

/// So many items a thread may be drawn beyond the first whose result is missing.
const AHEAD: u64 = 4;

fn serve<T, R>(
    items: &Mutex<impl Iterator<Item = (u64, T)>>,
    gate: &Gate,
    done: &SyncSender<(u64, R)>,
    mut work: impl FnMut(T) -> R,
) {
    loop {
        let drawn = items.lock().unwrap_or_else(PoisonError::into_inner).next();
        let Some((at, item)) = drawn else { return };
        gate.wait(at);
        // A failed send means that nobody wants more.
        if done.send((at, work(item))).is_err() {
            return;
        }
    }
}

/// Holds back those who are too far ahead.
struct Gate {
    ahead: u64,
    taken: Mutex<u64>,
    moved: Condvar,
}

impl Gate {
    fn new(ahead: u64) -> Self {
        Self {
            ahead,
            taken: Mutex::new(0),
            moved: Condvar::new(),
        }
    }

    /// Waits until the item may be worked on.
    fn wait(&self, at: u64) {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let far = |taken: &mut u64| at >= taken.saturating_add(self.ahead);
        drop(
            self.moved
                .wait_while(taken, far)
                .unwrap_or_else(PoisonError::into_inner),
        );
    }

    /// The results of so many items were taken.
    fn open_to(&self, taken: u64) {
        let mut known = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        *known = taken.max(*known);
        drop(known);
        self.moved.notify_all();
    }
}

/// Lets everybody pass when a thread is gone, whose result nobody need wait for.
struct OpenIfPanicking<'g>(&'g Gate);

impl Drop for OpenIfPanicking<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.open_to(u64::MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_whatever_the_threads() {
        for threads in [0, 1, 2, 7] {
            let mut seen = Vec::new();
            let outcome: Result<(), ()> = map_in_order(
                0..1000_u32,
                threads,
                || (),
                |(), n| n * 2,
                |n| {
                    seen.push(n);
                    Ok(())
                },
            );
            assert_eq!(outcome, Ok(()));
            assert_eq!(
                seen,
                (0..1000).map(|n| n * 2).collect::<Vec<_>>(),
                "{threads}"
            );
        }
    }

    #[test]
    fn an_error_ends_it_even_with_endless_items() {
        let outcome = map_in_order(
            0..,
            3,
            || (),
            |(), n: u64| n,
            |n| if n == 5 { Err(n) } else { Ok(()) },
        );
        assert_eq!(outcome, Err(5));
    }
}
