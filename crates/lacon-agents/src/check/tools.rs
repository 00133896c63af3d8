//! What may be wrong with a tool.

use super::{Checker, MAX_TOOLS};
use crate::team::Tool;

impl Checker<'_> {
    pub(super) fn tools(&mut self) {
        let team = self.team;
        let n = team.tools.len();
        if n > MAX_TOOLS {
            self.fault(
                "tool",
                format!("the team has {n} tools, at most {MAX_TOOLS} are possible"),
                "remove some",
            );
        }
        for (i, tool) in team.tools.iter().enumerate() {
            let path = format!("tool.{i}");
            let fits = (1..=64).contains(&tool.name.len())
                && tool.name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if !fits {
                let problem = format!("tool name {:?} cannot be used", tool.name);
                self.fault(format!("{path}.name"), problem, "1 to 64 ASCII letters, digits or '_'");
            }
            if team.tools[..i].iter().any(|other| other.name == tool.name) {
                let problem = format!("tool {:?} is declared twice", tool.name);
                self.fault(format!("{path}.name"), problem, "rename one of them");
            }
            self.server(&path, tool);
            self.tool_limits(&path, tool);
        }
    }

    fn server(&mut self, path: &str, tool: &Tool) {
        let name = &tool.name;
        let servers =
            [!tool.http.is_empty(), tool.mcp.is_some(), !tool.folder.is_empty(), tool.simulated, tool.code];
        match servers.iter().filter(|given| **given).count() {
            1 => {}
            0 => self.fault(
                path,
                format!("tool {name:?} has no server"),
                "add http = \"http://…\", folder = \"DIR\", mcp = { command, tool }, simulated = true, or code = true",
            ),
            _ => self.fault(path, format!("tool {name:?} has several servers"), "keep one"),
        }
        if !tool.http.is_empty() && !["http://", "https://"].iter().any(|p| tool.http.starts_with(p)) {
            let problem = format!("tool {name:?}: {:?} is no URL", tool.http);
            self.fault(format!("{path}.http"), problem, "write it as http://HOST:PORT/PATH");
        }
        let Some(mcp) = &tool.mcp else { return };
        if mcp.tool.is_empty() || mcp.command.is_empty() == mcp.url.is_empty() {
            let problem = format!("tool {name:?}: mcp needs a tool, and a command or a URL");
            let hint = "mcp = { command = [\"PROGRAM\"], tool = \"NAME\" }, or url = \"http://…\"";
            self.fault(format!("{path}.mcp"), problem, hint);
        }
        if !mcp.url.is_empty() && !["http://", "https://"].iter().any(|p| mcp.url.starts_with(p)) {
            let problem = format!("tool {name:?}: {:?} is no URL", mcp.url);
            self.fault(format!("{path}.mcp.url"), problem, "write it as http://HOST:PORT/PATH");
        }
    }

    fn tool_limits(&mut self, path: &str, tool: &Tool) {
        let name = &tool.name;
        if !(0.0..=3600.0).contains(&tool.timeout_s) {
            let problem = format!("tool {name:?}: timeout_s is {}, 0 to 3600 is possible", tool.timeout_s);
            self.fault(format!("{path}.timeout_s"), problem, "seconds; 0 means 30");
        }
        if tool.max_kb > 10_240 {
            let problem = format!("tool {name:?}: max_kb is {}, at most 10240 is possible", tool.max_kb);
            self.fault(format!("{path}.max_kb"), problem, "an answer goes into a prompt: keep it short");
        }
        for argument in tool.arguments.keys() {
            let fits =
                argument.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && !argument.is_empty();
            if !fits {
                let problem = format!("tool {name:?}: argument {argument:?} cannot be named so");
                self.fault(format!("{path}.arguments.{argument}"), problem, "ASCII letters, digits or '_'");
            }
        }
    }
}
