//! The declaration of a server: what the image builder reads, and the port constants.

/// Declares the server: its name, memory, ports, and (by the name `main`) where it starts.
///
/// | field | meaning |
/// |---|---|
/// | `name` | the server's name |
/// | `memory` | memory of a domain whose manifest names none, in bytes |
/// | `stack` | optional: stack of each vCPU in bytes, a multiple of 4096; 64 KiB without |
/// | `ports` | `[NAME: "port" message, ...]`: a constant [`Port`](crate::Port) each; `message` or `stream`; after it `speaks` and the type of a [typed interface](mod@crate::interface), if it has one |
/// | `worker` | optional: `(function, most vCPUs)`: what vCPUs other than 0 run, given their number |
///
/// `main` runs on vCPU 0; what it returns is the server's exit status.
#[macro_export]
macro_rules! server {
    (
        name: $name:literal,
        memory: $memory:expr,
        $(stack: $stack:expr,)?
        ports: [$($port:ident: $port_name:literal $kind:ident $(speaks $interface:ty)?),* $(,)?]
        $(, worker: ($worker:path, $vcpus:expr))?
        $(,)?
    ) => {
        const _: () = {
            use $crate::__ipc::abi::{
                ABI_VERSION, Interface, Name, PortDecl, PortKind, ServerDecl,
            };

            #[used]
            #[unsafe(link_section = ".atoll.server")]
            static SERVER: ServerDecl = ServerDecl {
                abi_version: ABI_VERSION,
                max_vcpus: $crate::server!(@or 1 $(, $vcpus)?),
                name: Name::new($name),
                default_memory: $memory,
                stack_size: $crate::server!(@or 64 << 10 $(, $stack)?),
            };

            #[used]
            #[unsafe(link_section = ".atoll.ports")]
            static PORTS: [PortDecl; [$($port_name),*].len()] = [$(PortDecl {
                name: Name::new($port_name),
                kind: $crate::server!(@kind $kind) as u32,
                reserved: 0,
                interface: $crate::server!(@interface $port_name $(, $interface)?),
            }),*];

            #[unsafe(no_mangle)]
            extern "Rust" fn __atoll_main() -> u32 {
                main()
            }

            #[unsafe(no_mangle)]
            extern "Rust" fn __atoll_worker(_vcpu: u32) -> u32 {
                $(return $worker(_vcpu);)?
                #[allow(unreachable_code)]
                1
            }
        };

        $crate::server!(@ports 0; $($port)*);
    };

    (@ports $index:expr; $port:ident $($rest:ident)*) => {
        const $port: $crate::Port = $crate::Port::__new($index);
        $crate::server!(@ports $index + 1; $($rest)*);
    };
    (@ports $index:expr;) => {};
    (@interface $port_name:literal) => { Interface::untyped(Name::new($port_name), 1) };
    (@interface $port_name:literal, $interface:ty) => { <$interface>::INTERFACE };
    (@kind message) => { PortKind::Message };
    (@kind stream) => { PortKind::Stream };
    (@or $default:expr) => { $default };
    (@or $default:expr, $given:expr) => { $given };
}
