//! Broken variants of the product, the world or a client. The invariants are worth something because they find each.

/// A broken variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The put has no condition.
    PutUnconditional,
    /// The watermarks are written without a condition.
    AdvanceUnconditional,
    /// The newest entries are read as they were a moment ago.
    StaleHead,
    /// A queue says that it took what it did not take.
    EnqueueLies,
    /// A send knows who was connected when it began, not after the put.
    ConnectionsEarly,
    /// A group's rows are written without looking whether its first entry stands.
    FoundsLate,
    /// The newest entry of a log goes, as if a TTL had taken it.
    TailExpires,
    /// The floor is moved without looking whether it stands where it was read.
    FloorUnconditional,
    /// A delete does not look whether the fence stands where it was read.
    FloorUnchecked,
    /// An erasure leaves no note of what is archived.
    ErasedUnnoted,
    /// A client resends with what it holds now, instead of with the first `seen`.
    ForgetsSeen,
    /// A client says that it has seen more than it has.
    SeenTooHigh,
    /// A client takes what lies beyond a hole as the next one.
    AcceptsHole,
    /// A client takes any answer as an acknowledgement.
    TakesErrorForSent,
    /// A client leaves out the sync that keeps its socket alive.
    NoKeepAlive,
    /// Whoever takes a phone over takes it from nobody.
    TakenFromNobody,
    /// The push service finds a token's endpoint, and does not enable it.
    FoundAsItWas,
    /// A push goes where its user took pushes before the last change of that.
    StalePhones,
    /// A variant of a service.
    #[cfg(feature = "mutants")]
    Core(petrel_core::mutants::Mutant),
}

impl Mutant {
    /// All of them.
    pub fn all() -> Vec<Self> {
        let all = vec![
            Self::PutUnconditional,
            Self::AdvanceUnconditional,
            Self::StaleHead,
            Self::EnqueueLies,
            Self::ConnectionsEarly,
            Self::FoundsLate,
            Self::TailExpires,
            Self::FloorUnchecked,
            Self::FloorUnconditional,
            Self::ErasedUnnoted,
            Self::ForgetsSeen,
            Self::SeenTooHigh,
            Self::AcceptsHole,
            Self::TakesErrorForSent,
            Self::NoKeepAlive,
            Self::TakenFromNobody,
            Self::FoundAsItWas,
            Self::StalePhones,
        ];
        #[cfg(feature = "mutants")]
        let all = {
            use petrel_core::mutants::Mutant;
            let mut all = all;
            all.extend(Mutant::ALL.iter().map(|m| Self::Core(*m)));
            all
        };
        all
    }

    /// Its name on the command line.
    pub fn name(self) -> String {
        match self {
            #[cfg(feature = "mutants")]
            Self::Core(mutant) => format!("{mutant:?}"),
            _ => format!("{self:?}"),
        }
    }
}
