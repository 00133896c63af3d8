//! A journal in PostgreSQL, over TLS with a certificate of this test: any machine goes on with a run. Without a server the test says
//! so and passes; more kills and the object stores are tested from Python.

#![cfg(unix)]
#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a real server is waited for, and a skipped test says so"
)]

use std::{
    env, fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::support::{Done, Folder};

/// A server that takes no connection without TLS and a password; gone with this.
struct Postgres {
    folder: tempfile::TempDir,
    programs: PathBuf,
    port: u16,
    root: bool,
}

/// Where the server's programs are: in the path, or where Debian has them.
fn programs() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = debian.map(|version| version.path().join("bin"));
    env::split_paths(&path)
        .chain(debian)
        .find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
}

/// The user and group that run nothing else.
const NOBODY: u32 = 65_534;

impl Postgres {
    fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            eprintln!("skipped: there is no PostgreSQL here");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // The server refuses to run as root.
        let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        for (name, text) in [
            ("cert.pem", made.cert.pem()),
            ("key.pem", made.signing_key.serialize_pem()),
            ("word", "a word of this test\n".to_owned()),
            ("hba", "hostssl all all 127.0.0.1/32 scram-sha-256\n".to_owned()),
        ] {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            if root {
                std::os::unix::fs::chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        if root {
            std::os::unix::fs::chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let postgres = Self { folder, programs, port, root };
        postgres.works("initdb", &["-D", "data", "-U", "lacon", "-A", "scram-sha-256", "--pwfile", "word"]);
        let at = |name: &str| postgres.folder.path().join(name).display().to_string();
        let told = format!(
            "-p {port} -k {} -c listen_addresses=127.0.0.1 -c hba_file={} -c ssl=on -c ssl_cert_file={} -c ssl_key_file={}",
            postgres.folder.path().display(),
            at("hba"),
            at("cert.pem"),
            at("key.pem"),
        );
        postgres.works("pg_ctl", &["-D", "data", "-o", &told, "-l", "log", "-w", "start"]);
        Some(postgres)
    }

    fn program(&self, name: &str, words: &[&str]) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.args(words).current_dir(self.folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
        if self.root {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    fn works(&self, name: &str, words: &[&str]) {
        assert!(self.program(name, words).status().unwrap().success(), "{name} {words:?}");
    }

    fn url(&self, more: &str) -> String {
        format!("postgres://lacon:a%20word%20of%20this%20test@127.0.0.1:{}/postgres{more}", self.port)
    }

    /// A run on a machine of its own, that trusts these certificates.
    fn command(&self, folder: &Folder, url: &str, trusted: &Path, more: &[&str]) -> Command {
        let run =
            ["run", "debate", "--llm", "sim", "--input", "question=Is it?", "--run-id", "a1", "--seed", "3"];
        let mut command = folder.command(&[&run, more].concat());
        command
            .env("LACON_RUN_JOURNAL_AT", url)
            .env("LACON_RUN_JOURNAL_LEASE_S", "2")
            .env("SSL_CERT_FILE", trusted);
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.program("pg_ctl", &["-D", "data", "-m", "immediate", "-w", "stop"]).status());
    }
}

#[test]
fn a_run_whose_worker_was_killed_goes_on_elsewhere_over_tls() {
    let Some(postgres) = Postgres::start() else { return };
    let (url, cert) = (postgres.url("?sslmode=require"), postgres.folder.path().join("cert.pem"));
    let done = |url: &str, trusted: &Path, more: &[&str]| -> Done {
        postgres.command(&Folder::new(), url, trusted, more).output().unwrap().into()
    };
    // A certificate that nobody trusts, and no TLS.
    let other = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let folder = Folder::new();
    let stranger = folder.write("cert.pem", &other.cert.pem());
    done(&url, &stranger, &[]).fails(3, "certificate");
    done(&postgres.url(""), &cert, &[]).fails(3, "no encryption");
    // Killed after its first answer.
    let first = Folder::new();
    let mut command = postgres.command(&first, &url, &cert, &["--time-scale", "0.05", "--events"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let answered = lines.map_while(Result::ok).any(|line| line.contains("\"answered\""));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(answered);
    let fast = ["--time-scale", "0", "--json"];
    let began = Instant::now();
    let second = loop {
        let tried = done(&url, &cert, &fast);
        if tried.code == 0 {
            break tried;
        }
        tried.fails(2, "is in use by process");
        assert!(began.elapsed() < Duration::from_secs(60), "the lease never ends");
        std::thread::sleep(Duration::from_millis(200));
    };
    let record: Value = serde_json::from_str(&second.out).unwrap();
    let alone: Done = Folder::new().lacon(&[
        "run",
        "debate",
        "--llm",
        "sim",
        "--input",
        "question=Is it?",
        "--run-id",
        "a1",
        "--seed",
        "3",
        "--time-scale",
        "0",
        "--json",
    ]);
    let alone = alone.json();
    assert_eq!((&record["status"], &record["result"]), (&alone["status"], &alone["result"]));
    assert_eq!(record["calls"].as_array().unwrap().len(), alone["calls"].as_array().unwrap().len());
    // It has ended, for everybody.
    let third = done(&url, &cert, &fast);
    assert!(third.err.contains("it has ended"), "{}", third.err);
    assert_eq!(third.json(), record);
}
