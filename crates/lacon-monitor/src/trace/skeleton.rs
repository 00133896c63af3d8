//! Where the elements of a JSON document's long lists lie, found in one pass that keeps no values.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value, value::RawValue};

/// Keys of lists whose elements are read one by one.
const LISTS: [&str; 6] = ["data", "runs", "items", "spans", "observations", "child_runs"];
/// Keys of lists whose elements hold such lists.
const WRAPPERS: [&str; 6] = [
    "resourceSpans",
    "resource_spans",
    "batches",
    "scopeSpans",
    "scope_spans",
    "instrumentationLibrarySpans",
];

/// A value of which only the ways to the long lists are taken apart.
#[derive(Debug)]
pub enum Skeleton<'a> {
    /// An object on the way.
    Object(Vec<(Cow<'a, str>, Skeleton<'a>)>),
    /// A list on the way, or a long one.
    List(Vec<Skeleton<'a>>),
    /// A part of the text.
    Raw(&'a RawValue),
    /// Something short that stands where a list or an object was expected.
    Short(Value),
}

impl<'a> Skeleton<'a> {
    /// Takes a whole text apart; nothing when it is not one valid document.
    pub fn of(text: &'a str) -> Option<Self> {
        let mut reader = serde_json::Deserializer::from_str(text);
        let found = Way { elements_too: false }.deserialize(&mut reader).ok()?;
        reader.end().ok()?;
        Some(found)
    }

    /// The member of a name; of equal names the last.
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.iter().rev().find(|(key, _)| key == name).map(|(_, v)| v),
            _ => None,
        }
    }

    /// The elements.
    pub fn elements(&self) -> Option<&[Self]> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }

    /// The first of these members that is not null, and its elements where it is a list.
    pub fn first_list(&self, names: &[&str]) -> &[Self] {
        let mut found = names.iter().filter_map(|name| self.get(name));
        found.find(|s| !matches!(s, Self::Short(Value::Null))).and_then(Self::elements).unwrap_or(&[])
    }

    /// The value, its long lists emptied.
    pub fn head(&self) -> Option<Value> {
        Some(match self {
            Self::Object(members) => {
                let pairs =
                    members.iter().map(|(key, value)| Some((key.clone().into_owned(), value.head()?)));
                Value::Object(pairs.collect::<Option<Map<_, _>>>()?)
            }
            Self::List(_) => Value::Array(Vec::new()),
            Self::Raw(raw) => serde_json::from_str(raw.get()).ok()?,
            Self::Short(value) => value.clone(),
        })
    }
}

/// A value on the way to the lists.
#[derive(Clone, Copy)]
struct Way {
    /// Whether the elements of a list are on the way too.
    elements_too: bool,
}

impl<'a> DeserializeSeed<'a> for Way {
    type Value = Skeleton<'a>;

    fn deserialize<D: Deserializer<'a>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Way {
    type Value = Skeleton<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(Key(key)) = map.next_key()? {
            let value = if WRAPPERS.contains(&&*key) {
                map.next_value_seed(Self { elements_too: true })?
            } else if LISTS.contains(&&*key) {
                map.next_value_seed(Self { elements_too: false })?
            } else {
                Skeleton::Raw(map.next_value()?)
            };
            members.push((key, value));
        }
        Ok(Skeleton::Object(members))
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        if self.elements_too {
            while let Some(element) = list.next_element_seed(Self { elements_too: false })? {
                elements.push(element);
            }
        } else {
            while let Some(element) = list.next_element()? {
                elements.push(Skeleton::Raw(element));
            }
        }
        Ok(Skeleton::List(elements))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Skeleton::Short(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Skeleton::Short(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Skeleton::Short(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Skeleton::Short(value.into()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Skeleton::Short(value.into()))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Skeleton::Short(Value::Null))
    }
}

/// A name, borrowed where it holds no escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);
