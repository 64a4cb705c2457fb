//! The `mkimage` program: its output, its errors and its exit codes.

#![cfg(feature = "cli")]

#[allow(dead_code)] // each test program uses its part of the writer
mod elf_writer;

use elf_writer::Elf;
use std::path::Path;
use std::process::{Command, Output};

/// Runs `mkimage` in a directory that has `server.elf` and `plain.elf`.
fn mkimage(directory: &Path, arguments: &[&str]) -> Output {
    std::fs::write(directory.join("server.elf"), Elf::server().write()).unwrap();
    std::fs::write(directory.join("plain.elf"), Elf::plain().write()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mkimage"));
    command.args(arguments).current_dir(directory).output().unwrap()
}

/// Runs it, and returns exit code and what it said as an error.
fn failure(arguments: &[&str]) -> (i32, String) {
    let directory = tempfile::tempdir().unwrap();
    let output = mkimage(directory.path(), arguments);
    assert_eq!(output.stdout, b"");
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn stdout(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn builds_and_inspects() {
    let directory = tempfile::tempdir().unwrap();
    let built = mkimage(directory.path(), &["build", "server.elf", "-o", "echo.img"]);
    assert_eq!(built.stderr, b"");
    let image = atoll_image::Image::open(directory.path().join("echo.img")).unwrap();
    let hash = image.hash();
    assert_eq!(
        stdout(built),
        format!("echo.img: server echo, 20.3 KiB, 5 segments, 2 ports, hash {hash}\n")
    );
    let report = stdout(mkimage(directory.path(), &["inspect", "echo.img", "--symbols"]));
    let expected = format!(
        "\
server   echo
hash     {hash}
version  format 2, ABI 6
file     20.3 KiB, of which 20.0 KiB payload
entry    0x401000 _start
stubs    0x402000
memory   1 MiB by default, 24 KiB for the segments
stack    16 KiB for each of up to 2 vCPUs
symbols  4

SEGMENT           FILE      MEMORY  RIGHTS
0x400000          24 B        24 B  r--
0x401000         4 KiB       4 KiB  r-x
0x402000         4 KiB       4 KiB  r-x supervisor
0x403000          32 B        32 B  r-x
0x404000          24 B     4.0 KiB  rw-

PORT     KIND     INTERFACE       VERSION  FINGERPRINT
calls    message  echo                  3  0123456789abcdef
clients  stream   redis-protocol       12  0000000000000000

ADDRESS        BYTES  FUNCTION
0x401000          16  _start
0x401010           8  echo::serve
0x401020        8160  assembly
0x403000          32  late
"
    );
    assert_eq!(report, expected);
}

#[test]
fn extracts_an_executable_that_names_its_functions() {
    use object::{Object, ObjectSection, ObjectSegment, ObjectSymbol};

    let directory = tempfile::tempdir().unwrap();
    stdout(mkimage(directory.path(), &["build", "server.elf", "-o", "echo.img"]));
    let said = stdout(mkimage(directory.path(), &["extract", "echo.img", "-o", "echo.elf"]));
    let bytes = std::fs::read(directory.path().join("echo.elf")).unwrap();
    assert_eq!(said, format!("echo.elf: {} bytes, 4 functions\n", bytes.len()));
    let image = atoll_image::Image::open(directory.path().join("echo.img")).unwrap();
    let modified =
        |name: &str| std::fs::metadata(directory.path().join(name)).unwrap().modified().unwrap();
    assert_eq!(modified("echo.elf"), modified("echo.img"), "gdb compares it with a core file's");
    let elf = object::File::parse(&*bytes).unwrap();
    assert_eq!(elf.entry(), image.entry());
    let functions: Vec<_> = elf.symbols().map(|s| (s.name().unwrap(), s.address())).collect();
    let expected: Vec<_> = image.symbols().map(|symbol| (symbol.name, symbol.start)).collect();
    assert_eq!(functions, expected);
    for (index, (segment, section)) in elf.segments().zip(elf.sections()).enumerate() {
        assert_eq!(segment.address(), image.segments()[index].vaddr);
        assert_eq!(section.address(), segment.address());
        assert_eq!(section.data().unwrap(), image.segment_bytes(index).unwrap());
    }
    let served = elf.symbols().find(|symbol| symbol.name() == Ok("echo::serve")).unwrap();
    let section = elf.section_by_index(served.section_index().unwrap()).unwrap();
    assert_eq!(section.name(), Ok(".text"));
    let missing = mkimage(directory.path(), &["extract", "none.img", "-o", "x"]);
    assert_eq!(missing.status.code(), Some(1));
}

#[test]
fn leaves_nothing_but_the_image() {
    let directory = tempfile::tempdir().unwrap();
    stdout(mkimage(directory.path(), &["build", "server.elf", "-o", "echo.img"]));
    let mut names: Vec<_> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["echo.img", "plain.elf", "server.elf"]);
}

#[test]
fn builds_a_plain_elf_with_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = ["build", "plain.elf", "-o", "a.img", "--name", "tiny", "--memory", "1M"];
    let output = mkimage(directory.path(), &arguments);
    let warning = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(warning.starts_with("mkimage: warning: plain.elf: no section .atoll.stubs"));
    assert!(stdout(output).starts_with("a.img: server tiny, "));
    let report = stdout(mkimage(directory.path(), &["inspect", "a.img"]));
    assert!(report.contains("\nstubs    none: exceptions will be seen as triple faults\n"));
    assert!(report.ends_with("\n\nno ports\n"));
}

#[test]
fn prints_json() {
    let directory = tempfile::tempdir().unwrap();
    stdout(mkimage(directory.path(), &["build", "server.elf", "-o", "echo.img"]));
    let text = stdout(mkimage(directory.path(), &["inspect", "echo.img", "--json"]));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["name"], "echo");
    assert_eq!(json["entry"], 0x40_1000);
    assert_eq!(json["segments"][2]["supervisor"], true);
    assert_eq!(json["ports"][1]["kind"], "stream");
    assert_eq!(
        json["ports"][0]["interface"],
        serde_json::json!({ "name": "echo", "version": 3, "fingerprint": "0123456789abcdef" })
    );
    assert_eq!(json["symbol_count"], 4);
    assert!(json.get("symbols").is_none(), "only when asked for");
}

#[test]
fn wrong_usage_is_2() {
    assert_eq!(failure(&["build", "server.elf"]).0, 2);
    let (code, message) = failure(&["build", "plain.elf", "-o", "a.img", "--memory", "lots"]);
    assert_eq!(code, 2);
    assert!(message.contains("not a size; write bytes, or a whole number with K, M or G"));
    assert_eq!(
        failure(&["build", "server.elf", "-o", "./server.elf"]),
        (2, "mkimage: ./server.elf is the ELF itself; name another output\n".to_owned())
    );
}

#[test]
fn a_bad_file_is_4() {
    assert_eq!(
        failure(&["build", "plain.elf", "-o", "a.img"]),
        (
            4,
            "mkimage: plain.elf: ELF declares no server (section .atoll.server) and so no name; \
             give one with `--name`\n"
                .to_owned()
        )
    );
    assert_eq!(
        failure(&["inspect", "plain.elf"]),
        (
            4,
            "mkimage: plain.elf: begins with \"\\x7fELF\\x02\\x01\\x01\\x00\", not \"ATOLLIMG\"; \
             make an image with `mkimage build`\n"
                .to_owned()
        )
    );
    assert_eq!(
        failure(&["inspect", "."]),
        (4, "mkimage: .: not a regular file; name an image file\n".to_owned())
    );
}

#[test]
fn a_file_that_cannot_be_read_or_written_is_1() {
    assert_eq!(
        failure(&["inspect", "absent.img"]),
        (1, "mkimage: absent.img: no such file; build the image, or correct the path\n".to_owned())
    );
    assert_eq!(
        failure(&["build", "absent.elf", "-o", "a.img"]),
        (
            1,
            "mkimage: absent.elf: cannot read the ELF; correct the path, or build it first: \
             No such file or directory (os error 2)\n"
                .to_owned()
        )
    );
    assert_eq!(
        failure(&["build", "server.elf", "-o", "absent/a.img"]),
        (
            1,
            "mkimage: absent/a.img: cannot write the image; \
             see that its directory may be written: No such file or directory (os error 2)\n"
                .to_owned()
        )
    );
}

#[test]
fn help_teaches_usage_and_exit_codes() {
    let directory = tempfile::tempdir().unwrap();
    let help = stdout(mkimage(directory.path(), &["--help"]));
    assert!(help.contains("mkimage build tiny.elf -o tiny.img --name tiny --memory 16M"));
    assert!(help.contains("4  the ELF or the image is bad"));
    let build = stdout(mkimage(directory.path(), &["build", "--help"]));
    assert!(build.contains("-C relocation-model=static"));
}
