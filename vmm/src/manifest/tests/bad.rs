//! One bad manifest for each rule, with the exact message; then several mistakes in one file.

use std::path::Path;

use atoll_ipc::abi::{ARGUMENTS_MAX, CHANNELS_MAX};

use super::super::{Manifest, ManifestError};
use super::{message, parse, with};

/// Each case adds its text to a good system of five lines, the last domain being `relay`.
macro_rules! bad {
    ($($name:ident: $text:expr => $message:expr;)*) => {$(
        #[test]
        fn $name() {
            assert_eq!(message(&with($text)), $message);
        }
    )*};
}

bad! {
    syntax:
        "memory = = 1"
        => "6:10: not valid TOML: extra `=`, expected nothing\n6:12: not valid TOML: unexpected key \
         or value, expected newline, `#`";
    duplicate_key:
        "image = \"kv\""
        => "6:1: not valid TOML: duplicate key, at `image`";
    unknown_domain_key:
        "mem = 1"
        => "6:1: unknown key `mem` in `[domains.relay]`; did you mean `memory`?";
    unknown_key_like_none:
        "zzz = 1"
        => "6:1: unknown key `zzz` in `[domains.relay]`; known keys are `image`, `memory`, `state`, \
         `state-on-crash-loop`, `vcpus`, `arguments`, `restart`, `wait`, `cpus`, `group`, `after`, \
         `restart-from`, `backoff-first`, `backoff-cap`, `backoff-free`, `start-deadline`, \
         `stop-deadline`, `watchdog`, `bailout`, `ports`";
    unknown_channel_key:
        "[[channels]]\nform = \"kv\"\nfrom = \"relay\"\nto = \"kv:main\""
        => "7:1: unknown key `form` in `[[channels]]`; did you mean `from`?";
    unknown_gateway_key:
        "[[gateways]]\nlisten = \"[::1]:80\"\nto = \"kv:redis\"\nmax_connections = 1"
        => "9:1: unknown key `max_connections` in `[[gateways]]`; did you mean `max-connections`?";
    unknown_system_key:
        "[domain.kv]\nimage = \"kv\""
        => "6:2: unknown key `domain` in the manifest; did you mean `domains`?";
    no_image:
        "[domains.echo]\nvcpus = 1"
        => "6:1: `[domains.echo]` has no `image`; add `image = \"echo\"`";
    no_from:
        "[[channels]]\nto = \"kv:main\""
        => "6:1: `[[channels]]` has no `from`; add `from = \"DOMAIN\"`";
    no_channel_to:
        "[[channels]]\nfrom = \"kv\""
        => "6:1: `[[channels]]` has no `to`; add `to = \"DOMAIN:PORT\"`";
    no_listen:
        "[[gateways]]\nto = \"kv:redis\""
        => "6:1: `[[gateways]]` has no `listen`; add `listen = \"127.0.0.1:6379\"`";
    no_gateway_to:
        "[[gateways]]\nlisten = \"[::1]:80\""
        => "6:1: `[[gateways]]` has no `to`; add `to = \"DOMAIN:PORT\"`";
    number_for_string:
        "restart = 1"
        => "6:11: `restart` is the integer 1, but must be a string";
    string_for_number:
        "vcpus = \"two\""
        => "6:9: `vcpus` is the string `two`, but must be an integer";
    string_for_array:
        "arguments = \"a b\""
        => "6:13: `arguments` is the string `a b`, but must be an array of strings";
    number_among_strings:
        "arguments = [\"a\", 1.5]"
        => "6:19: `arguments[1]` is the number 1.5, but must be a string";
    memory_of_no_type:
        "memory = true"
        => "6:10: `memory` is the boolean true, but must be a string such as `256 MiB`, or bytes as \
         an integer";
    table_for_array:
        "[channels]\nfrom = \"kv\""
        => "6:1: `channels` is a table, but must be an array of tables, each headed `[[channels]]`";
    value_for_domain:
        "[domains]\necho = 1979-05-27"
        => "7:8: `domains.echo` is the date 1979-05-27, but must be a table";
    domain_name:
        "[domains.\"9 lives\"]\nimage = \"kv\""
        => "6:10: `domains`: `9 lives` is not a name; use 1 to 32 letters, digits, `-` and `_`, \
         beginning with a letter";
    domain_name_too_long:
        "[domains.a23456789012345678901234567890123]\nimage = \"kv\""
        => "6:10: `domains`: `a23456789012345678901234567890123` is not a name; use 1 to 32 \
         letters, digits, `-` and `_`, beginning with a letter";
    alias_name:
        "[[channels]]\nfrom = \"relay\"\nas = \"\"\nto = \"kv:main\""
        => "8:6: `as`: `` is not a name; use 1 to 32 letters, digits, `-` and `_`, beginning with a \
         letter";
    port_name:
        "[[channels]]\nfrom = \"relay\"\nto = \"kv:ma in\""
        => "8:6: `to`: `ma in` is not a name; use 1 to 32 letters, digits, `-` and `_`, beginning \
         with a letter";
    image_name:
        "[domains.x]\nimage = \"k v\""
        => "7:9: `image` is `k v`; give an image's name, such as `kv`, or a file, such as `./kv.img`";
    image_is_a_directory:
        "[domains.x]\nimage = \"images/\""
        => "7:9: `image` is `images/`; give an image's name, such as `kv`, or a file, such as \
         `./kv.img`";
    memory_without_unit:
        "memory = \"256\""
        => "6:10: `memory`: `256` is not a memory size; write bytes as an integer, or `64 KiB`, \
         `256 MiB`, `2 GiB`";
    memory_of_another_unit:
        "memory = \"256 MB\""
        => "6:10: `memory`: `MB` is not a unit of memory; use KiB, MiB or GiB (did you mean MiB?)";
    memory_of_no_unit:
        "memory = \"256 parsecs\""
        => "6:10: `memory`: `parsecs` is not a unit of memory; use KiB, MiB or GiB";
    memory_of_part_pages:
        "memory = 5000"
        => "6:10: `memory`: 5000 bytes is not a whole number of 4 KiB pages; the next one is 8192";
    no_memory:
        "memory = 0"
        => "6:10: `memory`: 0 is out of range; use 4 KiB to 64 GiB";
    too_much_memory:
        "memory = \"99999999999 GiB\""
        => "6:10: `memory`: 99999999999 GiB is out of range; use 4 KiB to 64 GiB";
    negative_memory:
        "memory = -4096"
        => "6:10: `memory`: -4096 is out of range; use 4 KiB to 64 GiB";
    state_of_no_type:
        "state = [1]"
        => "6:9: `state` is an array, but must be a string such as `64 MiB`, or bytes as an integer";
    state_without_unit:
        "state = \"64\""
        => "6:9: `state`: `64` is not a memory size; write bytes as an integer, or `64 KiB`, \
         `256 MiB`, `2 GiB`";
    state_of_another_unit:
        "state = \"64 mb\""
        => "6:9: `state`: `mb` is not a unit of memory; use KiB, MiB or GiB (did you mean MiB?)";
    state_of_part_pages:
        "state = 5000"
        => "6:9: `state`: 5000 bytes is not a whole number of 4 KiB pages; the next one is 8192";
    no_state:
        "state = \"0 MiB\""
        => "6:9: `state`: 0 MiB is out of range; use 4 KiB to 32 GiB, or remove the key for a \
         domain that keeps nothing";
    too_much_state:
        "state = \"33 GiB\""
        => "6:9: `state`: 33 GiB is out of range; use 4 KiB to 32 GiB, or remove the key for a \
         domain that keeps nothing";
    far_too_much_state:
        "state = 99999999999999999"
        => "6:9: `state`: 99999999999999999 is out of range; use 4 KiB to 32 GiB, or remove the \
         key for a domain that keeps nothing";
    negative_state:
        "state = -4096"
        => "6:9: `state`: -4096 is out of range; use 4 KiB to 32 GiB, or remove the key for a \
         domain that keeps nothing";
    state_on_crash_loop:
        "state = 4096\nstate-on-crash-loop = \"dorp\""
        => "7:23: `state-on-crash-loop` is `dorp`; did you mean `drop`?";
    state_on_crash_loop_like_none:
        "state = 4096\nstate-on-crash-loop = \"x\""
        => "7:23: `state-on-crash-loop` is `x`; use `keep`, `drop`";
    state_on_crash_loop_without_state:
        "state-on-crash-loop = \"drop\""
        => "6:23: `state-on-crash-loop` says what becomes of a state region, but this domain has \
         none; add `state = \"64 MiB\"`, or remove it";
    no_vcpus:
        "vcpus = 0"
        => "6:9: `vcpus` is 0; use 1 to 16";
    too_many_vcpus:
        "vcpus = 17"
        => "6:9: `vcpus` is 17; use 1 to 16";
    argument_with_a_zero_byte:
        "arguments = [\"a\", \"b\\u0000\"]"
        => "6:19: `arguments[1]` holds a zero byte, which ends an argument; remove it";
    restart_policy:
        "restart = \"onfault\""
        => "6:11: `restart` is `onfault`; did you mean `on-fault`?";
    restart_policy_like_none:
        "restart = \"x\""
        => "6:11: `restart` is `x`; use `never`, `on-fault`, `always`";
    way_of_waiting:
        "wait = \"poll\""
        => "6:8: `wait` is `poll`; did you mean `polling`?";
    way_of_waiting_like_none:
        "wait = \"x\""
        => "6:8: `wait` is `x`; use a time, such as `200 us`, or `adaptive`, `polling`, `blocking`";
    way_of_waiting_for_too_long:
        "wait = \"2 s\""
        => "6:8: `wait` is `2 s`; a domain looks for `1 us` to `100 ms` before it sleeps";
    way_of_waiting_is_no_text:
        "wait = true"
        => "6:8: `wait` is the boolean true, but must be a string";
    no_cpus:
        "cpus = []"
        => "6:8: `cpus` is empty; name host CPUs, such as `[0, 1]`, or remove the key to run on any";
    cpu_out_of_range:
        "cpus = [0, 1024]"
        => "6:12: `cpus` names CPU 1024; use numbers from 0 to 1023";
    cpu_below_zero:
        "cpus = [-1]"
        => "6:9: `cpus` names CPU -1; use numbers from 0 to 1023";
    cpu_twice:
        "cpus = [1, 0, 1]"
        => "6:15: `cpus` names CPU 1 twice; name each CPU once";
    cpu_is_text:
        "cpus = [\"0\"]"
        => "6:9: `cpus[0]` is the string `0`, but must be a CPU number";
    to_without_port:
        "[[gateways]]\nlisten = \"[::1]:80\"\nto = \"kv\""
        => "8:6: `to` is `kv`; write it as DOMAIN:PORT, such as `kv:redis`";
    unknown_server:
        "[[channels]]\nfrom = \"relay\"\nto = \"kvv:main\""
        => "8:6: `to` names domain `kvv`, which this manifest does not have; did you mean `kv`?";
    unknown_client:
        "[[channels]]\nfrom = \"zzz\"\nto = \"kv:main\""
        => "7:8: `from` names domain `zzz`, which this manifest does not have; it has `kv`, `relay`";
    channel_to_itself:
        "[[channels]]\nfrom = \"kv\"\nto = \"kv:main\""
        => "8:6: a channel joins two domains, but this one leads from `kv` to itself; name another \
         domain in `from` or `to`";
    two_channels_of_one_name:
        "[[channels]]\nfrom = \"relay\"\nas = \"main\"\nto = \"kv:redis\"\n[[channels]]\nfrom = \
         \"relay\"\nto = \"kv:main\""
        => "11:8: domain `relay` already has a channel named `main` (line 8); give this one another \
         name with `as`";
    ring_of_no_power_of_two:
        "[[channels]]\nfrom = \"relay\"\nto = \"kv:main\"\nring = \"300 KiB\""
        => "9:8: `ring`: 307200 bytes is not a power of two; the nearest are 262144 and 524288";
    ring_too_small:
        "[[channels]]\nfrom = \"relay\"\nto = \"kv:main\"\nring = 2048"
        => "9:8: `ring`: 2048 is out of range; use a power of two from 4 KiB to 128 MiB";
    ring_of_nothing:
        "[[channels]]\nfrom = \"relay\"\nto = \"kv:main\"\nring = \"0\""
        => "9:8: `ring`: 0 is out of range; use a power of two from 4 KiB to 128 MiB";
    ring_too_large:
        "[[channels]]\nfrom = \"relay\"\nto = \"kv:main\"\nring = \" 256 MiB\""
        => "9:8: `ring`: 256 MiB is out of range; use a power of two from 4 KiB to 128 MiB";
    ring_beyond_counting:
        "[[channels]]\nfrom = \"relay\"\nto = \"kv:main\"\nring = \"99999999999 GiB\""
        => "9:8: `ring`: 99999999999 GiB is out of range; use a power of two from 4 KiB to 128 MiB";
    ring_without_unit:
        "[[channels]]\nfrom = \"relay\"\nto = \"kv:main\"\nring = \"65536\""
        => "9:8: `ring`: `65536` is not a size; write bytes as an integer, or `64 KiB`, `2 MiB`";
    ring_of_another_unit:
        "[[channels]]\nfrom = \"relay\"\nto = \"kv:main\"\nring = \"64 kb\""
        => "9:8: `ring`: `kb` is not a unit of memory; use KiB, MiB or GiB (did you mean KiB?)";
    ring_of_no_type:
        "[[channels]]\nfrom = \"relay\"\nto = \"kv:main\"\nring = 1.5"
        => "9:8: `ring` is the number 1.5, but must be a string such as `256 KiB`, or bytes as an \
         integer";
    buffers_of_part_pages:
        "[[channels]]\nfrom = \"relay\"\nto = \"kv:main\"\nbuffers = 5000"
        => "9:11: `buffers`: 5000 bytes is not a whole number of 4 KiB pages; the next one is 8192";
    buffers_too_large:
        "[[channels]]\nfrom = \"relay\"\nto = \"kv:main\"\nbuffers = \"1 GiB\""
        => "9:11: `buffers`: 1 GiB is out of range; use whole 4 KiB pages up to 128 MiB, or 0 for \
         none";
    buffers_below_zero:
        "[[channels]]\nfrom = \"relay\"\nto = \"kv:main\"\nbuffers = -4096"
        => "9:11: `buffers`: -4096 is out of range; use whole 4 KiB pages up to 128 MiB, or 0 for \
         none";
    buffers_of_no_type:
        "[[channels]]\nfrom = \"relay\"\nto = \"kv:main\"\nbuffers = []"
        => "9:11: `buffers` is an array, but must be a string such as `2 MiB`, or bytes as an \
         integer";
    gateway_with_a_ring:
        "[[gateways]]\nlisten = \"[::1]:80\"\nto = \"kv:redis\"\nring = \"64 KiB\""
        => "9:1: unknown key `ring` in `[[gateways]]`; known keys are `listen`, `to`, \
         `max-connections`";
    listen_without_port:
        "[[gateways]]\nlisten = \"127.0.0.1\"\nto = \"kv:redis\""
        => "7:10: `listen` is `127.0.0.1`, which is no address: it is not an IP address with a \
         port; write `127.0.0.1:6379`, `[::1]:6379` or `unix:/run/kv.sock`";
    listen_on_a_relative_path:
        "[[gateways]]\nlisten = \"unix:kv.sock\"\nto = \"kv:redis\""
        => "7:10: `listen` is `unix:kv.sock`, which is no address: the socket's path does not begin \
         with `/`; write `127.0.0.1:6379`, `[::1]:6379` or `unix:/run/kv.sock`";
    listen_on_a_path_with_a_zero_byte:
        "[[gateways]]\nlisten = \"unix:/kv\\u0000\"\nto = \"kv:redis\""
        => "7:10: `listen` is `unix:/kv\\u{0}`, which is no address: the socket's path holds a zero \
         byte; write `127.0.0.1:6379`, `[::1]:6379` or `unix:/run/kv.sock`";
    two_gateways_at_one_address:
        "[[gateways]]\nlisten = \"[::1]:80\"\nto = \"kv:redis\"\n[[gateways]]\nlisten = \
         \"[0:0::1]:80\"\nto = \"kv:redis\""
        => "10:10: another gateway already listens on `[::1]:80` (line 7); give this one another \
         address";
    no_connections:
        "[[gateways]]\nlisten = \"[::1]:80\"\nto = \"kv:redis\"\nmax-connections = 0"
        => "9:19: `max-connections` is 0; use 1 to 1000000";
    escape_sequences_do_not_reach_the_terminal:
        "restart = \"\\u001b[2J\""
        => "6:11: `restart` is `\\u{1b}[2J`; use `never`, `on-fault`, `always`";
}

#[test]
fn listen_on_a_path_too_long() {
    let path = "x".repeat(107);
    let text = with(&format!("[[gateways]]\nlisten = \"unix:/{path}\"\nto = \"kv:redis\""));
    assert_eq!(
        message(&text),
        format!(
            "7:10: `listen` is `unix:/{path}`, which is no address: the socket's path is longer \
             than 107 bytes; write `127.0.0.1:6379`, `[::1]:6379` or `unix:/run/kv.sock`"
        )
    );
}

#[test]
fn arguments_too_long() {
    let fits = "x".repeat(ARGUMENTS_MAX - 3);
    assert!(parse(&with(&format!("arguments = [\"{fits}y\", \"\"]"))).is_ok());
    let bytes = ARGUMENTS_MAX + 1;
    assert_eq!(
        message(&with(&format!("arguments = [\"{fits}yz\", \"\"]"))),
        format!(
            "6:13: `arguments` take {bytes} bytes, each with its end counted, but at most \
             {ARGUMENTS_MAX} can be handed over; shorten them"
        )
    );
}

#[test]
fn too_many_links_of_a_domain() {
    let links = |count: u32| {
        let each = |n| format!("[[channels]]\nfrom = \"relay\"\nas = \"c{n}\"\nto = \"kv:main\"\n");
        let gateway = "[[gateways]]\nlisten = \"[::1]:80\"\nto = \"kv:redis\"\n";
        with(&((1..count).map(each).collect::<String>() + gateway))
    };
    assert!(parse(&links(CHANNELS_MAX)).is_ok());
    let line = 5 + CHANNELS_MAX * 4 + 3;
    assert_eq!(
        message(&links(CHANNELS_MAX + 1)),
        format!(
            "{line}:6: domain `kv` has more than {CHANNELS_MAX} channels, gateways and disks; \
             spread them over several domains"
        )
    );
}

#[test]
fn an_empty_file() {
    assert_eq!(
        message(""),
        "1:1: the manifest has no `name`; add `name = \"kv\"`\n1:1: the system has no domains; \
         add a table such as `[domains.kv]`"
    );
}

#[test]
fn a_system_with_a_bad_name() {
    assert_eq!(
        message("name = \"a b\"\ndomains.b.image = \"c\""),
        "1:8: `name`: `a b` is not a name; use 1 to 32 letters, digits, `-` and `_`, beginning \
         with a letter"
    );
}

#[test]
fn no_domains() {
    assert_eq!(
        message("name = \"a\"\n[domains]"),
        "2:1: the system has no domains; add a table such as `[domains.kv]`"
    );
    assert_eq!(
        message("name = \"a\"\ndomains = 3"),
        "2:11: `domains` is the integer 3, but must be tables, each headed `[domains.NAME]`"
    );
    assert_eq!(
        message("name = \"a\"\nchannels = [1]\ndomains.b.image = \"c\""),
        "2:13: `channels[0]` is the integer 1, but must be a table"
    );
}

#[test]
fn not_utf8() {
    let error = Manifest::parse(b"name = \"\xc3\xa9\xff\"", Path::new("x.toml")).unwrap_err();
    assert_eq!(error.to_string(), "x.toml:1:10: byte 0xff is not UTF-8; a manifest is UTF-8 text");
}

#[test]
fn columns_count_characters() {
    assert_eq!(
        message("name = \"a\"\ndomains = { \"é\" = {}, b = { image = 1 } }"),
        "2:13: `domains`: `é` is not a name; use 1 to 32 letters, digits, `-` and `_`, beginning \
         with a letter\n2:37: `image` is the integer 1, but must be a string"
    );
}

#[test]
fn no_such_file() {
    let error = Manifest::load(Path::new("/nonexistent/x.toml")).unwrap_err();
    assert!(matches!(error, ManifestError::Unreadable { .. }));
    assert_eq!(
        error.to_string(),
        "cannot read manifest /nonexistent/x.toml: No such file or directory (os error 2); \
         check the path and its permissions"
    );
}

#[test]
fn every_mistake_of_a_file_is_reported_in_order() {
    let text = with(
        "vcpus = 99\nmemory = \"1 MB\"\n[[gateways]]\nto = \"vk:redis\"\n[[channels]]\n\
         from = \"kv\"\nto = \"kv\"\nport = 3\n",
    );
    assert_eq!(
        message(&text),
        "6:9: `vcpus` is 99; use 1 to 16\n7:10: `memory`: `MB` is not a unit of memory; use KiB, \
         MiB or GiB (did you mean MiB?)\n8:1: `[[gateways]]` has no `listen`; add `listen = \
         \"127.0.0.1:6379\"`\n9:6: `to` names domain `vk`, which this manifest does not have; it \
         has `kv`, `relay`\n12:6: `to` is `kv`; write it as DOMAIN:PORT, such as \
         `echo:main`\n13:1: unknown key `port` in `[[channels]]`; known keys are `from`, `as`, \
         `to`, `ring`, `buffers`"
    );
}
