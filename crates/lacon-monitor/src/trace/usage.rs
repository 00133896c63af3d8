//! Tokens in the spellings of providers and frameworks.
//!
//! Cached and reasoning tokens are counted within the prompt and the answer by some and beside them by others. The total
//! decides where there is one, else the spelling.

use serde_json::{Map, Value};

use super::{SpanTokens, json};

/// Reads usage in any spelling; absent is not zero.
pub fn of(usage: &Value) -> SpanTokens {
    let get = |paths: &[&str]| json::first(usage, paths).and_then(json::count);
    let input = get(&[
        "input_tokens",
        "prompt_tokens",
        "inputTokens",
        "promptTokens",
        "promptTokenCount",
        "prompt_token_count",
    ]);
    let output = get(&[
        "output_tokens",
        "completion_tokens",
        "outputTokens",
        "completionTokens",
        "candidatesTokenCount",
        "candidates_token_count",
    ]);
    let within = get(&[
        "input_token_details.cache_read",
        "prompt_tokens_details.cached_tokens",
        "input_tokens_details.cached_tokens",
        "inputTokenDetails.cacheReadTokens",
        "cached_input_tokens",
        "cachedInputTokens",
        "cachedContentTokenCount",
        "cached_content_token_count",
    ]);
    // Anthropic and Bedrock count what the cache gave and took beside the input.
    let beside = get(&["cache_read_input_tokens", "cacheReadInputTokens"]);
    // Anthropic divides them by time to live, too.
    let sum = |short: Option<u64>, hour: Option<u64>| match (short, hour) {
        (None, None) => None,
        (short, hour) => Some(short.unwrap_or(0).saturating_add(hour.unwrap_or(0))),
    };
    let short = get(&["cache_creation.ephemeral_5m_input_tokens"]);
    let hour = get(&["cache_creation.ephemeral_1h_input_tokens"]);
    let written = get(&["cache_creation_input_tokens", "cacheWriteInputTokens"]).max(sum(short, hour));
    // OpenAI counts them within the prompt, and so do frameworks; LangChain's sum is 0 where it divides them.
    let short = get(&["input_token_details.ephemeral_5m_input_tokens"]);
    let hour_within = get(&["input_token_details.ephemeral_1h_input_tokens"]);
    let written_within = get(&[
        "prompt_tokens_details.cache_write_tokens",
        "input_tokens_details.cache_write_tokens",
        "input_token_details.cache_creation",
        "inputTokenDetails.cacheWriteTokens",
    ]);
    let written_within = written_within.max(sum(short, hour_within));
    let hour = hour.or(hour_within);
    let inside = get(&[
        "output_token_details.reasoning",
        "completion_tokens_details.reasoning_tokens",
        "output_tokens_details.reasoning_tokens",
        "outputTokenDetails.reasoningTokens",
        "reasoning_output_tokens",
        "reasoningTokens",
    ]);
    let thoughts = get(&["thoughtsTokenCount", "thoughts_token_count"]);
    let total = get(&["total_tokens", "total", "totalTokens", "totalTokenCount", "total_token_count"]);
    let mut tokens = SpanTokens {
        prompt: input,
        cached: within.or(beside),
        cache_write: written_within.or(written).map(|n| n.saturating_sub(hour.unwrap_or(0))),
        cache_write_1h: hour,
        completion: output,
        reasoning: inside.or(thoughts),
        total,
        estimated: false,
    };
    let more = (beside.filter(|_| within.is_none()), written.filter(|_| written_within.is_none()));
    if let (Some(input), (Some(_), _) | (_, Some(_))) = (input, more) {
        let more = more.0.unwrap_or(0).saturating_add(more.1.unwrap_or(0));
        let fits = total.is_none_or(|t| t != input.saturating_add(output.unwrap_or(0)));
        if fits && within.is_none() {
            tokens.prompt = Some(input.saturating_add(more));
            if total.is_some_and(|t| t < input.saturating_add(more).saturating_add(output.unwrap_or(0))) {
                tokens.total = None;
            }
        }
    }
    if let (Some(thoughts), None) = (thoughts, inside) {
        tokens.completion = Some(output.unwrap_or(0).saturating_add(thoughts));
    }
    if tokens.prompt.is_none()
        && tokens.completion.is_none()
        && usage.get("input").is_some_and(|v| json::count(v).is_some())
    {
        return parts(usage, None).0;
    }
    tokens
}

/// Makes the figures of one request agree; says what does not add up.
///
/// Reasoning that is larger than the answer, or that the total counts once more, lies beside the answer.
pub fn agree(tokens: &mut SpanTokens) -> Option<String> {
    let (Some(prompt), Some(completion)) = (tokens.prompt, tokens.completion) else { return None };
    let reasoning = tokens.reasoning.unwrap_or(0);
    let sum = prompt.saturating_add(completion);
    let beside = sum.saturating_add(reasoning);
    match tokens.total {
        Some(total) if total == sum => None,
        Some(total) if reasoning > 0 && total == beside => {
            tokens.completion = Some(completion.saturating_add(reasoning));
            None
        }
        None if reasoning > completion => {
            tokens.completion = Some(completion.saturating_add(reasoning));
            None
        }
        None => None,
        Some(total) => {
            tokens.total = Some(sum);
            Some(format!("its prompt and answer hold {sum} tokens, its total says {total}"))
        }
    }
}

/// Usage by named parts, as Langfuse keeps it: `input`, `input_cached_tokens`, `output`, `output_reasoning`, `total` and
/// any other name. `own` is the source's own total. Says what does not add up.
pub fn parts(usage: &Value, own: Option<u64>) -> (SpanTokens, Option<String>) {
    let empty = Map::new();
    let map = usage.as_object().unwrap_or(&empty);
    let (mut input, mut output): (Option<u64>, Option<u64>) = (None, None);
    let (mut more_in, mut more_out) = (0_u64, 0_u64);
    let mut tokens = SpanTokens::default();
    let plus = |a: Option<u64>, b: u64| Some(a.unwrap_or(0).saturating_add(b));
    for (key, value) in map {
        let Some(n) = json::count(value) else { continue };
        match key.as_str() {
            "total" | "total_tokens" | "totalTokens" => tokens.total = Some(n),
            "input" | "input_tokens" | "prompt_tokens" | "promptTokens" => input = Some(n),
            "output" | "output_tokens" | "completion_tokens" | "completionTokens" => output = Some(n),
            key if key.contains("cost") || key.contains("price") => {}
            key => {
                let written = ["creation", "write", "ephemeral"].iter().any(|word| key.contains(word));
                let cached = key.contains("cache") && !written;
                let reasoning =
                    key.contains("reasoning") || key.contains("thought") || key.contains("thinking");
                if key.contains("output") || key.contains("completion") || reasoning {
                    more_out = more_out.saturating_add(n);
                    if reasoning {
                        tokens.reasoning = plus(tokens.reasoning, n);
                    }
                } else if key.contains("input") || key.contains("prompt") || key.contains("cache") {
                    more_in = more_in.saturating_add(n);
                    if cached {
                        tokens.cached = plus(tokens.cached, n);
                    } else if written && key.contains("1h") {
                        tokens.cache_write_1h = plus(tokens.cache_write_1h, n);
                    } else if written {
                        tokens.cache_write = plus(tokens.cache_write, n);
                    }
                }
            }
        }
    }
    let total = own.or(tokens.total);
    let base = input.unwrap_or(0).saturating_add(output.unwrap_or(0));
    let ways = [(more_in, more_out), (0, 0), (more_in, 0), (0, more_out)];
    let fits = |(a, b): &(u64, u64)| total.is_none_or(|t| base.saturating_add(*a).saturating_add(*b) == t);
    let found = ways.into_iter().find(fits);
    let (a, b) = found.unwrap_or(ways[0]);
    tokens.prompt = input.map(|n| n.saturating_add(a)).or((more_in > 0).then_some(more_in));
    tokens.completion = output.map(|n| n.saturating_add(b)).or((more_out > 0).then_some(more_out));
    let sum = match (tokens.prompt, tokens.completion) {
        (None, None) => return (SpanTokens { total, ..tokens }, None),
        (a, b) => a.unwrap_or(0).saturating_add(b.unwrap_or(0)),
    };
    let differs = match (own, tokens.total) {
        (Some(own), Some(total)) if own != total => {
            Some(format!("its usage says {total} tokens, its own total {own}"))
        }
        _ if found.is_none() => total.map(|t| format!("its parts hold {sum} tokens, its total says {t}")),
        _ => None,
    };
    tokens.total = Some(sum);
    (tokens, differs)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_total_decides_what_is_beside() {
        let check = |usage: Value, expected: [Option<u64>; 4]| {
            let found = of(&usage);
            assert_eq!([found.prompt, found.cached, found.completion, found.reasoning], expected, "{usage}");
        };
        check(
            json!({"input_tokens": 5, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 7, "output_tokens": 3}),
            [Some(102), Some(90), Some(3), None],
        );
        check(
            json!({"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 90}, "completion_tokens": 3, "total_tokens": 103}),
            [Some(100), Some(90), Some(3), None],
        );
        check(
            json!({"promptTokenCount": 10, "candidatesTokenCount": 4, "thoughtsTokenCount": 6, "totalTokenCount": 20}),
            [Some(10), None, Some(10), Some(6)],
        );
        check(
            json!({"input": 142, "input_cache_read": 0, "output": 24, "output_reasoning": 64, "total": 230}),
            [Some(142), Some(0), Some(88), Some(64)],
        );
        check(
            json!({"input": 142, "output": 88, "output_reasoning": 64, "total": 230}),
            [Some(142), None, Some(88), Some(64)],
        );
        check(json!({}), [None; 4]);
        let check = |usage: Value, expected: [Option<u64>; 4]| {
            let found = of(&usage);
            let written = [found.prompt, found.cached, found.cache_write, found.cache_write_1h];
            assert_eq!(written, expected, "{usage}");
        };
        check(
            json!({"input_tokens": 5, "cache_read_input_tokens": 90, "cache_creation_input_tokens": 7, "output_tokens": 3,
                "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4}}),
            [Some(102), Some(90), Some(3), Some(4)],
        );
        check(
            json!({"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30}}),
            [Some(100), Some(60), Some(30), None],
        );
        check(
            json!({"input_tokens": 100, "output_tokens": 3, "total_tokens": 103, "input_token_details":
                {"cache_read": 60, "cache_creation": 0, "ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20}}),
            [Some(100), Some(60), Some(10), Some(20)],
        );
        check(
            json!({"input": 10, "input_cache_read": 60, "input_cache_creation": 30, "output": 3, "total": 103}),
            [Some(100), Some(60), Some(30), None],
        );
        let mut beside = SpanTokens {
            prompt: Some(10),
            completion: Some(5),
            reasoning: Some(20),
            total: Some(35),
            ..SpanTokens::default()
        };
        assert_eq!((agree(&mut beside), beside.completion), (None, Some(25)));
        let mut odd =
            SpanTokens { prompt: Some(10), completion: Some(5), total: Some(40), ..SpanTokens::default() };
        assert!(agree(&mut odd).is_some() && odd.sum() == Some(15));
        let (found, differs) = parts(&json!({"input": 10, "output": 5, "total": 99}), None);
        assert_eq!((found.total, differs.is_some()), (Some(15), true));
    }
}
