//! The critical path of a run, and the overhead on it.

use crate::{
    ledger::{Facts, NodeFact},
    record::PathNode,
};

/// Walks back from the last end: before each node stands the one of its inputs that ended last.
///
/// Slack is how much longer a node could have taken without moving the end of the run: on this path it is the gap to
/// the next node's start (waiting for nothing but the executor), normally zero.
pub fn path(nodes: &[NodeFact]) -> Vec<PathNode> {
    let latest = |names: &[String], before: f64| {
        nodes
            .iter()
            .filter(|n| names.contains(&n.node) && n.end_s <= before + 1e-9)
            .max_by(|a, b| a.end_s.total_cmp(&b.end_s))
    };
    let mut path = Vec::new();
    let mut next = nodes.iter().max_by(|a, b| a.end_s.total_cmp(&b.end_s));
    let mut limit = next.map_or(0.0, |n| n.end_s);
    while let Some(node) = next {
        path.push(PathNode {
            node: node.node.clone(),
            start_s: node.start_s,
            end_s: node.end_s,
            slack_s: (limit - node.end_s).max(0.0),
        });
        limit = node.start_s;
        next = latest(&node.inputs, node.start_s);
        if path.len() > nodes.len() {
            break;
        }
    }
    path.reverse();
    path
}

/// Seconds of the chain of model and tool calls that ends last: from each call back to the call that ended last
/// before it began. What is left of the wall time is our own.
pub fn model_seconds(facts: &Facts) -> f64 {
    let mut spans: Vec<(f64, f64)> = facts.calls.iter().map(|c| (c.call.start_s, c.call.end_s)).collect();
    spans.extend(facts.tools.iter().map(|t| (t.tool.start_s, t.tool.end_s)));
    spans.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut sum = 0.0;
    let mut limit = f64::INFINITY;
    for (start, end) in spans.into_iter().rev() {
        if end <= limit + 1e-6 {
            sum += end - start;
            limit = start;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, start_s: f64, end_s: f64, inputs: &[&str]) -> NodeFact {
        NodeFact {
            node: name.into(),
            visit: 1,
            start_s,
            end_s,
            inputs: inputs.iter().map(|i| (*i).into()).collect(),
            error: None,
        }
    }

    #[test]
    fn the_path_follows_the_input_that_ended_last() {
        let nodes = [
            node("a", 0.0, 1.0, &[]),
            node("b", 0.0, 3.0, &[]),
            node("c", 3.0, 4.0, &["a", "b"]),
            node("d", 1.0, 2.0, &["a"]),
        ];
        let names: Vec<String> = path(&nodes).into_iter().map(|n| n.node).collect();
        assert_eq!(names, ["b", "c"]);
        assert!(path(&[]).is_empty());
    }
}
