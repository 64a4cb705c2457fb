//! Owns deadlines: EXPIRE, TTL and their relatives, and how commands read times.

use crate::command::{Call, Done};
use crate::failure::Failure;
use crate::number;

/// How a command writes a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unit {
    /// Milliseconds in one.
    pub ms: i64,
    /// Whether it counts from 1970 rather than from now.
    pub absolute: bool,
}

impl Unit {
    pub(crate) const EX: Self = Self { ms: 1000, absolute: false };
    pub(crate) const PX: Self = Self { ms: 1, absolute: false };
    pub(crate) const EXAT: Self = Self { ms: 1000, absolute: true };
    pub(crate) const PXAT: Self = Self { ms: 1, absolute: true };

    /// The unit that an option of SET or GETEX names.
    pub(crate) fn of_option(option: &[u8]) -> Option<Self> {
        match option {
            b"ex" => Some(Self::EX),
            b"px" => Some(Self::PX),
            b"exat" => Some(Self::EXAT),
            b"pxat" => Some(Self::PXAT),
            _ => None,
        }
    }

    /// Milliseconds since 1970, if they can be counted.
    fn deadline(self, time: i64, now: u64) -> Option<i64> {
        let base = if self.absolute { 0 } else { now.cast_signed() };
        time.checked_mul(self.ms)?.checked_add(base)
    }
}

/// Reads the time that a value is to live until, for the commands that set both: it must
/// be positive. `invalid` is the error when it is not.
pub(crate) fn deadline(
    text: &[u8],
    unit: Unit,
    now: u64,
    invalid: &'static str,
) -> Result<u64, Failure> {
    let time = number::parse(text).ok_or(Failure::NotInteger)?;
    if time <= 0 {
        return Err(Failure::Text(invalid));
    }
    unit.deadline(time, now).map(i64::cast_unsigned).ok_or(Failure::Text(invalid))
}

pub(crate) fn expire(call: &mut Call<'_>) -> Done {
    set(call, Unit::EX, "ERR invalid expire time in 'expire' command")
}

pub(crate) fn pexpire(call: &mut Call<'_>) -> Done {
    set(call, Unit::PX, "ERR invalid expire time in 'pexpire' command")
}

pub(crate) fn expireat(call: &mut Call<'_>) -> Done {
    set(call, Unit::EXAT, "ERR invalid expire time in 'expireat' command")
}

pub(crate) fn pexpireat(call: &mut Call<'_>) -> Done {
    set(call, Unit::PXAT, "ERR invalid expire time in 'pexpireat' command")
}

fn set(call: &mut Call<'_>, unit: Unit, invalid: &'static str) -> Done {
    let Some(when) = conditions(call)? else { return Ok(()) };
    let deadline = unit.deadline(call.int(2)?, call.now).ok_or(Failure::Text(invalid))?;
    let Some(at) = call.db.find(call.key(), call.now) else {
        call.out.int(0);
        return Ok(());
    };
    let allowed = when.allow(call.db.deadline(at), deadline);
    if allowed {
        if deadline <= call.now.cast_signed() {
            call.db.remove(at);
        } else {
            call.db.set_deadline(at, deadline.cast_unsigned());
        }
    }
    call.out.flag(allowed);
    Ok(())
}

/// The conditions under which a deadline is set.
#[derive(Clone, Copy, Debug, Default)]
struct When {
    absent: bool,
    present: bool,
    later: bool,
    sooner: bool,
}

impl When {
    fn allow(self, old: u64, new: i64) -> bool {
        let old = (old != 0).then_some(old.cast_signed());
        !(self.absent && old.is_some()
            || self.present && old.is_none()
            // To live for ever is later than any time.
            || self.later && old.is_none_or(|old| new <= old)
            || self.sooner && old.is_some_and(|old| new >= old))
    }
}

/// Reads NX, XX, GT and LT; `None` if an error has been written.
fn conditions(call: &mut Call<'_>) -> Result<Option<When>, Failure> {
    let mut when = When::default();
    for option in call.args.from(3) {
        let flag = match option {
            o if o.eq_ignore_ascii_case(b"nx") => &mut when.absent,
            o if o.eq_ignore_ascii_case(b"xx") => &mut when.present,
            o if o.eq_ignore_ascii_case(b"gt") => &mut when.later,
            o if o.eq_ignore_ascii_case(b"lt") => &mut when.sooner,
            _ => {
                call.out.error(&[b"ERR Unsupported option ", option]);
                return Ok(None);
            }
        };
        *flag = true;
    }
    if when.absent && (when.present || when.later || when.sooner) {
        return Err(Failure::Text(
            "ERR NX and XX, GT or LT options at the same time are not compatible",
        ));
    }
    if when.later && when.sooner {
        return Err(Failure::Text("ERR GT and LT options at the same time are not compatible"));
    }
    Ok(Some(when))
}

pub(crate) fn ttl(call: &mut Call<'_>) -> Done {
    tell(call, |deadline, now| (deadline - now + 500) / 1000)
}

pub(crate) fn pttl(call: &mut Call<'_>) -> Done {
    tell(call, |deadline, now| deadline - now)
}

pub(crate) fn expiretime(call: &mut Call<'_>) -> Done {
    tell(call, |deadline, _| (deadline + 500) / 1000)
}

pub(crate) fn pexpiretime(call: &mut Call<'_>) -> Done {
    tell(call, |deadline, _| deadline)
}

/// -2 without the key, -1 without a deadline.
fn tell(call: &mut Call<'_>, time: fn(u64, u64) -> u64) -> Done {
    let reply = match call.db.look_up(call.key(), call.now).map(|at| call.db.deadline(at)) {
        None => -2,
        Some(0) => -1,
        Some(deadline) => time(deadline, call.now).cast_signed(),
    };
    call.out.int(reply);
    Ok(())
}

pub(crate) fn persist(call: &mut Call<'_>) -> Done {
    let found = call.db.find(call.key(), call.now);
    let volatile = found.filter(|at| call.db.deadline(*at) != 0);
    if let Some(at) = volatile {
        call.db.set_deadline(at, 0);
    }
    call.out.flag(volatile.is_some());
    Ok(())
}
