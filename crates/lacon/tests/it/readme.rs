//! The commands that the README shows run as shown.

use crate::support::Folder;

#[test]
fn readme_examples() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let folder = Folder::new();
    let mut n = 0;
    // Blocks marked `console` hold commands behind `$ ` that need neither key nor network.
    for block in readme.split("```console\n").skip(1).map(|b| b.split("```").next().unwrap()) {
        for line in block.lines().filter_map(|l| l.strip_prefix("$ lacon ")) {
            let args: Vec<&str> = line.split_whitespace().collect();
            let done = folder.lacon(&args);
            assert_eq!(done.code, 0, "lacon {line}\n{}{}", done.out, done.err);
            n += 1;
        }
    }
    assert!(n >= 3, "the README shows {n} commands");
}
