//! The Python package: built, installed into an environment of its own below `target/`, tested there.
//!
//! Where there is no Python, or no package index to have maturin and pytest from, that is said and passes: nothing else here needs
//! either.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Instant,
};

use anyhow::{Context, Result, bail};

use crate::{root, say};

/// The oldest Python that one wheel serves.
const OLDEST: &str = "(3, 10)";
/// What the adapters are tested with: packages of the index, and the names that they are imported by. With looser bounds pip looks
/// for minutes through versions that do not go together.
const ADAPTED: (&[&str], &str) = (
    &[
        "langgraph>=1.2",
        "langchain>=1.5",
        "langchain-core>=1.8",
        "openai>=3.50",
        "anthropic>=2.10",
        "litellm>=1.110",
        "openai-agents>=0.24",
        "pydantic-ai-slim[openai]>=2.68",
        "llama-index-core>=0.14.25",
        "mypy>=1.15",
        "pyright>=1.1.400",
        "pyarrow>=20",
        "polars>=1.30",
        "datafusion>=50",
        "dbos>=3.4",
        "temporalio>=1.35",
    ],
    "langgraph, langchain, langchain_core, openai, anthropic, litellm, agents, pydantic_ai, llama_index.core, mypy, pyright, pyarrow, polars, datafusion, dbos, temporalio",
);
const INSTALL: [&str; 8] = ["-m", "pip", "install", "--quiet", "--timeout", "15", "--retries", "1"];
/// Runs a command and ends it after so many seconds; Python has a wait with a limit, Rust's library has none.
const BOUNDED: &str = "import subprocess, sys\n\
    try: sys.exit(subprocess.run(sys.argv[2:], timeout=float(sys.argv[1])).returncode)\n\
    except subprocess.TimeoutExpired: sys.exit('took longer than ' + sys.argv[1] + ' s')";

/// The Python of an environment below a folder that has maturin and pytest; None, with a message, where that cannot be had.
fn environment(folder: &Path) -> Result<Option<String>> {
    let Some(python) = interpreter() else {
        say("== python: skipped, there is no Python 3.10 or later with venv here");
        return Ok(None);
    };
    let inside = made(&python, &folder.join("venv"))?;
    if !bounded(&inside, "60", &[&inside, "-c", "import maturin, pytest"])?.status.success() {
        let wanted = [&[&*inside], &INSTALL[..], &["maturin>=1.16,<2", "pytest>=8"]].concat();
        let installed = bounded(&inside, "300", &wanted)?;
        if !installed.status.success() {
            say(&format!("== python: skipped, maturin and pytest cannot be had: {}", last_line(&installed)));
            return Ok(None);
        }
    }
    Ok(Some(inside))
}

/// Makes an environment, unless it is there, and names its Python.
fn made(python: &str, venv: &Path) -> Result<String> {
    let inside = venv.join(if cfg!(windows) { "Scripts" } else { "bin" }).join("python");
    if !inside.exists() {
        let made = bounded(python, "120", &[python, "-m", "venv", &text(venv)])?;
        if !made.status.success() {
            bail!("no environment could be made: {}", last_line(&made));
        }
    }
    Ok(text(&inside))
}

/// Builds the source package, and the wheel that is shipped, which holds the module and the command, into a folder. Both are run in an environment that has
/// nothing else. Returns the names of the files; none, with a message, where there is no Python or no maturin.
pub fn ship(binary: &Path, into: &Path) -> Result<Vec<String>> {
    let folder = target()?.join("python");
    let Some(inside) = environment(&folder)? else { return Ok(Vec::new()) };
    let package = root().join("crates/lacon-python");
    let place = package.join("python/lacon/bin");
    fs::create_dir_all(&place).with_context(|| format!("cannot make {}", place.display()))?;
    let name = format!("lacon{}", std::env::consts::EXE_SUFFIX);
    fs::copy(binary, place.join(&name)).with_context(|| format!("cannot copy {}", binary.display()))?;
    let out = folder.join("shipped");
    let _ = fs::remove_dir_all(&out);
    let manifest = text(&package.join("Cargo.toml"));
    say("== dist: maturin build");
    let build =
        ["-m", "maturin", "build", "--quiet", "--locked", "--release", "--out", &text(&out), "-m", &manifest];
    let wheel = show(&inside, "3600", &[&[&*inside], &build[..]].concat(), &folder);
    let source = ["-m", "maturin", "sdist", "--quiet", "--out", &text(&out), "-m", &manifest];
    let wheel = wheel.and_then(|()| show(&inside, "120", &[&[&*inside], &source[..]].concat(), &folder));
    // A build of the module alone holds no command.
    let _ = fs::remove_dir_all(&place);
    wheel?;
    let clean = folder.join("clean");
    let _ = fs::remove_dir_all(&clean);
    let python = made(&inside, &clean)?;
    install(&python, &text(&out), &folder)?;
    let script = text(&Path::new(&python).with_file_name(format!("lacon{}", std::env::consts::EXE_SUFFIX)));
    let module = "import lacon; assert lacon.count('hello') == 1 and lacon.expand(lacon.compress('text').text) == 'text'";
    for check in [
        &[&*python, "-I", "-c", module][..],
        &[&python, "-I", "-m", "lacon", "--version"],
        &[&script, "--version"],
    ] {
        show(&python, "60", check, &folder)?;
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(&out)? {
        let entry = entry?;
        fs::copy(entry.path(), into.join(entry.file_name())).context("cannot copy a package")?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Builds the wheel (development profile; the counting and compressing crates are optimized there too), installs and tests it.
pub fn run() -> Result<()> {
    let began = Instant::now();
    let folder = target()?.join("python");
    let Some(inside) = environment(&folder)? else { return Ok(()) };
    // Tests of the adapters skip where these are missing; with them they run.
    if !bounded(&inside, "60", &[&inside, "-c", &format!("import {}", ADAPTED.1)])?.status.success() {
        let installed = bounded(&inside, "600", &[&[&*inside], &INSTALL[..], ADAPTED.0].concat())?;
        if !installed.status.success() {
            let why = last_line(&installed);
            say(&format!(
                "== python: tests of the adapters are skipped, their packages cannot be had: {why}"
            ));
        }
    }
    let package = text(&root().join("crates/lacon-python"));
    let wheels = text(&folder.join("wheels"));
    let _ = fs::remove_dir_all(&wheels);
    let manifest = format!("{package}/Cargo.toml");
    for check in [
        &["fmt", "--check", "--manifest-path", &*manifest][..],
        &["clippy", "--quiet", "--locked", "--manifest-path", &manifest, "--", "-D", "warnings"],
    ] {
        say(&format!("== python: cargo {}", check[0]));
        show(&inside, "1800", &[&["cargo"], check].concat(), &folder)?;
    }
    say("== python: maturin build");
    let build = [
        &*inside,
        "-m",
        "maturin",
        "build",
        "--quiet",
        "--locked",
        "--profile",
        "dev",
        "--out",
        &wheels,
        "-m",
        &manifest,
    ];
    show(&inside, "1800", &build, &folder)?;
    install(&inside, &wheels, &folder)?;
    say("== python: pytest");
    let tests = format!("{package}/tests");
    show(
        &inside,
        "1800",
        &[&inside, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", &package, &tests],
        &folder,
    )?;
    say(&format!("== python: ok in {:.0} s", began.elapsed().as_secs_f64()));
    Ok(())
}

/// A Python that can make environments.
pub(crate) fn interpreter() -> Option<String> {
    let test = format!("import ensurepip, sys, venv; sys.exit(sys.version_info < {OLDEST})");
    ["python3", "python"].into_iter().map(str::to_owned).find(|python| {
        Command::new(python).args(["-c", &test]).output().is_ok_and(|output| output.status.success())
    })
}

/// Cargo's folder for what is built.
pub(crate) fn target() -> Result<PathBuf> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .context("cannot start cargo metadata")?;
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("cargo metadata gave no JSON")?;
    Ok(PathBuf::from(metadata["target_directory"].as_str().context("cargo metadata names no folder")?))
}

/// Installs the wheel of a folder, and nothing beside it.
fn install(python: &str, wheels: &str, folder: &Path) -> Result<()> {
    let from =
        ["--no-index", "--no-deps", "--force-reinstall", "--only-binary", ":all:", "--find-links", wheels];
    show(python, "120", &[&[python][..], &INSTALL[..4], &from, &["lacon"]].concat(), folder)
}

fn command(python: &str, seconds: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(python);
    command.args(["-c", BOUNDED, seconds]).args(arguments).current_dir(root());
    command
}

pub(crate) fn bounded(python: &str, seconds: &str, arguments: &[&str]) -> Result<Output> {
    command(python, seconds, arguments).output().with_context(|| format!("cannot start {python}"))
}

/// Runs a step whose output is shown; its failure is one.
fn show(python: &str, seconds: &str, arguments: &[&str], folder: &Path) -> Result<()> {
    let mut command = command(python, seconds, arguments);
    // A folder of its own: the package is a workspace of its own, and would build the same crates anew again and again.
    command.env("CARGO_TARGET_DIR", folder.join("build")).env("PYTHONDONTWRITEBYTECODE", "1");
    // Teams are tried with the command of this workspace, where it is built.
    let built = target()?.join("debug").join(format!("lacon{}", std::env::consts::EXE_SUFFIX));
    if built.is_file() {
        command.env("LACON_BINARY", built);
    }
    let status = command.status().with_context(|| format!("cannot start {python}"))?;
    if !status.success() {
        bail!("{} failed", arguments.join(" "));
    }
    Ok(())
}

pub(crate) fn text(path: &Path) -> String {
    path.display().to_string()
}

pub(crate) fn last_line(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().lines().last().unwrap_or("it says nothing").to_owned()
}
