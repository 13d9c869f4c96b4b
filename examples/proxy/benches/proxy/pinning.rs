//! Which core a program runs on, as far as the machine lets that be said.

use std::{
    ffi::OsStr,
    io,
    process::{self, Command, Stdio},
    thread,
};

const PROXY_CORE: &str = "0";
const CALLERS_CORE: &str = "1";

pub(crate) struct Pinning {
    /// Why nothing is pinned.
    pub(crate) missing: Option<&'static str>,
}

impl Pinning {
    pub(crate) fn of_this_machine() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let can_pin_to = |core| {
            Command::new("taskset")
                .args(["-c", core, "true"])
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        };
        let missing = if cores < 2 {
            Some("there is one core only")
        } else if can_pin_to(PROXY_CORE) && can_pin_to(CALLERS_CORE) {
            None
        } else {
            Some("there is no taskset, or it may not use the first two cores")
        };
        Self { missing }
    }

    /// From now on this process, callers and upstream, keeps off the proxies' core.
    pub(crate) fn pin_callers(&self) -> io::Result<()> {
        if self.missing.is_none() {
            Command::new("taskset")
                .args(["-a", "-c", "-p", CALLERS_CORE, &process::id().to_string()])
                .stdout(Stdio::null())
                .status()?;
        }
        Ok(())
    }

    /// A program that has the proxies' core only.
    pub(crate) fn proxy(&self, program: impl AsRef<OsStr>) -> Command {
        if self.missing.is_some() {
            return Command::new(program);
        }
        let mut command = Command::new("taskset");
        command.args(["-c", PROXY_CORE]).arg(program);
        command
    }
}
