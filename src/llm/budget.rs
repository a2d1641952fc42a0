//! What a run may spend, and what it has spent.

use std::sync::{Mutex, PoisonError};

use crate::llm::{Budget, Failure, Request, Usage};

/// What has been spent, or set aside by calls that have not ended.
pub(super) struct Purse {
    budget: Budget,
    spent: Mutex<Budget>,
}

/// What one request has set aside. Dropped, it counts as spent: nobody knows what became of it.
#[must_use]
pub(super) struct Set<'p> {
    purse: &'p Purse,
    tokens: u64,
}

impl Purse {
    pub(super) fn new(budget: Budget) -> Self {
        Self {
            budget,
            spent: Mutex::new(Budget {
                calls: 0,
                tokens: 0,
            }),
        }
    }

    /// Sets aside a call and the tokens that it may take.
    pub(super) fn set_aside(&self, request: &Request) -> Result<Set<'_>, Failure> {
        let tokens = estimate(request);
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        if spent.calls >= self.budget.calls {
            return Err(Failure::BudgetSpent {
                limit: self.budget.calls,
                of: "calls",
            });
        }
        let after = spent.tokens.saturating_add(tokens);
        if after > self.budget.tokens {
            return Err(Failure::BudgetSpent {
                limit: self.budget.tokens,
                of: "tokens",
            });
        }
        spent.calls += 1;
        spent.tokens = after;
        Ok(Set {
            purse: self,
            tokens,
        })
    }
}

impl Set<'_> {
    /// The request cost this. An endpoint that counts nothing is taken at the estimate.
    pub(super) fn cost(self, usage: Usage) {
        let counted = usage.prompt_tokens.saturating_add(usage.completion_tokens);
        if counted > 0 {
            self.replace(counted);
        }
    }

    /// The request was refused, and cost no tokens.
    pub(super) fn refused(self) {
        self.replace(0);
    }

    fn replace(self, tokens: u64) {
        let mut spent = self
            .purse
            .spent
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        spent.tokens = spent
            .tokens
            .saturating_sub(self.tokens)
            .saturating_add(tokens);
    }
}

/// What a request may take: the whole reply, and a token for each four bytes of what is asked.
fn estimate(request: &Request) -> u64 {
    let bytes: usize = request.messages.iter().map(|m| m.content.len()).sum();
    let asked = u64::try_from(bytes.div_ceil(4)).unwrap_or(u64::MAX);
    asked.saturating_add(request.max_tokens.into())
}
