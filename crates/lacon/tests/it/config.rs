//! Settings: default, file, environment, flag; unknown ones are errors.

use crate::support::{Done, Folder};

#[test]
fn each_origin_beats_the_one_before() {
    let folder = Folder::new();
    let show = |env: &[(&str, &str)]| -> Done {
        let mut command = folder.command(&["config", "show", "--origin", "--json"]);
        command.envs(env.iter().copied());
        command.output().unwrap().into()
    };
    let value = |done: &Done, key: &str| {
        let json = done.json();
        let row = &json["settings"][key];
        (row["value"].as_str().unwrap().to_owned(), row["origin"].as_str().unwrap().to_owned())
    };
    assert_eq!(value(&show(&[]), "run.profile"), ("lacon".into(), "default".into()));
    folder.write("lacon.toml", "[run]\nprofile = \"seed\"\ndisable = [\"prefetch\", \"hedge\"]\n");
    // The profile's old spelling is still read.
    assert_eq!(value(&show(&[]), "run.profile"), ("baseline".into(), "file lacon.toml".into()));
    assert_eq!(value(&show(&[]), "run.disable").0, "prefetch,hedge");
    let done = show(&[("LACON_RUN_PROFILE", "lacon")]);
    assert_eq!(value(&done, "run.profile"), ("lacon".into(), "environment LACON_RUN_PROFILE".into()));
}

#[test]
fn a_key_is_never_shown() {
    let folder = Folder::new();
    let done: Done = folder
        .command(&["config", "show", "--origin"])
        .env("OPENAI_API_KEY", "sk-secret")
        .output()
        .unwrap()
        .into();
    assert!(!done.out.contains("sk-secret") && done.out.contains("[hidden]"), "{}", done.out);
}

/// Keys that nothing read and keys that nothing declared were the rule in the original system.
#[test]
fn defect_18_unknown_settings_are_errors() {
    let folder = Folder::new();
    for (text, message) in [
        (
            "[run]\nprofil = \"seed\"\n",
            "unknown key \"run.profil\" in lacon.toml\nhint: did you mean run.profile?",
        ),
        ("profile = \"seed\"\n", "unknown key \"profile\""),
        (
            "[run]\ndeadline_s = \"soon\"\n",
            "run.deadline_s is \"soon\", a number from 0 to 86400 is needed (file lacon.toml)",
        ),
        ("[run\n", "lacon.toml: "),
    ] {
        folder.write("lacon.toml", text);
        folder.lacon(&["config", "show"]).fails(2, message);
    }
    std::fs::remove_file(folder.path().join("lacon.toml")).unwrap();
    let done: Done =
        folder.command(&["config", "show"]).env("LACON_RUN_PROFIL", "seed").output().unwrap().into();
    assert_eq!(done.code, 0);
    assert!(
        done.err.contains(
            "variable LACON_RUN_PROFIL is no setting and has no effect\nhint: did you mean LACON_RUN_PROFILE?"
        ),
        "{}",
        done.err
    );
    let done: Done =
        folder.command(&["config", "show"]).env("LACON_LOG_LEVEL", "ERROR").output().unwrap().into();
    assert!(done.code == 0 && done.out.contains("log.level                    error"), "{}", done.out);
    folder.lacon(&["config", "show", "--config", "none.toml"]).fails(2, "none.toml: cannot be read");
}

/// Every declared setting is read somewhere in the program's source.
#[test]
fn defect_18_every_setting_has_a_reader() {
    let crates = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut source = String::new();
    for part in ["lacon/src", "lacon/src/commands", "lacon/src/commands/team"] {
        for entry in std::fs::read_dir(crates.join(part)).unwrap().flatten().filter(|e| e.path().is_file()) {
            source.push_str(&std::fs::read_to_string(entry.path()).unwrap());
        }
    }
    for setting in lacon_runtime::settings::SETTINGS {
        let reads = ["text", "integer", "number", "flag", "list", "seconds"];
        let read = reads.iter().any(|r| source.contains(&format!("{r}(\"{}\")", setting.key)));
        assert!(read, "{} is read nowhere", setting.key);
    }
}
