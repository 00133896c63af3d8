//! The progress view of a run on a terminal: one line per agent, tokens so far below.

use std::{
    collections::BTreeMap,
    io::IsTerminal,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use lacon_monitor::visible::visible;
use lacon_runtime::{Progress, run::OnProgress};
use lacon_trading::Role;

use crate::text;

/// A live view; nothing at all when stderr is no terminal.
pub struct Live {
    view: Option<Arc<View>>,
}

struct View {
    all: MultiProgress,
    lines: BTreeMap<&'static str, ProgressBar>,
    total: ProgressBar,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    began: BTreeMap<String, Instant>,
    tokens: u64,
}

impl Live {
    /// Opens the view; `quiet` or a stderr that is no terminal shows nothing.
    pub fn new(quiet: bool, roles: &[Role]) -> Self {
        if quiet || !std::io::stderr().is_terminal() {
            return Self { view: None };
        }
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(20));
        let line = |name: &'static str| {
            let bar = all.add(ProgressBar::new_spinner().with_style(still("·")));
            bar.set_prefix(name);
            bar.set_message("waiting");
            bar
        };
        let lines = roles.iter().map(|r| (r.name(), line(r.name()))).collect();
        let total = line("");
        total.set_style(still(" "));
        total.set_message("0 tokens");
        Self { view: Some(Arc::new(View { all, lines, total, state: Mutex::default() })) }
    }

    /// What to hand to the run.
    pub fn on_progress(&self) -> OnProgress {
        match &self.view {
            None => Arc::new(|_| {}),
            Some(view) => {
                let view = Arc::clone(view);
                Arc::new(move |progress| view.show(progress))
            }
        }
    }

    /// Takes the view away.
    pub fn close(&self) {
        if let Some(view) = &self.view {
            view.lines.values().chain([&view.total]).for_each(ProgressBar::finish_and_clear);
            let _ = view.all.clear();
        }
    }
}

/// A line that does not move, with a mark.
fn still(mark: &str) -> ProgressStyle {
    ProgressStyle::with_template(&format!("{{prefix:>13}} {mark} {{msg}}"))
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// A line whose role is at work.
fn busy() -> ProgressStyle {
    ProgressStyle::with_template("{prefix:>13} {spinner} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
        .tick_chars("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏ ")
}

impl View {
    fn line(&self, node: &str) -> Option<&ProgressBar> {
        let role = node.strip_suffix("_tools").or_else(|| node.strip_suffix("_call")).unwrap_or(node);
        self.lines.get(role)
    }

    fn show(&self, progress: Progress) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match progress {
            Progress::NodeStarted(node) => {
                if let Some(line) = self.line(&node) {
                    line.set_style(busy());
                    line.enable_steady_tick(Duration::from_millis(80));
                }
                state.began.insert(node, Instant::now());
            }
            Progress::ToolCalled { role, tool } => {
                if let Some(line) = self.line(&role) {
                    line.set_message(format!("tools: {}", visible(&tool)));
                }
            }
            Progress::Calling { role, turn } => {
                if let Some(line) = self.line(&role) {
                    line.set_message(if turn > 1 {
                        format!("calling, turn {turn}")
                    } else {
                        "calling".into()
                    });
                }
            }
            Progress::Streaming { role, bytes } => {
                if let Some(line) = self.line(&role) {
                    line.set_message(format!("writing, {bytes} characters"));
                }
            }
            Progress::Retrying { role, reason } => {
                if let Some(line) = self.line(&role) {
                    line.set_message(format!("retrying after {reason}"));
                }
            }
            Progress::Answered { total_tokens, .. } => {
                state.tokens = total_tokens;
                self.total.set_message(format!("{} tokens", text::thousands(state.tokens)));
            }
            Progress::NodeFinished { node, error } => {
                let seconds = state.began.get(&node).map_or(0.0, |b| b.elapsed().as_secs_f64());
                // Tools and first calls are steps of an analyst that goes on.
                if let Some(line) = self.lines.get(node.as_str()) {
                    line.disable_steady_tick();
                    line.set_style(still(if error.is_none() { "✓" } else { "✗" }));
                    line.set_message(match error {
                        None => format!("done in {seconds:.2} s"),
                        Some(error) => {
                            format!("failed: {}", visible(error.lines().next().unwrap_or_default()))
                        }
                    });
                } else if let Some(line) = self.line(&node) {
                    line.set_message("has its data");
                }
            }
            _ => {}
        }
    }
}
