//! Starts the binary in an empty folder without the user's settings.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lacon"));
        command.args(args).current_dir(self.path()).env_remove("OPENAI_API_KEY").env("NO_COLOR", "1");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("LACON_") {
                command.env_remove(name);
            }
        }
        // The doubles of these tests answer by role.
        command.env("LACON_LLM_HEADERS", "true");
        command
    }

    pub fn lacon(&self, args: &[&str]) -> Done {
        self.command(args).output().unwrap().into()
    }
}

pub struct Done {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Done {
    #[track_caller]
    pub fn fails(&self, code: i32, message: &str) {
        assert!(self.err.contains(message), "expected {message:?} in:\n{}\n{}", self.err, self.out);
        assert_eq!(self.code, code, "{}\n{}", self.err, self.out);
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, 0, "{}", self.err);
        serde_json::from_str(&self.out).unwrap()
    }
}
