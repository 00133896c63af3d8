//! A model's plain name, out of the spellings of gateways and clouds.

use crate::table::table;

/// Returns the plain name in lower case: without a fine-tune's suffix, a provider's path, a region or a vendor before
/// a dot, a tag after a colon, and with a version after `@` joined by `-`.
///
/// `us.anthropic.claude-opus-4-7-v1:0`, `publishers/anthropic/models/claude-opus-4-7@20260101` and
/// `anthropic/claude-opus-4-7` all name a Claude Opus 4.7.
pub fn plain_name(model: &str) -> String {
    let lower = model.trim().to_ascii_lowercase();
    // The suffix of a fine-tune holds names of organizations, which may hold anything.
    let name = match lower.find("ft:") {
        Some(at) if at == 0 || lower.as_bytes()[at - 1] == b'/' => {
            return before(&lower[at + 3..], ':').to_owned();
        }
        _ => lower.rsplit('/').next().unwrap_or(&lower),
    };
    // An ARN names the model in its last part, and the vendor's version is behind one more colon.
    let name = match name.strip_prefix("arn:") {
        Some(arn) => arn.rsplit(':').find(|part| part.len() > 3).unwrap_or(arn),
        None => before(name, ':'),
    };
    let mut name = name;
    while let Some((path, rest)) = name.split_once('.')
        && table().paths.iter().any(|known| known == path)
    {
        name = rest;
    }
    for family in ["claude-", "gemini-"] {
        if let Some(at) = name.find(family)
            && at > 0
            && !name.as_bytes()[at - 1].is_ascii_alphanumeric()
        {
            name = &name[at..];
        }
    }
    name.replace('@', "-")
}

fn before(text: &str, mark: char) -> &str {
    text.split(mark).next().unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        for (spelled, plain) in [
            ("GPT-4o ", "gpt-4o"),
            ("ft:gpt-4o-mini:acme::x", "gpt-4o-mini"),
            ("ft:gpt-4o:acme/lab::x", "gpt-4o"),
            ("openai/ft:gpt-4o:acme::x", "gpt-4o"),
            ("openai/gpt-oss-120b", "gpt-oss-120b"),
            ("openrouter/anthropic/claude-opus-4.7", "claude-opus-4.7"),
            ("us.anthropic.claude-opus-4-7-20260101-v1:0", "claude-opus-4-7-20260101-v1"),
            ("bedrock/eu.anthropic.claude-sonnet-5-5", "claude-sonnet-5-5"),
            ("arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-opus-5-v1:0", "claude-opus-5-v1"),
            (
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-opus-5",
                "claude-opus-5",
            ),
            ("claude-opus-4-5@20251101", "claude-opus-4-5-20251101"),
            ("publishers/anthropic/models/claude-fable-5@default", "claude-fable-5-default"),
            ("models/gemini-2.5-pro", "gemini-2.5-pro"),
            ("databricks-claude-sonnet-4", "claude-sonnet-4"),
            ("meta.llama4-scout-17b-instruct-v1:0", "llama4-scout-17b-instruct-v1"),
            ("gpt-4.1-mini", "gpt-4.1-mini"),
            ("text.davinci-003", "text.davinci-003"),
            ("qwen3:8b", "qwen3"),
            ("", ""),
            ("/", ""),
            ("::", ""),
            ("é/ü:ö", "ü"),
        ] {
            assert_eq!(plain_name(spelled), plain, "{spelled}");
        }
    }
}
