//! Typed state: one reducer per field, independent of the order in which concurrent writers finish.
//!
//! Each write carries a [`Stamp`]: where in the graph and in which visit it was made. Reducers merge by stamp and never
//! by arrival, so a run gives the same state however its branches interleave.
//!
//! Each running node holds the state of its start, so almost every write copies the state. Copies share their values.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// Where and when a value was written: later visits beat earlier ones, then later ranks in topological order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// Number of starts of the writing node, from 1; 0 is the initial state.
    pub visit: u32,
    /// The writing node's rank in topological order, without loop edges.
    pub rank: u32,
    /// The writing node's index, so that two stamps are equal only for the same write.
    pub node: u32,
    /// The item that the instance worked on; 0 for a node that runs once.
    #[serde(default)]
    pub item: u32,
}

/// The state of a run. Written by [`state!`](crate::state!), not by hand.
pub trait State: Clone + Send + Sync + 'static {
    /// The update of one node: an optional new value for each field.
    type Update: Default + Clone + Send + Sync + 'static;
    /// The field names as an enum.
    type Field: Copy + Eq + fmt::Debug + Send + Sync + 'static;
    /// All fields in declared order.
    const FIELDS: &'static [Self::Field];
    /// The field's name as declared.
    fn name(field: Self::Field) -> &'static str;
    /// Returns whether two concurrent nodes can both write the field without losing a write.
    fn shared(field: Self::Field) -> bool;
    /// The fields that an update sets.
    fn written(update: &Self::Update) -> Vec<Self::Field>;
    /// Merges an update; independent of the order of calls for distinct stamps.
    fn apply(&mut self, update: Self::Update, stamp: Stamp);
}

/// Merges the values written to one field.
///
/// Merging must be commutative and associative over distinct stamps.
pub trait Reducer: Clone + Default + Send + Sync {
    /// The type a node writes.
    type Item: Send + Sync;
    /// Whether all concurrent writes are kept.
    const SHARED: bool;
    /// Merges one written value.
    fn put(&mut self, item: Self::Item, stamp: Stamp);
}

/// Keeps the value with the highest stamp: the writer later in the graph wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastWins<T> {
    value: Option<Arc<T>>,
    stamp: Stamp,
}

impl<T> Default for LastWins<T> {
    fn default() -> Self {
        Self { value: None, stamp: Stamp::default() }
    }
}

impl<T> LastWins<T> {
    /// Returns the value, if any was written.
    pub fn get(&self) -> Option<&T> {
        self.value.as_deref()
    }
}

impl<T: Clone + Send + Sync> Reducer for LastWins<T> {
    type Item = T;
    const SHARED: bool = false;

    fn put(&mut self, item: T, stamp: Stamp) {
        if self.value.is_none() || stamp >= self.stamp {
            self.value = Some(Arc::new(item));
            self.stamp = stamp;
        }
    }
}

/// Keeps every value, ordered by stamp; duplicates stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append<T> {
    items: Vec<(Stamp, Arc<T>)>,
}

impl<T> Default for Append<T> {
    fn default() -> Self {
        Self { items: Vec::new() }
    }
}

impl<T> Append<T> {
    /// Returns the values in the order of their stamps.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.items.iter().map(|(_, item)| &**item)
    }

    /// Returns the number of values.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Returns whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

impl<T: Clone + Send + Sync> Reducer for Append<T> {
    type Item = T;
    const SHARED: bool = true;

    fn put(&mut self, item: T, stamp: Stamp) {
        let at = self.items.partition_point(|(other, _)| *other <= stamp);
        self.items.insert(at, (stamp, Arc::new(item)));
    }
}

/// Keeps the largest value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Max<T> {
    value: Option<T>,
}

impl<T> Default for Max<T> {
    fn default() -> Self {
        Self { value: None }
    }
}

impl<T> Max<T> {
    /// Returns the largest value, if any was written.
    pub fn get(&self) -> Option<&T> {
        self.value.as_ref()
    }
}

impl<T: Clone + Ord + Send + Sync> Reducer for Max<T> {
    type Item = T;
    const SHARED: bool = true;

    fn put(&mut self, item: T, _stamp: Stamp) {
        if self.value.as_ref().is_none_or(|held| item > *held) {
            self.value = Some(item);
        }
    }
}

/// Declares a state: a struct of reducers, an update struct of options, and an enum of field names.
///
/// ```
/// lacon_graph::state! {
/// /// What two researchers leave.
/// pub struct Debate, update DebateUpdate, field DebateField {
/// /// The plan; the later writer wins.
/// plan: lacon_graph::LastWins<String>,
/// /// Everything that was said.
/// said: lacon_graph::Append<String>,
/// }
/// }
/// use lacon_graph::{Stamp, State};
/// let mut state = Debate::default();
/// state.apply(DebateUpdate { plan: Some("hold".into()), ..Default::default() }, Stamp::default());
/// assert_eq!(state.plan.get().map(String::as_str), Some("hold"));
/// assert_eq!(Debate::name(DebateField::said), "said");
/// ```
#[macro_export]
macro_rules! state {
    ($(#[$meta:meta])* $vis:vis struct $state:ident, update $update:ident, field $field:ident {
        $($(#[$fmeta:meta])* $name:ident : $reducer:ty),+ $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default)]
        $vis struct $state { $($(#[$fmeta])* pub $name: $reducer),+ }

        #[doc = concat!("What one node adds to [`", stringify!($state), "`]: `None` leaves a field as it is.")]
        #[derive(Clone, Debug, Default, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        $vis struct $update {
            $($(#[$fmeta])* #[serde(skip_serializing_if = "Option::is_none")]
            pub $name: Option<<$reducer as $crate::Reducer>::Item>),+
        }

        #[doc = concat!("The fields of [`", stringify!($state), "`].")]
        #[expect(non_camel_case_types, reason = "variants are spelled as the fields they name")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $field { $($(#[$fmeta])* $name),+ }

        impl $crate::State for $state {
            type Update = $update;
            type Field = $field;
            const FIELDS: &'static [$field] = &[$($field::$name),+];

            fn name(field: $field) -> &'static str {
                match field { $($field::$name => stringify!($name)),+ }
            }

            fn shared(field: $field) -> bool {
                match field { $($field::$name => <$reducer as $crate::Reducer>::SHARED),+ }
            }

            fn written(update: &$update) -> Vec<$field> {
                let mut fields = Vec::new();
                $(if update.$name.is_some() { fields.push($field::$name); })+
                fields
            }

            fn apply(&mut self, update: $update, stamp: $crate::Stamp) {
                $(if let Some(item) = update.$name { $crate::Reducer::put(&mut self.$name, item, stamp); })+
            }
        }
    };
}
