//! The same work on many items, on several threads, results in the order of the items.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};

/// Applies `work` to each item on `threads` threads and hands the results to
/// `take` in the items' order. At most a few items a thread are under way, so
/// that memory does not grow with their number.
///
/// # Errors
///
/// The first error of `take`; work under way is then dropped.
pub fn map_in_order<T: Send, R: Send, E>(
    items: impl Iterator<Item = T> + Send,
    threads: usize,
    work: impl Fn(T) -> R + Sync,
    mut take: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E> {
    let threads = threads.max(1);
    let (feed, queue) = sync_channel::<(u64, T)>(threads);
    let (done, results) = sync_channel::<(u64, R)>(threads);
    let queue = std::sync::Arc::new(Mutex::new(queue));
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let numbered = (0..).zip(items);
            // A failed send means that nobody wants more.
            let _ = numbered.into_iter().try_for_each(|item| feed.send(item));
        });
        for _ in 0..threads {
            let (queue, done, work) = (queue.clone(), done.clone(), &work);
            scope.spawn(move || serve(&queue, &done, work));
        }
        drop((queue, done));
        let mut early = BTreeMap::new();
        let mut next = 0;
        for (at, result) in results {
            early.insert(at, result);
            while let Some(result) = early.remove(&next) {
                take(result)?;
                next += 1;
            }
        }
        Ok(())
    })
}

fn serve<T, R>(
    queue: &Mutex<Receiver<(u64, T)>>,
    done: &SyncSender<(u64, R)>,
    work: &impl Fn(T) -> R,
) {
    loop {
        let received = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((at, item)) = received else { return };
        if done.send((at, work(item))).is_err() {
            return;
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
                |n| n * 2,
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
        let outcome = map_in_order(0.., 3, |n: u64| n, |n| if n == 5 { Err(n) } else { Ok(()) });
        assert_eq!(outcome, Err(5));
    }
}
