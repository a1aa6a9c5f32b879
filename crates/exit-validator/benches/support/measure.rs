//! What a program takes.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

/// CPU seconds, and megabytes of resident memory at most.
pub fn measure(command: &mut Command) -> (f64, f64) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let of = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", child.id()));
    let mut most = 0.0_f64;
    let ticks = loop {
        // VmHWM is the high-water mark: the last look before the end is what counts.
        if let Ok(text) = of("status")
            && let Some(line) = text.lines().find(|line| line.starts_with("VmHWM:"))
        {
            let kilobytes: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
            most = most.max(kilobytes / 1000.0);
        }
        // What has ended and is not waited for still tells its times: proc_pid_stat(5), in ticks of
        // a hundredth of a second. The name before them may hold anything but the last bracket.
        let stat = of("stat").unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        if fields[0] == "Z" {
            break fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>();
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let status = child.wait().unwrap();
    assert!(status.success(), "{command:?}: {status}");
    (ticks / 100.0, most)
}
