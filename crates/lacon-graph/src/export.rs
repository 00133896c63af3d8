//! The graph as Graphviz DOT, Mermaid or plain text.

use std::fmt::Write;

use crate::{Graph, State};

/// Depth, nodes, what they wait for, and back edges.
type TextRow<'g> = (usize, Vec<&'g str>, Vec<String>, Vec<String>);

impl<S: State> Graph<S> {
    /// Returns the graph as Graphviz DOT; back edges are dashed and show their bound.
    pub fn to_dot(&self) -> String {
        let mut text = String::from("digraph {\n  rankdir=LR;\n  node [shape=box];\n");
        for node in &self.inner.nodes {
            let _ = writeln!(text, "  {:?};", &*node.name);
        }
        for (from, to, label, bound) in self.edge_rows() {
            let mut attributes = Vec::new();
            if !label.is_empty() {
                attributes.push(format!("label={label:?}"));
            }
            if bound.is_some() {
                attributes.push("style=dashed".into());
            }
            let _ = writeln!(text, "  {from:?} -> {to:?} [{}];", attributes.join(", "));
        }
        text.push_str("}\n");
        text
    }

    /// Returns the graph as a Mermaid flowchart.
    pub fn to_mermaid(&self) -> String {
        let mut text = String::from("flowchart LR\n");
        for (i, node) in self.inner.nodes.iter().enumerate() {
            let _ = writeln!(text, "  n{i}[\"{}\"]", node.name.replace('"', "'"));
        }
        for edge in &self.inner.edges {
            let arrow = if edge.loop_bound.is_some() { "-.->" } else { "-->" };
            let label = label_of(edge.label, edge.loop_bound);
            let label = if label.is_empty() { String::new() } else { format!("|{label}|") };
            let _ = writeln!(text, "  n{} {arrow}{label} n{}", edge.from, edge.to);
        }
        text
    }

    /// Returns the graph as lines for a terminal: nodes that can run in parallel, and what they wait for. A back edge
    /// follows the node that it leaves, with its bound.
    pub fn to_text(&self) -> String {
        let n = self.inner.nodes.len();
        let mut depth = vec![0usize; n];
        // A graph without ways back has no longer chain than it has nodes.
        for _ in 0..n {
            for edge in self.inner.edges.iter().filter(|edge| edge.loop_bound.is_none()) {
                depth[edge.to] = depth[edge.to].max(depth[edge.from] + 1);
            }
        }
        let mut rows: Vec<TextRow<'_>> = Vec::new();
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by_key(|node| depth[*node]);
        for node in order {
            let name = &*self.inner.nodes[node].name;
            let ahead = self.inner.edges.iter().filter(|edge| edge.to == node && edge.loop_bound.is_none());
            let after = ahead.map(|e| (*self.inner.nodes[e.from].name).to_owned()).collect();
            let back = self.inner.edges.iter().filter(|e| e.from == node && e.loop_bound.is_some());
            let back = back.map(|e| {
                format!("{}, at most {} times", &*self.inner.nodes[e.to].name, e.loop_bound.unwrap_or(0))
            });
            let back: Vec<String> = back.collect();
            match rows
                .iter_mut()
                .find(|row| row.0 == depth[node] && row.2 == after && row.3.is_empty() && back.is_empty())
            {
                Some(row) => row.1.push(name),
                None => rows.push((depth[node], vec![name], after, back)),
            }
        }
        let width = rows.iter().map(|row| row.1.join(", ").len()).max().unwrap_or(0);
        let mut text = String::new();
        for (depth, nodes, after, back) in rows {
            let after = if after.is_empty() { String::new() } else { format!("after {}", after.join(", ")) };
            let back = if back.is_empty() { String::new() } else { format!("; back to {}", back.join("; ")) };
            let line = format!("{:>3}  {:<width$}  {after}{back}", depth + 1, nodes.join(", "));
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }

    fn edge_rows(&self) -> impl Iterator<Item = (&str, &str, String, Option<u32>)> {
        let name = |i: usize| &*self.inner.nodes[i].name;
        self.inner
            .edges
            .iter()
            .map(move |e| (name(e.from), name(e.to), label_of(e.label, e.loop_bound), e.loop_bound))
    }
}

fn label_of(label: Option<&str>, bound: Option<u32>) -> String {
    match (label, bound) {
        (label, Some(bound)) => format!("{} at most {bound}", label.unwrap_or_default()),
        (Some(label), None) => label.into(),
        (None, None) => String::new(),
    }
}
