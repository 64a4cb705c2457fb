//! Owns what is known of one client, and the command CLIENT.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt::Write;

use crate::command::{Call, Done, unknown_subcommand, wrong_count};
use crate::failure::Failure;
use crate::memory::copy;
use crate::word::ShortLower;

/// Longer names are refused: thousands of connections may each hold one.
const NAME_LIMIT: usize = 256;

/// What a session knows of its client.
#[derive(Debug)]
pub(crate) struct Client {
    pub id: u64,
    pub name: Box<[u8]>,
    pub closing: bool,
}

impl Client {
    pub(crate) fn new(id: u64) -> Self {
        Self { id, name: Box::default(), closing: false }
    }

    /// Gives the client a name, or takes it away with an empty one.
    pub(crate) fn set_name(&mut self, name: &[u8]) -> Done {
        if !name.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
            return Err(Failure::Text(
                "ERR Client names cannot contain spaces, newlines or special characters.",
            ));
        }
        if name.len() > NAME_LIMIT {
            return Err(Failure::Text(
                "ERR Client name is longer than 256 bytes: choose a shorter one.",
            ));
        }
        self.name = copy(name)?;
        Ok(())
    }

    fn describe(&self) -> Result<String, Failure> {
        let mut line = String::new();
        line.try_reserve(NAME_LIMIT + 128)?;
        let name = core::str::from_utf8(&self.name).unwrap_or_default();
        let id = self.id;
        // Nothing that is written here can fail to be formatted.
        writeln!(line, "id={id} addr= laddr= fd=-1 name={name} db=0 cmd=client resp=2")
            .map_err(|_| Failure::Memory)?;
        Ok(line)
    }
}

/// `CLIENT subcommand …`
pub(crate) fn client(call: &mut Call<'_>) -> Done {
    let subcommand = call.args.get(1);
    let count = call.args.len();
    let (name, fits, run): (&str, bool, fn(&mut Call<'_>) -> Done) =
        match &*subcommand.to_ascii_lowercase_short() {
            b"id" => ("id", count == 2, id),
            b"getname" => ("getname", count == 2, get_name),
            b"setname" => ("setname", count == 3, set_name),
            b"setinfo" => ("setinfo", count == 4, set_info),
            b"info" => ("info", count == 2, info),
            b"list" => ("list", true, info),
            b"no-evict" => ("no-evict", count == 3, on_off),
            b"no-touch" => ("no-touch", count == 3, on_off),
            _ => return unknown_subcommand(call, "CLIENT"),
        };
    if !fits {
        return wrong_count(call, &["client|", name]);
    }
    run(call)
}

fn id(call: &mut Call<'_>) -> Done {
    call.out.int(call.client.id.cast_signed());
    Ok(())
}

fn get_name(call: &mut Call<'_>) -> Done {
    let name = &call.client.name;
    call.out.bulk_or_null((!name.is_empty()).then_some(name));
    Ok(())
}

fn set_name(call: &mut Call<'_>) -> Done {
    call.client.set_name(call.args.get(2))?;
    call.out.ok();
    Ok(())
}

/// Library names are of no use here, but client libraries send them unasked.
fn set_info(call: &mut Call<'_>) -> Done {
    let attribute = call.args.get(2);
    if attribute.eq_ignore_ascii_case(b"lib-name") || attribute.eq_ignore_ascii_case(b"lib-ver") {
        call.out.ok();
    } else {
        call.out.error(&[b"ERR Unrecognized option '", attribute, b"'"]);
    }
    Ok(())
}

/// A session knows of no other, so a list of clients has one line.
fn info(call: &mut Call<'_>) -> Done {
    call.out.bulk(call.client.describe()?.as_bytes());
    Ok(())
}

/// Nothing is ever evicted and touching changes nothing, so both are granted.
fn on_off(call: &mut Call<'_>) -> Done {
    let switch = call.args.get(2);
    if !switch.eq_ignore_ascii_case(b"on") && !switch.eq_ignore_ascii_case(b"off") {
        return Err(Failure::Syntax);
    }
    call.out.ok();
    Ok(())
}
