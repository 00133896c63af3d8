//! Which vectors there are, and the proof that this processor has them.

/// What the masks are computed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Vectors {
    /// One byte at a time through a table.
    None,
    /// 64 bytes in four steps, 64-bit Arm.
    Neon,
    /// 32 bytes at a time, x86-64.
    Avx2,
    /// 64 bytes at a time, x86-64.
    Avx512,
}

impl Vectors {
    /// All, the widest first.
    pub const ALL: [Self; 4] = [Self::Avx512, Self::Avx2, Self::Neon, Self::None];

    /// The widest that this processor has.
    pub fn detect() -> Self {
        Isa::detect().vectors()
    }

    #[cfg(target_arch = "x86_64")]
    fn is_here(self) -> bool {
        let common = || {
            is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("lzcnt")
                && is_x86_feature_detected!("popcnt")
        };
        match self {
            Self::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
                    && common()
            }
            Self::Avx2 => is_x86_feature_detected!("avx2") && common(),
            Self::Neon => false,
            Self::None => true,
        }
    }

    /// Every 64-bit Arm processor has NEON, and the compiler may use it anywhere.
    #[cfg(not(target_arch = "x86_64"))]
    fn is_here(self) -> bool {
        match self {
            Self::Avx512 | Self::Avx2 => false,
            Self::Neon => {
                cfg!(all(target_arch = "aarch64", target_feature = "neon", target_endian = "little"))
            }
            Self::None => true,
        }
    }
}

/// Vectors that this processor has. [`Isa::at_most`] alone makes one, and it asks the processor: that is what the calls of
/// functions for these vectors rest on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Isa(Vectors);

impl Isa {
    /// The widest that are here.
    pub(crate) fn detect() -> Self {
        Self::at_most(Vectors::ALL[0])
    }

    /// The widest that are here and no wider than these.
    pub(crate) fn at_most(vectors: Vectors) -> Self {
        let here = Vectors::ALL.into_iter().find(|v| *v <= vectors && v.is_here());
        Self(here.unwrap_or(Vectors::None))
    }

    pub(crate) fn vectors(self) -> Vectors {
        self.0
    }
}
