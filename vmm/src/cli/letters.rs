//! `dead-letters`: requests of which server after server has died.

use std::io::Write;

use serde_json::json;

use crate::control::api::{DeadLetter, DeadLetterLine, Replay};
use crate::journal::printable;

use super::args::{LetterAction, LetterArgs, LettersArgs, Target};
use super::error::CliError;
use super::human::{size, time};
use super::table::{Align, Table, cell};
use super::target::converse;

const ROOT: &str = "/v1/dead-letters";

const COLUMNS: [(&str, Align); 8] = [
    ("LETTER", Align::Right),
    ("TIME", Align::Left),
    ("PORT", Align::Left),
    ("CLIENT", Align::Left),
    ("OPERATION", Align::Right),
    ("BYTES", Align::Right),
    ("DELIVERED", Align::Right),
    ("DIED OF", Align::Left),
];

pub(super) fn letters(args: &LettersArgs, json: bool, out: &mut dyn Write) -> Result<(), CliError> {
    match &args.action {
        None => list(&args.target, json, out),
        Some(LetterAction::Show(letter)) => show(letter, json, out),
        Some(LetterAction::Replay(letter)) => replay(letter, json, out),
        Some(LetterAction::Drop(letter)) => forget(letter, json, out),
    }
}

fn forget(args: &LetterArgs, json: bool, out: &mut dyn Write) -> Result<(), CliError> {
    let (client, number) = (args.target.client()?, args.number);
    converse(client.post(&format!("{ROOT}/{number}/drop")))?;
    if json {
        writeln!(out, "{}", json!({ "letter": number, "done": "dropped" }))?;
    } else {
        writeln!(out, "dropped {number}")?;
    }
    Ok(())
}

fn list(target: &Target, json: bool, out: &mut dyn Write) -> Result<(), CliError> {
    let client = target.client()?;
    let lines: Vec<DeadLetterLine> = converse(client.get(ROOT))?;
    if json {
        writeln!(out, "{:#}", json!(lines))?;
        return Ok(());
    }
    if lines.is_empty() {
        writeln!(out, "there are no dead letters")?;
        return Ok(());
    }
    let mut table = Table::new(&COLUMNS);
    for line in &lines {
        table.row(vec![
            cell(line.number),
            cell(time(line.time)),
            cell(format_args!("{}:{}", line.domain, line.port)),
            cell(format_args!("{} (epoch {})", line.client, line.client_epoch)),
            cell(line.operation),
            cell(size(line.bytes)),
            cell(line.deliveries),
            cell(printable(&line.fault)),
        ]);
    }
    Ok(table.print("", out)?)
}

fn show(args: &LetterArgs, json: bool, out: &mut dyn Write) -> Result<(), CliError> {
    let (client, number) = (args.target.client()?, args.number);
    let letter: DeadLetter = converse(client.get(&format!("{ROOT}/{number}")))?;
    if json {
        writeln!(out, "{:#}", json!(letter))?;
        return Ok(());
    }
    let line = &letter.line;
    let kind = if line.is_call { "call" } else { "one-way message" };
    writeln!(out, "letter     {number}, put aside {}", time(line.time))?;
    writeln!(out, "from       {}, epoch {}", line.client, line.client_epoch)?;
    writeln!(out, "to         {}:{}, last epoch {}", line.domain, line.port, line.epoch)?;
    writeln!(out, "operation  {}, a {kind}", line.operation)?;
    writeln!(out, "delivered  {} times", line.deliveries)?;
    writeln!(out, "died of    {}", printable(&line.fault))?;
    if line.buffer_bytes > 0 {
        writeln!(out, "buffer     {}, which is not kept", size(line.buffer_bytes))?;
    }
    writeln!(out, "payload    {} of {} bytes", letter.payload.0.len(), line.bytes)?;
    Ok(dump(&letter.payload.0, out)?)
}

fn replay(args: &LetterArgs, json: bool, out: &mut dyn Write) -> Result<(), CliError> {
    let (client, number) = (args.target.client()?, args.number);
    let replay: Replay = converse(client.ask(&format!("{ROOT}/{number}/replay")))?;
    if json {
        writeln!(out, "{:#}", json!(replay))?;
        return Ok(());
    }
    match (&replay.reply, &replay.error) {
        (Some(reply), _) => {
            writeln!(out, "letter {number} was answered with {} bytes", reply.0.len())?;
            dump(&reply.0, out)?;
        }
        (None, Some(error)) => writeln!(out, "letter {number} failed again: {error}")?,
        (None, None) => writeln!(out, "letter {number} was sent; it has no reply")?,
    }
    Ok(())
}

/// Bytes as digits and characters, 16 a line.
fn dump(bytes: &[u8], out: &mut dyn Write) -> std::io::Result<()> {
    for (at, line) in bytes.chunks(16).enumerate() {
        let digits: Vec<_> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let shown = |&byte: &u8| if byte.is_ascii_graphic() { byte as char } else { '.' };
        let text: String = line.iter().map(shown).collect();
        writeln!(out, "  {:06x}  {:<47}  {text}", at * 16, digits.join(" "))?;
    }
    Ok(())
}
