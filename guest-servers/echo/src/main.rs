//! The shortest server: answers each message with itself.

#![no_std]
#![no_main]

atoll::server! {
    name: "echo",
    memory: 8 << 20,
    ports: [ECHO: "echo" message],
}

fn main() -> u32 {
    loop {
        let message = ECHO.receive();
        let payload = message.to_vec();
        message.reply(&payload);
    }
}
