//! Owns the commands that ask for the database to be saved. One that a store keeps always is: a
//! reply goes out when the changes before it are on disk.

use crate::command::{Call, Done};
use crate::failure::Failure;
use crate::word::ShortLower;

const NOT_KEPT: Failure = Failure::Text(
    "ERR nothing is saved here: keys and values are in memory alone; start kv with the argument \
     durable=yes and a channel to a store",
);

pub(crate) fn save(call: &mut Call<'_>) -> Done {
    kept(call)?;
    call.out.ok();
    Ok(())
}

/// `BGSAVE [SCHEDULE]`
pub(crate) fn bgsave(call: &mut Call<'_>) -> Done {
    match (call.args.len(), &*call.args.get(1).to_ascii_lowercase_short()) {
        (1, _) | (2, b"schedule") => {}
        _ => return Err(Failure::Syntax),
    }
    kept(call)?;
    call.out.simple("Background saving is done with this reply: every write is on disk");
    Ok(())
}

pub(crate) fn bgrewriteaof(call: &mut Call<'_>) -> Done {
    kept(call)?;
    call.out.simple("Background append only file rewriting is the store's: it cleans as it goes");
    Ok(())
}

pub(crate) fn lastsave(call: &mut Call<'_>) -> Done {
    let saved_ms = kept(call)?;
    call.out.int((saved_ms / 1000).cast_signed());
    Ok(())
}

/// When the store got the last batch.
fn kept(call: &Call<'_>) -> Result<u64, Failure> {
    call.db.journal.as_ref().map(|journal| journal.saved_ms).ok_or(NOT_KEPT)
}
