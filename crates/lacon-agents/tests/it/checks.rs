//! Every fault of a team file is listed with line, value and hint.

use crate::support::{faults, team};

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let found = faults(text);
    for part in expected {
        assert!(found.contains(part), "expected {part:?} in:\n{found}");
    }
}

const HEAD: &str = "[team]\nname = \"t\"\n";

#[test]
fn a_cycle_is_named_in_full() {
    let text = format!(
        "{HEAD}[[agent]]\nname = \"a\"\nprompt = \"x\"\nreads = [\"c\"]\n[[agent]]\nname = \"b\"\nprompt = \"x\"\nreads = \
         [\"a\"]\n[[agent]]\nname = \"c\"\nprompt = \"x\"\nreads = [\"b\"]\n"
    );
    check(&text, &["agents wait for each other: ", "a -> b -> c", "hint: "]);
    check(
        &format!("{HEAD}[[agent]]\nname = \"a\"\nprompt = \"x\"\nreads = [\"a\"]\n"),
        &["t.toml:6: ", "a -> a"],
    );
}

#[test]
fn unknown_names_have_the_nearest_one() {
    let text = format!(
        "{HEAD}inputs = {{ topic = \"text\" }}\nresult = \"writr\"\n[[agent]]\nname = \"writer\"\nprompt = \"{{topik}} {{item}}\"\n\
         reads = [\"sercher\", \"input:topc\"]\ntools = [\"serch\"]\neach = \"questions\"\n[[agent]]\nname = \"searcher\"\nprompt = \
         \"{{writer}}\"\n[[tool]]\nname = \"search\"\n"
    );
    check(
        &text,
        &[
            "result \"writr\" is no agent\nhint: did you mean \"writer\"?",
            "placeholder {topik}\nhint: did you mean \"topic\"?",
            "reads \"sercher\", which is no agent\nhint: did you mean \"searcher\"?",
            "reads input \"topc\", which is not declared\nhint: did you mean \"topic\"?",
            "uses tool \"serch\", which is not declared\nhint: did you mean \"search\"?",
            "fans out over \"questions\", which is no list",
            "texts of agents are not placed in prompts: add reads = [\"writer\"]",
            "tool \"search\" has no server\nhint: add http",
        ],
    );
}

#[test]
fn limits_are_named_with_the_value() {
    let agents: String = (0..65).map(|i| format!("[[agent]]\nname = \"a{i}\"\nprompt = \"x\"\n")).collect();
    check(&format!("{HEAD}{agents}"), &["the team has 65 agents, 1 to 64 are possible"]);
    let long = "x".repeat((256 << 10) + 1);
    check(
        &format!("{HEAD}[[agent]]\nname = \"a\"\nprompt = \"{long}\"\n"),
        &["has 262145 bytes, at most 262144"],
    );
    check(&"#".repeat((1 << 20) + 1), &["the file has 1048577 bytes"]);
    check(
        &format!(
            "{HEAD}[[agent]]\nname = \"a\"\nprompt = \"x\"\nwords = 50000\n[loop.l]\nagents = [\"a\"]\nrounds = 99\n"
        ),
        &["words is 50000, at most 20000", "loop \"l\" has 99 rounds, at most 20"],
    );
    check(HEAD, &["the team has 0 agents"]);
}

#[test]
fn braces_have_to_be_meant() {
    check(
        &format!("{HEAD}[[agent]]\nname = \"a\"\nprompt = \"give {{ \\\"k\\\": 1 }}\"\n"),
        &["t.toml:5: prompt of agent \"a\"", "between braces is no name", "write {{ and }}"],
    );
    team(
        "[[agent]]\nname = \"größe\"\nprompt = \"give {{ \\\"k\\\": 1 }}\"\n[[agent]]\nname = \"b\"\nprompt = \"x\"\nreads = [\"größe\"]\n",
    );
}

#[test]
fn rounds_routes_and_decisions_have_to_be_possible() {
    let text = format!(
        "{HEAD}decision = {{ agent = \"a\", values = [\"yes\"] }}\n[[agent]]\nname = \"a\"\nprompt = \"x\"\n[[agent]]\nname = \
         \"b\"\nprompt = \"x\"\nwhen = {{ agent = \"a\", says = \"no\" }}\n[[agent]]\nname = \"c\"\nprompt = \"x\"\noutput = {{ list = \"l\" }}\n\
         [[agent]]\nname = \"d\"\nprompt = \"{{item}}\"\neach = \"l\"\nwhen = {{ agent = \"d\", says = \"x,y\" }}\n[group.g]\nagents = [\"d\", \"nobody\"]\n\
         until = {{ agent = \"a\", says = \"stop\" }}\n"
    );
    check(
        &text,
        &[
            "the decision: 1 values, 2 to 24 are needed",
            "\"a\" decides and can never say \"no\"",
            "agent \"d\" cannot choose: it fans out",
            "value \"x,y\" cannot be chosen",
            "agent \"d\" fans out or has a condition",
            "group \"g\": \"nobody\" is no agent",
            "group \"g\" ends by what \"a\" says, who is not in it",
        ],
    );
}

#[test]
fn tools_have_one_server_and_sane_limits() {
    check(
        &format!(
            "{HEAD}[[agent]]\nname = \"a\"\nprompt = \"x\"\ntools = [\"t\"]\nprefetch = {{ t = {{ q = \"{{nothing}}\", z = \"1\" }} }}\n\
             [[tool]]\nname = \"t\"\nhttp = \"ftp://x\"\nsimulated = true\narguments = {{ q = \"\" }}\ntimeout_s = -1\n[[tool]]\nname = \"ü\"\nmcp = {{ tool = \"x\" }}\n"
        ),
        &[
            "tool \"t\" has several servers",
            "\"ftp://x\" is no URL",
            "timeout_s is -1",
            "tool name \"ü\" cannot be used",
            "mcp needs a tool, and a command or a URL",
            "nobody fills the placeholder {nothing}",
            "add inputs = { nothing = \"text\" } to [team], or write {{nothing}}",
            "t.z: the tool has no such argument",
        ],
    );
}

#[test]
fn a_wrong_type_has_its_line() {
    check(
        &format!("{HEAD}[[agent]]\nname = \"a\"\nprompt = \"x\"\nwords = \"many\"\n"),
        &["t.toml:6: invalid type"],
    );
    check(
        &format!("{HEAD}[profile.p]\noptimizations = [\"prefech\"]\n"),
        &["unknown optimization \"prefech\"", "did you mean prefetch?"],
    );
}
