//! What a lab is to consist of.

use std::collections::BTreeSet;

use crate::{Fault, LabError, Recursor};

/// What a lab is to consist of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// One exit for each.
    pub exits: Vec<Fault>,
    /// How many first hops there are that work.
    pub guards: u32,
    /// Whether there is another first hop, which is in the consensus and dead.
    pub dead_guard: bool,
    /// Whether to run a client tor with control, SOCKS and DNS ports, such as an operator has
    /// running.
    pub client: bool,
}

/// Most relays of a lab: what loopback and 4 GB of memory carry.
const MOST_RELAYS: usize = 250;

impl Spec {
    /// One exit for each fault, four guards and a dead one, and a client.
    #[must_use]
    pub fn standard() -> Self {
        Self { exits: Fault::ALL.to_vec(), guards: 4, dead_guard: true, client: true }
    }

    /// The same and an exit more for each of these real resolvers: see [`Recursor::available`].
    #[must_use]
    pub fn with_recursors(mut self, recursors: &[Recursor]) -> Self {
        self.exits.extend(recursors.iter().copied().map(Fault::Real));
        self
    }

    /// So many exits without a fault, four guards, and a client.
    #[must_use]
    pub fn healthy(exits: usize) -> Self {
        Self { exits: vec![Fault::Correct; exits], guards: 4, dead_guard: false, client: true }
    }

    /// The exits' nicknames: each fault's name, numbered from its second exit on.
    pub(crate) fn nicknames(&self) -> Vec<String> {
        let mut seen = std::collections::BTreeMap::<&str, u32>::new();
        let number = |fault: &Fault| {
            let count = seen.entry(fault.name()).or_default();
            *count += 1;
            if *count == 1 { fault.name().to_owned() } else { format!("{}{count}", fault.name()) }
        };
        self.exits.iter().map(number).collect()
    }

    /// The real resolvers that its exits have.
    pub(crate) fn recursors(&self) -> BTreeSet<Recursor> {
        let of = |fault: &Fault| match fault {
            Fault::Real(recursor) => Some(*recursor),
            _ => None,
        };
        self.exits.iter().filter_map(of).collect()
    }

    /// Refuses what no network can be made of.
    pub(crate) fn check(&self) -> Result<(), LabError> {
        let recursors = self.recursors();
        if recursors.contains(&Recursor::Forwarder) && !recursors.contains(&Recursor::Bind) {
            return Err(LabError::Spec("a forwarder needs the resolver that it asks".to_owned()));
        }
        if self.exits.is_empty() || self.guards == 0 {
            return Err(LabError::Spec("it needs one exit and one guard at least".to_owned()));
        }
        let relays = self.exits.len() + self.guards as usize + usize::from(self.dead_guard);
        if relays > MOST_RELAYS {
            return Err(LabError::Spec(format!("{relays} relays are more than {MOST_RELAYS}")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nicknames_are_distinct() {
        let spec =
            Spec { exits: vec![Fault::Correct, Fault::Silent, Fault::Correct], ..Spec::healthy(1) };
        assert_eq!(spec.nicknames(), ["correct", "silent", "correct2"]);
    }

    #[test]
    fn impossible_networks_are_refused() {
        assert!(Spec::standard().check().is_ok());
        assert!(Spec::healthy(100).check().is_ok());
        assert!(Spec::healthy(0).check().is_err());
        assert!(Spec::healthy(1000).check().is_err());
        assert!(Spec { guards: 0, ..Spec::healthy(1) }.check().is_err());
    }
}
