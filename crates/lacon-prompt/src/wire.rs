//! JSON read member by member; values keep every byte as written.

use std::collections::HashMap;
use std::ops::Range;

use serde_json::value::RawValue;

/// An object's members, not read yet. Of a doubled name the last one counts, as for most readers.
pub(crate) type Object<'j> = HashMap<String, &'j RawValue>;

/// A list of objects; `None` stands for an element that is none.
pub(crate) fn objects(json: &str) -> Option<Vec<Option<Object<'_>>>> {
    if let Ok(list) = serde_json::from_str(json) {
        return Some(list);
    }
    Some(array(json)?.into_iter().map(|value| object(value.get())).collect())
}

pub(crate) fn object(json: &str) -> Option<Object<'_>> {
    serde_json::from_str(json).ok()
}

pub(crate) fn array(json: &str) -> Option<Vec<&RawValue>> {
    serde_json::from_str(json).ok()
}

/// A member that is a string.
pub(crate) fn string(object: &Object<'_>, key: &str) -> Option<String> {
    serde_json::from_str(object.get(key)?.get()).ok()
}

/// A member that is an object.
pub(crate) fn member<'j>(holder: &Object<'j>, key: &str) -> Option<Object<'j>> {
    object(holder.get(key)?.get())
}

/// The elements of a member that is a list.
pub(crate) fn list<'j>(holder: &Object<'j>, key: &str) -> Vec<&'j RawValue> {
    holder.get(key).and_then(|list| array(list.get())).unwrap_or_default()
}

pub(crate) fn is_string(value: &RawValue) -> bool {
    value.get().starts_with('"')
}

/// Where a value lies in the JSON that it was read from.
pub(crate) fn place(json: &str, value: &RawValue) -> Range<usize> {
    let start = value.get().as_ptr() as usize - json.as_ptr() as usize;
    start..start + value.get().len()
}

/// A string as text. Half of a surrogate pair is no text, so such a string is read as it is written.
pub(crate) fn text(value: &RawValue) -> String {
    serde_json::from_str(value.get()).unwrap_or_else(|_| value.get().trim_matches('"').to_owned())
}

/// A value without the white space between its parts.
pub(crate) fn compact(value: &RawValue) -> String {
    let (mut inside, mut escaped) = (false, false);
    let keep = |c: &char| {
        match c {
            _ if escaped => escaped = false,
            '\\' if inside => escaped = true,
            '"' => inside = !inside,
            _ => {}
        }
        inside || !c.is_ascii_whitespace()
    };
    value.get().chars().filter(keep).collect()
}
