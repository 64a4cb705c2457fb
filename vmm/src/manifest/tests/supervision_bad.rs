//! One bad manifest for each rule of supervision, with the exact message.

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
    no_restarts_at_all:
        "[supervision]\nintensity = 0"
        => "7:13: `intensity` is 0; use 1 to 1000000, or give the domains `restart = \"never\"` if \
         none is to be restarted";
    too_many_restarts:
        "group = \"g\"\n[groups.g]\nintensity = 1_000_001"
        => "8:13: `intensity` is 1000001; use 1 to 1000000, or give the domains \
         `restart = \"never\"` if none is to be restarted";
    no_period:
        "[supervision]\nperiod = \"0 s\""
        => "7:10: `period`: 0 s is out of range; use `1 ms` to `1440 min`";
    a_period_without_end:
        "[supervision]\nperiod = \"99999999999999999999 min\""
        => "7:10: `period`: 99999999999999999999 min is out of range; use `1 ms` to `1440 min`";
    a_time_without_unit:
        "watchdog = \"500\""
        => "6:12: `watchdog`: `500` is not a length of time; write a whole number and a unit: \
         `500 ms`, `5 s`, `2 min`";
    a_time_that_is_a_number:
        "watchdog = 500"
        => "6:12: `watchdog` is the integer 500, but must be a string such as `500 ms`";
    a_broken_time:
        "start-deadline = \"1.5 s\""
        => "6:18: `start-deadline`: `.5 s` is not a unit of time; use ms, s or min";
    a_time_of_another_unit:
        "stop-deadline = \"5 seconds\""
        => "6:17: `stop-deadline`: `seconds` is not a unit of time; use ms, s or min (did you mean \
         s?)";
    pauses_above_their_cap:
        "backoff-first = \"2 s\""
        => "6:17: `backoff-first` is 2 s, above `backoff-cap`, which is 1 s; lower `backoff-first` \
         or raise `backoff-cap`";
    a_cap_below_the_pauses:
        "backoff-cap = \"9 ms\""
        => "6:15: `backoff-first` is 10 ms, above `backoff-cap`, which is 9 ms; lower \
         `backoff-first` or raise `backoff-cap`";
    free_tries_without_end:
        "backoff-free = -1"
        => "6:16: `backoff-free` is -1; use 0 to 1000";
    strategy:
        "[supervision]\nstrategy = \"one_for_all\""
        => "7:12: `strategy` is `one_for_all`; did you mean `one-for-all`?";
    strategy_like_none:
        "[supervision]\nstrategy = \"x\""
        => "7:12: `strategy` is `x`; use `one-for-one`, `one-for-all`, `rest-for-one`";
    escalation:
        "[supervision]\nescalation = \"exit\""
        => "7:14: `escalation` is `exit`; use `parent`, `stay-down`";
    restart_from:
        "restart-from = \"checkpiont\""
        => "6:16: `restart-from` is `checkpiont`; did you mean `checkpoint`?";
    supervision_is_no_table:
        "[[supervision]]"
        => "6:1: `supervision` is an array, but must be a table";
    unknown_supervision_key:
        "[supervision]\nparent = \"a\""
        => "7:1: unknown key `parent` in `[supervision]`; known keys are `strategy`, `intensity`, \
         `period`, `escalation`, `bailout`, `bailout-deadline`";
    unknown_group_key:
        "group = \"g\"\n[groups.g]\nmembers = []"
        => "8:1: unknown key `members` in `[groups.g]`; known keys are `parent`, `strategy`, \
         `intensity`, `period`, `escalation`, `bailout`";
    groups_are_no_tables:
        "[[groups]]"
        => "6:1: `groups` is an array, but must be tables, each headed `[groups.NAME]`";
    group_name:
        "[groups.\"a b\"]"
        => "6:9: `groups`: `a b` is not a name; use 1 to 32 letters, digits, `-` and `_`, \
         beginning with a letter";
    the_root_is_no_group_of_its_own:
        "[groups.root]"
        => "6:9: `root` is the group that all others are in; set it in `[supervision]`";
    unknown_group:
        "group = \"shpo\"\n[groups.shop]\n[domains.x]\nimage = \"x\"\ngroup = \"shop\""
        => "6:9: `group` names group `shpo`, which this manifest does not have; did you mean \
         `shop`?";
    unknown_parent:
        "group = \"g\"\n[groups.g]\nparent = \"zzz\""
        => "8:10: `parent` names group `zzz`, which this manifest does not have; it has `root`, `g`";
    a_group_in_itself:
        "group = \"g\"\n[groups.g]\nparent = \"g\""
        => "8:10: group `g` is in itself: g in g; give one of them another `parent`";
    groups_in_each_other:
        "group = \"g\"\n[groups.g]\nparent = \"h\"\n[groups.h]\nparent = \"i\"\n[groups.i]\n\
         parent = \"g\""
        => "8:10: group `g` is in itself: g in h in i in g; give one of them another `parent`";
    an_empty_group:
        "[groups.g]"
        => "6:9: group `g` has no members; give a domain `group = \"g\"`, or remove the group";
    after_an_unknown_domain:
        "after = [\"vk\", \"rely\"]"
        => "6:10: `after` names domain `vk`, which this manifest does not have; it has `kv`, \
         `relay`\n6:16: `after` names domain `rely`, which this manifest does not have; did you \
         mean `relay`?";
    after_what_is_no_domain:
        "after = [1]"
        => "6:10: `after[0]` is the integer 1, but must be a domain's name";
    after_itself:
        "after = [\"relay\"]"
        => "6:10: `after` of domain `relay` names the domain itself; remove it";
    after_one_twice:
        "after = [\"kv\", \"kv\"]"
        => "6:16: `after` names domain `kv` twice; name each domain once";
    after_each_other:
        "after = [\"c\"]\n[domains.c]\nimage = \"x\"\nafter = [\"kv\", \"d\"]\n[domains.d]\n\
         image = \"x\"\nafter = [\"relay\"]"
        => "6:10: domain `relay` waits for itself: relay after c after d after relay; remove one \
         of these from `after`";
    groups_after_each_other:
        "group = \"g\"\nafter = [\"h1\"]\n[groups.g]\n[groups.h]\n\
         [domains.g2]\nimage = \"x\"\ngroup = \"g\"\n\
         [domains.h1]\nimage = \"x\"\ngroup = \"h\"\n\
         [domains.h2]\nimage = \"x\"\ngroup = \"h\"\nafter = [\"g2\"]"
        => "7:10: members of group `root` cannot be put in order: group g after group h after \
         group g, by `after` of their domains; a group starts as a whole, so split one of them, or \
         remove one `after`";
    bailout_without_port:
        "[supervision]\nbailout = \"kv\""
        => "7:11: `bailout` is `kv`; write it as DOMAIN:PORT, such as `bailout:faults`";
    bailout_of_nobody:
        "bailout = \"kw:faults\""
        => "6:11: `bailout` names domain `kw`, which this manifest does not have; it has `kv`, \
         `relay`";
    bailout_of_itself:
        "bailout = \"relay:faults\""
        => "6:11: `bailout` of domain `relay` is a port of the domain itself, which cannot answer \
         when it has failed; name a port of another domain, or remove `bailout`";
    bailouts_of_each_other:
        "bailout = \"kv:faults\"\n[supervision]\nbailout = \"relay:faults\""
        => "8:11: domain `kv` would supervise itself: kv reports to relay reports to kv; give one \
         of them no `bailout`, or that of another domain";
    bailout_alias:
        "bailout = \"kv:faults\"\n[[channels]]\nfrom = \"kv\"\nas = \"suspended\"\nto = \"relay:main\""
        => "9:6: domain `kv` hears of faults, so `suspended` is its channel to the nucleus; give \
         this one another name with `as`";
    bailout_deadline:
        "[supervision]\nbailout-deadline = \"1 h\""
        => "7:20: `bailout-deadline`: `h` is not a unit of time; use ms, s or min";
    ports_are_no_tables:
        "ports = [\"main\"]"
        => "6:9: `ports` is an array, but must be tables, each headed `[domains.relay.ports.PORT]`";
    a_port_is_no_table:
        "ports.main = 1"
        => "6:14: `ports.main` is the integer 1, but must be a table";
    port_name:
        "[domains.relay.ports.\"1\"]"
        => "6:22: `ports`: `1` is not a name; use 1 to 32 letters, digits, `-` and `_`, beginning \
         with a letter";
    unknown_port_key:
        "[domains.relay.ports.main]\non_crash = \"fail\""
        => "7:1: unknown key `on_crash` in `[domains.relay.ports.main]`; did you mean `on-crash`?";
    fate:
        "[domains.relay.ports.main]\non-crash = \"retry\""
        => "7:12: `on-crash` is `retry`; use `fail`, `redeliver`";
    no_poison:
        "[domains.relay.ports.main]\non-crash = \"redeliver\"\npoison-after = 0"
        => "8:16: `poison-after` is 0; use 1 to 1000";
    poison_without_redelivery:
        "[domains.relay.ports.main]\npoison-after = 3"
        => "7:16: `poison-after` limits how often a request is delivered again, but `on-crash` is \
         `fail`; add `on-crash = \"redeliver\"` or remove `poison-after`";
}

#[test]
fn large_systems_are_put_in_order_in_time() {
    let domain = |n: usize| {
        let after = if n == 0 { "kv".to_owned() } else { format!("d{}", n - 1) };
        format!("[domains.d{n}]\nimage = \"x\"\nafter = [\"{after}\"]\n")
    };
    let text = with(&(0..1000).rev().map(domain).collect::<String>());
    assert_eq!(parse(&text).unwrap().supervision.groups[0].children.len(), 1002);
}
