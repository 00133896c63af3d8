//! Lines of a search or a compiler, `path:line:text`, with each path said once above its lines.
//!
//! ```text
//! @hits 3
//! src/budget.rs
//! 12:    let limit = 900;
//! 40:5: warning: unused variable
//! src/lib.rs
//! 7:pub mod budget;
//! ```
//!
//! A line that begins with digits and a colon is a hit, any other one is the path of the hits below it; no path has a
//! colon, so none can be taken for a hit.

use super::{GaveUp, Passage, one};
use crate::work::{Meter, steps::Steps};

/// The path of a line and what follows its colon, where that begins with a line number and a colon.
pub(crate) fn split(line: &str) -> Option<(&str, &str)> {
    let (path, hit) = line.split_once(':')?;
    let named = !path.is_empty() && path.contains(['/', '.', '\\']) && !path.contains([' ', '\t', '"']);
    (named && !path.starts_with('@') && is_hit(hit)).then_some((path, hit))
}

fn is_hit(text: &str) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    (1..=9).contains(&digits) && text.as_bytes().get(digits) == Some(&b':')
}

pub(super) fn make(passage: &Passage<'_>, _: &Steps<'_>) -> Result<Vec<String>, GaveUp> {
    one(encode(passage.body).map(|(args, body)| format!("@hits {args}\n{body}")))
}

/// Encodes lines (without the last newline) as a frame's arguments and body; `None` where a path is never repeated.
fn encode(text: &str) -> Option<(String, String)> {
    let mut body = String::with_capacity(text.len());
    let (mut above, mut n, mut n_paths) = ("", 0, 0);
    for line in text.split('\n') {
        let (path, hit) = split(line)?;
        if path != above {
            body.push_str(if n > 0 { "\n" } else { "" });
            body.push_str(path);
            (above, n_paths) = (path, n_paths + 1);
        }
        body.push('\n');
        body.push_str(hit);
        n += 1;
    }
    (n_paths < n).then(|| (n.to_string(), body))
}

/// Undoes [`encode`]; gives the lines and where the body ended.
pub(super) fn decode(
    text: &str,
    args: &str,
    at: usize,
    meter: &Meter<'_>,
) -> Result<(String, usize), &'static str> {
    let n: usize = args.parse().map_err(|_| "expected @hits N")?;
    let body = text.get(at..).ok_or("hits end too early")?;
    let (mut out, mut path, mut end, mut done) = (String::new(), None, at, 0);
    let mut lines = body.split('\n');
    while done < n {
        let line = lines.next().ok_or("fewer hits than @hits says")?;
        end += line.len() + 1;
        if !is_hit(line) {
            path = Some(line);
            continue;
        }
        let path = path.ok_or("a hit without a path above it")?;
        if done > 0 {
            out.push('\n');
        }
        meter.push(&mut out, path)?;
        out.push(':');
        meter.push(&mut out, line)?;
        done += 1;
    }
    if done == 0 {
        return Err("hits without a hit");
    }
    Ok((out, end - 1))
}
