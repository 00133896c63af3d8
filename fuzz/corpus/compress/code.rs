use std::fmt;

/// Reserves tokens.
pub fn reserve(
    budget: &mut Budget,
    tokens: u64,
) -> Result<Ticket, Error> {
    let free = budget.limit.saturating_sub(budget.used);
    if tokens > free {
        return Err(Error::Over { needed: tokens, free });
    }

    budget.used += tokens;
    budget.log.push(Entry { tokens, at: budget.used, note: "reserved by the desk" });
    Ok(Ticket { tokens, number: budget.log.len() })
}

impl Budget {
    fn small(&self) -> bool {
        self.limit < 900
    }
}
