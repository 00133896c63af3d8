//! The graph as a picture: Graphviz DOT and Mermaid text.

use std::fmt::Write;

use crate::{Graph, State};

impl<S: State> Graph<S> {
    /// The graph in Graphviz DOT; ways back are dashed and carry their bound.
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

    /// The graph as a Mermaid flowchart.
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
