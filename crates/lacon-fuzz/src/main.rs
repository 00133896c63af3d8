//! Runs targets for some seconds each: kept crashes first, then changed seeds. `lacon-fuzz TARGET|all SECONDS [SEED]`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line like the binary")]

use std::{
    process::ExitCode,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use lacon_fuzz::{TARGETS, Target, drive};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let name = arguments.first().map_or("all", String::as_str);
    let number =
        |i: usize, otherwise: u64| arguments.get(i).map_or(Some(otherwise), |text| text.parse().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_nanos() as u64);
    let targets: Vec<&Target> = TARGETS.iter().filter(|t| name == "all" || t.name == name).collect();
    let (Some(seconds), Some(seed), false) = (number(1, 30), number(2, now), targets.is_empty()) else {
        let known: Vec<_> = TARGETS.iter().map(|t| t.name).collect();
        eprintln!("usage: lacon-fuzz TARGET|all SECONDS [SEED]\nhint: targets are {}", known.join(", "));
        return ExitCode::from(2);
    };
    println!("seed {seed}");
    for target in targets {
        for path in drive::crashes(target) {
            (target.run)(&std::fs::read(&path).expect("a kept crash is readable"));
        }
        let end = Instant::now() + Duration::from_secs(seconds);
        match drive::fuzz(target, seed, |_| Instant::now() < end) {
            Ok(n) => println!("{}: {n} inputs in {seconds} s, no crash", target.name),
            Err(drive::Crash(path)) => {
                eprintln!("{}: crash kept as {}", target.name, path.display());
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
