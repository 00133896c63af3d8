//! The line protocol of the programs in `benchmarks/rivals`.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use lacon_tokens::EncodingName;

use super::Sample;
use lacon::failure::Failure;

/// The running program of the rivals: a request and an answer are a line each.
pub struct Rivals {
    program: PathBuf,
    name: EncodingName,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// Whether it has seen a text.
    asked: bool,
}

impl Rivals {
    /// Starts a program of `benchmarks/rivals` and returns the names of its contenders.
    pub fn start(program: &Path, name: EncodingName) -> Result<(Self, Vec<String>), Failure> {
        let cannot = |e: &dyn std::fmt::Display| {
            Failure::input(format!(
                "{}: the rivals cannot be run: {e}\nhint: benchmarks/rivals/prepare.sh builds them",
                program.display()
            ))
        };
        let mut child = Command::new(program)
            .arg(name.as_str())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| cannot(&e))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(cannot(&"no pipe to it"));
        };
        let output = BufReader::new(output);
        let mut rivals = Self { program: program.to_owned(), name, child, input, output, asked: false };
        let names = rivals.line()?;
        let names = names.split('\t').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        Ok((rivals, names))
    }

    /// Starts the program again if it has seen a text.
    pub fn restart(&mut self) -> Result<(), Failure> {
        if !self.asked {
            return Ok(());
        }
        *self = Self::start(&self.program.clone(), self.name)?.0;
        Ok(())
    }

    /// One measurement.
    pub fn ask(&mut self, name: &str, corpus: &Path) -> Result<Sample, Failure> {
        self.asked = true;
        writeln!(self.input, "{name}\t{}", corpus.display())
            .and_then(|()| self.input.flush())
            .map_err(|e| Failure::input(format!("the rivals' program ended: {e}")))?;
        let line = self.line()?;
        let mut fields = line.split('\t');
        let mut next = || fields.next().and_then(|field| field.parse::<f64>().ok());
        match (next(), next()) {
            (Some(tokens), Some(seconds)) => Ok(Sample { tokens: tokens as usize, seconds }),
            _ => Err(Failure::input(format!("the rivals' program answered {line:?}"))),
        }
    }

    fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        let n = self.output.read_line(&mut line).map_err(|e| Failure::input(format!("rivals: {e}")))?;
        if n == 0 {
            return Err(Failure::input("the rivals' program ended without an answer"));
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Rivals {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
