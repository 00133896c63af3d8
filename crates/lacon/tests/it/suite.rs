//! `lacon verify` and `lacon bench` without and with the program that they are passed on to.

use crate::support::Folder;

#[test]
#[cfg(unix)]
fn the_suite_is_found_beside_the_binary() {
    let folder = Folder::new();
    let binary = folder.path().join("lacon");
    std::fs::copy(env!("CARGO_BIN_EXE_lacon"), &binary).unwrap();
    let line = ["--log-level", "error", "verify", "--full-test", "--kills", "3"];
    let alone = std::process::Command::new(&binary).args(line).output().unwrap();
    let err = String::from_utf8(alone.stderr).unwrap();
    assert!(alone.status.code() == Some(2) && err.contains("lacon-verify is missing"), "{err}");
    assert!(err.contains("cargo xtask verify"), "{err}");

    let suite = folder.write("lacon-verify", "#!/bin/sh\necho \"$@\"\nexit 7\n");
    std::fs::set_permissions(&suite, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let beside = std::process::Command::new(&binary).args(line).output().unwrap();
    assert_eq!(beside.status.code(), Some(7));
    assert_eq!(String::from_utf8(beside.stdout).unwrap().trim(), line.join(" "));
    let help = std::process::Command::new(&binary).args(["bench", "run", "--help"]).output().unwrap();
    assert_eq!(String::from_utf8(help.stdout).unwrap().trim(), "bench run --help");
}
