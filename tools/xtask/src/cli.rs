//! Owns the command line: what can be asked, and the text that teaches it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

const EXIT_CODES: &str = "\
Exit codes:
  0    all is well
  1    something failed: a build, a test, a check; the last lines say what
  2    the command line is wrong
  3    the emulated machine could not be made or did not run to its end
  130  interrupted
`run` ends with the exit code of `vmm run` instead, once that has started (see `vmm --help`).";

/// Builds, runs and tests Atoll.
///
/// Servers run in micro-VMs, so most of this wants a usable /dev/kvm. Where there is none, `run` and `test`
/// say so and do the same thing in an emulated machine with AMD-V: QEMU and a Linux kernel, which are
/// Debian packages, fetched with apt into target/emulate and never installed.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build guest servers into image files (target/images/NAME.img)
    ///
    /// An image that would not change is left alone, so that its time of change means something.
    Images(ImagesArgs),
    /// Build the VMM and the images that a manifest needs, then serve in the foreground
    ///
    /// Ctrl-C stops the system. In the emulated machine the TCP gateways of the manifest are reachable
    /// at the same addresses of the host; the control socket and Unix-socket gateways stay inside.
    #[command(
        after_help = "Example:\n  cargo xtask run images/kv.toml\n  redis-cli set greeting hello"
    )]
    Run(RunArgs),
    /// Run every test that a developer must see green
    ///
    /// First the tests of the crates themselves, then the whole-system tests, which start systems of
    /// micro-VMs and drive them as clients do.
    #[command(
        after_help = "Examples:\n  cargo xtask test\n  cargo xtask test restart\n  cargo xtask test --amd-v"
    )]
    Test(TestArgs),
    /// Inject faults into running servers, and see that nobody else minds
    ///
    /// Builds the VMM and the images of echo and kv, and runs `vmm campaign` on them: `vmm campaign --help`
    /// says what is a failure. Needs a usable /dev/kvm.
    #[command(
        after_help = "Example:\n  cargo xtask campaign --faults 20000 --report docs/campaign.md"
    )]
    Campaign(CampaignArgs),
    /// Run all checks: format, lints, docs, loom, Miri, fuzzing, tests, a fault campaign, tests on emulated AMD-V
    ///
    /// Where there is more than one CPU, two at a time; what each says is kept together, and in target/ci. No more
    /// are begun after one that fails. Checks that are named run alone, one after another. Miri and fuzzing need a
    /// nightly toolchain, Miri one with the miri component; what is not there is left out and said to be, unless
    /// CI=true is set, when that is a failure.
    #[command(after_help = "Examples:\n  cargo xtask ci\n  cargo xtask ci format lints")]
    Ci(CiArgs),
    /// Measure how fast it is, beside its peers, on this machine
    ///
    /// Needs a usable /dev/kvm; `kv` and `redis` also Debian's redis-server and redis-tools: those on the
    /// PATH, or else fetched with apt into target/bench and never installed. docs/benchmarks.md says how to
    /// read the results.
    Bench(BenchArgs),
}

/// Arguments of `images`.
#[derive(Debug, Args)]
pub struct ImagesArgs {
    /// Guest servers to build; all of them if none is named
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The manifest of the system, such as images/kv.toml
    #[arg(value_name = "MANIFEST")]
    pub manifest: PathBuf,
    /// Use the emulated machine even if /dev/kvm is usable
    #[arg(long)]
    pub emulate: bool,
    /// Handed to `vmm run` as they are
    #[arg(last = true, value_name = "VMM ARGS")]
    pub vmm: Vec<OsString>,
}

/// Arguments of `test`.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Only the whole-system tests that depend on the kind of KVM, in the emulated machine
    #[arg(long)]
    pub amd_v: bool,
    /// Only tests whose name contains this
    #[arg(value_name = "FILTER")]
    pub filter: Option<String>,
    /// Handed to the test programs as they are, such as --nocapture
    #[arg(last = true, value_name = "TEST ARGS")]
    pub rest: Vec<String>,
}

/// Arguments of `ci`.
#[derive(Debug, Args)]
pub struct CiArgs {
    /// Checks to run; all of them if none is named
    #[arg(value_name = "CHECK", value_parser = crate::ci::names())]
    pub checks: Vec<String>,
}

/// Arguments of `campaign`.
#[derive(Debug, Args)]
pub struct CampaignArgs {
    /// Inject so many faults
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    pub faults: u32,
    /// Choose kinds and places by this number
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// Print one object for scripts, not tables
    #[arg(long)]
    pub json: bool,
    /// Write the report, as Markdown, to this file, too
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// Arguments of `bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What to measure.
    #[command(subcommand)]
    pub which: Bench,
}

/// What to measure.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// kv, volatile and durable, beside redis-server in three ways: throughput and latency
    ///
    /// Builds the VMM and the images, provides redis-server, and runs `vmm bench kv` on them with what
    /// follows: its options, described by `cargo xtask bench kv -- --help`.
    #[command(after_help = KV_HELP)]
    Kv(BenchVmmArgs),
    /// Throughput of kv beside redis-server, under redis-benchmark
    ///
    /// A median ratio below its bar (0.5 without pipelining, 0.7 with 16 requests at a time) is a failure.
    Redis(BenchRedisArgs),
    /// Crashes beside killed processes: from a fault to the first reply of the next incarnation
    ///
    /// Builds the VMM, the peers and the images, and runs `vmm bench restart` on them with what follows: its
    /// options, described by `cargo xtask bench restart -- --help`.
    #[command(after_help = RESTART_HELP)]
    Restart(BenchVmmArgs),
    /// Cold starts beside processes: from nothing to the first reply of 1, 10, 100 and 1,000 domains
    ///
    /// Builds the VMM, the peers and the images, and runs `vmm bench boot` on them with what follows: its
    /// options, described by `cargo xtask bench boot -- --help`.
    #[command(after_help = BOOT_HELP)]
    Boot(BenchVmmArgs),
    /// Getting back what was kept: kv's data after a crash, a store's log after the end of everything
    ///
    /// Builds the VMM and the images, and runs `vmm bench recovery` on them with what follows: its options,
    /// described by `cargo xtask bench recovery -- --help`.
    #[command(after_help = RECOVERY_HELP)]
    Recovery(BenchVmmArgs),
    /// A storm of kills: throughput under a hundred of them a second, and the fate of every request
    ///
    /// Builds the VMM and the images, and runs `vmm bench storm` on them with what follows: its
    /// options, described by `cargo xtask bench storm -- --help`.
    #[command(after_help = STORM_HELP)]
    Storm(BenchVmmArgs),
    /// Message passing beside its peers: round trips, throughput, sleeping and waking
    ///
    /// Builds the VMM, the peers and the images, and runs `vmm bench ipc` on them with what follows: its
    /// options, described by `cargo xtask bench ipc -- --help`.
    #[command(after_help = IPC_HELP)]
    Ipc(BenchVmmArgs),
}

const KV_HELP: &str = "\
Examples:
  cargo xtask bench kv
  cargo xtask bench kv --subject kv-durable,redis-always --operation set --seconds 20
  cargo xtask bench kv --plot docs/plots --json > kv.json";

const RECOVERY_HELP: &str = "\
Examples:
  cargo xtask bench recovery
  cargo xtask bench recovery --log-size 64 --rounds 2
  cargo xtask bench recovery --plot docs/plots --json > recovery.json";

const RESTART_HELP: &str = "\
Examples:
  cargo xtask bench restart
  cargo xtask bench restart --quick --fault page-fault,panic
  cargo xtask bench restart --plot docs/plots --json > restart.json";

const BOOT_HELP: &str = "\
Examples:
  cargo xtask bench boot
  cargo xtask bench boot --domains 1,1000 --rounds 10
  cargo xtask bench boot --plot docs/plots --json > boot.json";

const STORM_HELP: &str = "\
Examples:
  cargo xtask bench storm
  cargo xtask bench storm --seconds 60 --rounds 10
  cargo xtask bench storm --plot docs/plots --json > storm.json";

const IPC_HELP: &str = "\
Some of the options of `vmm bench ipc`:
  --quick               fewer sizes, fewer rounds
  --rounds N            measure each case so many times
  --milliseconds N      let a round of a case last about so long
  --suite, --subject, --size, --wait LIST
                        only these, parted by commas: one-way,lent / atoll,rtrb / 64,4Ki / polling
  --plot DIR            put pictures there, as SVG and as PNG
  --json                print one object for scripts, not tables
  --strict              fail if a bar is missed

Examples:
  cargo xtask bench ipc
  cargo xtask bench ipc --quick --suite round-trip --size 8
  cargo xtask bench ipc --rounds 20 --plot docs/plots
  cargo xtask bench ipc --suite one-way --json > one-way.json";

/// Arguments of `bench redis`.
#[derive(Debug, Args)]
pub struct BenchRedisArgs {
    /// How often each pair of servers is measured
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Requests of each run; by default one or two seconds' worth
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1000..))]
    pub requests: Option<u64>,
    /// Write every figure to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// Arguments of the benchmarks that `vmm bench` makes.
#[derive(Debug, Args)]
pub struct BenchVmmArgs {
    /// Handed to `vmm bench` as they are
    #[arg(value_name = "VMM ARGS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub vmm: Vec<OsString>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_follows_the_dashes_goes_to_the_vmm() {
        let line = ["cargo xtask", "run", "kv.toml", "--emulate", "--", "-v", "--socket", "/s"];
        let Command::Run(run) = Cli::try_parse_from(line).unwrap().command else {
            panic!("`run` was asked for");
        };
        assert!(run.emulate);
        assert_eq!(run.vmm, ["-v", "--socket", "/s"]);
    }

    #[test]
    fn options_of_the_benchmarks_are_handed_over_with_and_without_dashes() {
        let options = |which: &str, line: &[&str]| {
            let line = [&["cargo xtask", "bench", which], line].concat();
            match Cli::try_parse_from(line).unwrap().command {
                Command::Bench(BenchArgs {
                    which:
                        Bench::Ipc(vmm)
                        | Bench::Kv(vmm)
                        | Bench::Recovery(vmm)
                        | Bench::Restart(vmm)
                        | Bench::Boot(vmm)
                        | Bench::Storm(vmm),
                }) => vmm.vmm,
                other => panic!("{which}: {other:?}"),
            }
        };
        let asked = ["--rounds", "3", "--quick", "--plot", "docs/plots", "--json"];
        for which in ["ipc", "kv", "recovery", "restart", "boot", "storm"] {
            assert_eq!(options(which, &asked), asked);
            assert_eq!(options(which, &[&["--"][..], &asked].concat()), asked);
            assert!(options(which, &[]).is_empty());
        }
    }
}
