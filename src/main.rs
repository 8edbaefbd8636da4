//! The `sealcast` command; everything is in the library.

fn main() -> std::process::ExitCode {
    sealcast::cli::main()
}
