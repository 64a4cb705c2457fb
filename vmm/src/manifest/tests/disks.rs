//! Disks: what a good table means, and one bad one for each rule with its exact message.

use std::path::Path;

use atoll_ipc::channel::Layout;

use super::super::{Disk, Durability};
use super::{message, parse, with};

const LEAST: &str = "[disks.log]\nfile = \"log.disk\"\nsize = \"64 MiB\"\ndomain = \"kv\"\n";

/// The disk `log` with these lines, too.
fn log(lines: &str) -> Disk {
    let manifest = parse(&with(&format!("{LEAST}{lines}"))).unwrap();
    manifest.disks["log"].clone()
}

#[test]
fn what_is_absent_has_its_default() {
    let disk = log("");
    assert_eq!(disk.file, Path::new("images/log.disk"));
    assert_eq!((disk.size.bytes(), disk.size.to_string()), (64 << 20, "64 MiB".to_owned()));
    assert_eq!((disk.domain.as_str(), disk.alias.as_str()), ("kv", "disk"));
    assert_eq!((disk.durability, disk.read_only), (Durability::Fdatasync, false));
    let buffers = 4 << 20;
    assert_eq!(
        disk.layout,
        Layout { lent_requests: buffers, lent_replies: buffers, ..Layout::DEFAULT }
    );
    assert!(parse(&with("")).unwrap().disks.is_empty());
}

#[test]
fn every_key_is_read() {
    let disk = log("as = \"own\"\nsync = \"direct\"\nread-only = true\nbuffers = \"8 KiB\"");
    assert_eq!((disk.alias.as_str(), disk.durability), ("own", Durability::Direct));
    assert!(disk.read_only && disk.layout.is_valid());
    assert_eq!((disk.layout.lent_requests, disk.layout.lent_replies), (8 << 10, 8 << 10));
    assert_eq!(disk.layout.requests, Layout::DEFAULT.requests);
    let explicit = log("sync = \"fdatasync\"\nread-only = false");
    assert_eq!((explicit.durability, explicit.read_only), (Durability::Fdatasync, false));
}

#[test]
fn sizes_are_bytes_or_have_units_and_files_may_be_anywhere() {
    for (size, bytes, shown) in [
        ("4096", 4096, "4 KiB"),
        ("\"10 GiB\"", 10 << 30, "10 GiB"),
        ("17592186044416", 16 << 40, "16384 GiB"),
    ] {
        let text = format!("[disks.log]\nfile = \"/srv/log\"\nsize = {size}\ndomain = \"kv\"\n");
        let disk = &parse(&with(&text)).unwrap().disks["log"];
        assert_eq!((disk.size.bytes(), disk.size.to_string()), (bytes, shown.to_owned()));
        assert_eq!(disk.file, Path::new("/srv/log"));
    }
}

#[test]
fn a_domain_may_have_several_disks_under_different_names() {
    let more = "[disks.more]\nfile = \"more\"\nsize = 4096\ndomain = \"kv\"\nas = \"more\"";
    let manifest = parse(&with(&format!("{LEAST}{more}"))).unwrap();
    let disks: Vec<_> = manifest.disks.keys().map(ToString::to_string).collect();
    assert_eq!(disks, ["log", "more"]);
}

/// Each case adds its lines to a disk of four lines that begins in the sixth.
macro_rules! bad {
    ($($name:ident: $text:expr => $message:expr;)*) => {$(
        #[test]
        fn $name() {
            assert_eq!(message(&with(&format!("{LEAST}{}", $text))), $message);
        }
    )*};
}

bad! {
    unknown_key:
        "path = \"x\""
        => "10:1: unknown key `path` in `[disks.log]`; known keys are `file`, `size`, `domain`, `as`, \
            `sync`, `read-only`, `buffers`";
    nothing_at_all:
        "[disks.more]"
        => "10:1: `[disks.more]` has no `file`; add `file = \"./more.disk\"`\n\
            10:1: `[disks.more]` has no `size`; add `size = \"64 MiB\"`\n\
            10:1: `[disks.more]` has no `domain`; add `domain = \"DOMAIN\"`";
    no_table:
        "[[gateways]]\nlisten = \"[::1]:80\"\nto = \"kv:redis\"\n[disks]\nmore = 1"
        => "14:8: `disks.more` is the integer 1, but must be a table";
    bad_name:
        "[disks.\"a b\"]\nfile = \"x\""
        => "10:8: `disks`: `a b` is not a name; use 1 to 32 letters, digits, `-` and `_`, beginning \
            with a letter";
    bad_alias:
        "as = \"1\""
        => "10:6: `as`: `1` is not a name; use 1 to 32 letters, digits, `-` and `_`, beginning with \
            a letter";
    alias_taken_by_a_channel:
        "[[channels]]\nfrom = \"kv\"\nto = \"relay:main\"\nas = \"disk\""
        => "9:10: domain `kv` already has a channel named `disk` (line 13); give this one another \
            name with `as`";
    alias_taken_by_a_disk:
        "[disks.more]\nfile = \"more\"\nsize = 4096\ndomain = \"kv\"\nas = \"disk\""
        => "14:6: domain `kv` already has a channel named `disk` (line 9); give this one another \
            name with `as`";
    unknown_domain:
        "[disks.more]\nfile = \"more\"\nsize = 4096\ndomain = \"store\""
        => "13:10: `domain` names domain `store`, which this manifest does not have; it has `kv`, \
            `relay`";
    unknown_sync:
        "sync = \"fdatasinc\""
        => "10:8: `sync` is `fdatasinc`; did you mean `fdatasync`?";
    sync_like_none:
        "sync = \"x\""
        => "10:8: `sync` is `x`; use `fdatasync`, `direct`";
    read_only_of_another_type:
        "read-only = 1"
        => "10:13: `read-only` is the integer 1, but must be `true` or `false`";
    no_buffers:
        "buffers = 0"
        => "10:11: `buffers`: 0 is out of range; use whole 4 KiB pages from 8 KiB to 128 MiB";
    too_many_buffers:
        "buffers = \"1 GiB\""
        => "10:11: `buffers`: 1 GiB is out of range; use whole 4 KiB pages from 8 KiB to 128 MiB";
    buffers_in_part_pages:
        "buffers = 10000"
        => "10:11: `buffers`: 10000 bytes is not a whole number of 4 KiB pages; the next one is \
            12288";
    one_file_for_two:
        "[disks.more]\nfile = \"log.disk\"\nsize = 4096\ndomain = \"relay\""
        => "11:8: disk `log` already uses images/log.disk (line 7); give each disk a file of its own";
}

#[test]
fn disks_are_tables() {
    assert_eq!(
        message("name = \"a\"\ndisks = 1\ndomains.b.image = \"c\""),
        "2:9: `disks` is the integer 1, but must be tables, each headed `[disks.NAME]`"
    );
}

#[test]
fn what_is_no_file_or_no_size_is_refused() {
    let with_both = |file: &str, size: &str| {
        message(&with(&format!("[disks.log]\nfile = {file}\nsize = {size}\ndomain = \"kv\"\n")))
    };
    for (file, shown) in [("\"\"", ""), ("\"x/\"", "x/"), ("\"a\\u0000\"", "a\\u{0}")] {
        assert_eq!(
            with_both(file, "4096"),
            format!(
                "7:8: `file` is `{shown}`, which names no file; write a path such as `./store.disk`"
            )
        );
    }
    let range = "is out of range; use 4 KiB to 16384 GiB";
    for (size, why) in [
        ("0", format!("`size`: 0 {range}")),
        ("17592186048512", format!("`size`: 17592186048512 {range}")),
        ("-1", format!("`size`: -1 {range}")),
        ("\"99999999999 GiB\"", format!("`size`: 99999999999 GiB {range}")),
        ("5000", "`size`: 5000 bytes is not a whole number of 4 KiB pages; the next one is 8192".to_owned()),
        ("\"64\"", "`size`: `64` is not a size; write bytes as an integer, or `64 MiB`, `10 GiB`".to_owned()),
        ("\"1 MB\"", "`size`: `MB` is not a unit of memory; use KiB, MiB or GiB (did you mean MiB?)".to_owned()),
        ("true", "`size` is the boolean true, but must be a string such as `64 MiB`, or bytes as an integer".to_owned()),
    ] {
        assert_eq!(with_both("\"x\"", size), format!("8:8: {why}"));
    }
}
