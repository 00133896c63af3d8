//! A tool that reads the files of one folder and nothing beside it.

use std::path::{Path, PathBuf};

use lacon_llm::BoxFuture;
use lacon_runtime::{ToolError, ToolRequest, ToolSource, ToolText};
use serde_json::Value;

use crate::answer::bounded;

/// Most names that are listed.
const MAX_NAMES: usize = 500;

/// Answers `{"path": …}`: of a file its text, of a folder (or without a path) the names in it.
pub(super) struct Folder {
    root: PathBuf,
    max_bytes: usize,
}

impl Folder {
    pub(super) fn new(root: &str, max_bytes: usize) -> Result<Self, String> {
        let root = Path::new(root).canonicalize().map_err(|error| {
            format!("reads folder {root:?}, which cannot be opened: {error}\nhint: the path counts from where lacon runs")
        })?;
        Ok(Self { root, max_bytes })
    }

    fn read(&self, path: &str) -> Result<String, ToolError> {
        let wrong = |why: &str| ToolError::BadRequest(format!("path {path:?} {why}"));
        // Links are followed before the comparison, so that none leads out.
        let found = self.root.join(path.trim_start_matches('/')).canonicalize();
        let found = found.map_err(|_| wrong("is not there"))?;
        if !found.starts_with(&self.root) {
            return Err(wrong("leads out of the folder"));
        }
        if found.is_dir() {
            return self.list(&found).map_err(|error| ToolError::Failed(error.to_string()));
        }
        let size = found.metadata().map_err(|error| ToolError::Failed(error.to_string()))?.len();
        if size > 64 << 20 {
            return Err(wrong("is larger than 64 MB"));
        }
        let bytes = std::fs::read(&found).map_err(|error| ToolError::Failed(error.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|_| wrong("is no text"))?;
        Ok(bounded(&text, self.max_bytes.saturating_add(1)).to_owned())
    }

    fn list(&self, folder: &Path) -> std::io::Result<String> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder)?.take(MAX_NAMES) {
            let entry = entry?;
            let mark = if entry.path().is_dir() { "/" } else { "" };
            names.push(format!("{}{mark}", entry.file_name().to_string_lossy()));
        }
        names.sort();
        Ok(names.join("\n"))
    }
}

impl ToolSource for Folder {
    fn call<'a>(&'a self, request: &'a ToolRequest) -> BoxFuture<'a, Result<ToolText, ToolError>> {
        let path = request.arguments.get("path").and_then(Value::as_str).unwrap_or_default();
        let read = self.read(path).map(|text| ToolText { no_data: text.is_empty(), text });
        Box::pin(std::future::ready(read))
    }

    fn describe(&self) -> String {
        "files of a folder".into()
    }

    fn simulated(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_beside_the_folder_is_read() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("docs");
        std::fs::create_dir_all(root.join("sub")).unwrap();
        std::fs::write(root.join("a.md"), "hello").unwrap();
        std::fs::write(outer.path().join("secret"), "no").unwrap();
        let folder = Folder::new(root.to_str().unwrap(), 1000).unwrap();
        assert_eq!(folder.read("a.md").unwrap(), "hello");
        assert_eq!(folder.read("").unwrap(), "a.md\nsub/");
        for path in ["../secret", "/../secret", "sub/../../secret", "nothing"] {
            assert!(matches!(folder.read(path), Err(ToolError::BadRequest(_))), "{path}");
        }
        assert!(Folder::new("no such folder", 1).is_err());
    }
}
