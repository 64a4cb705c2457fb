//! The `vmm` command.

fn main() -> std::process::ExitCode {
    atoll_vmm::cli::main().into()
}
