//! The macro that defines an interface.
//!
//! It writes signatures and nothing that decides: what a stub and a dispatch do is in
//! [`Stub`](super::Stub), [`arguments`](super::arguments) and [`answer`](super::answer).
//!
//! Names of types are not hygienic in a macro: those it makes up begin with two underscores, and
//! those of the core library are written in full, so that a user may have a `T` or a `Result`.

/// Defines an interface: see [`interface`](mod@crate::interface) for an example and for what the
/// kinds of operation mean.
///
/// ```text
/// <visibility> interface <Type> = "<name>" version <number>, client <Type>, server <Trait> {
///     <number> => idempotent|once fn <name>(<argument>: <type>, …) [-> <type> [as loan]];
///     <number> => oneway fn <name>(<argument>: <type>, …);
/// }
/// ```
///
/// The first type carries the identity, `INTERFACE`, and `dispatch(&mut server, message)`, which
/// answers one message. The client's has `bind`, `with_timeout`, `channel`, and a method for each
/// operation; so no operation may have one of these three names. The server's trait has a method
/// for each operation.
///
/// Two operations of one number do not compile:
///
/// ```compile_fail,E0080
/// atoll_ipc::interface! {
///     pub interface Twice = "twice" version 1, client TwiceClient, server TwiceServer {
///         1 => idempotent fn one() -> u8;
///         1 => idempotent fn other() -> u8;
///     }
/// }
/// ```
///
/// Nor does a one-way operation that has a reply, or a kind that does not exist:
///
/// ```compile_fail
/// atoll_ipc::interface! {
///     pub interface Odd = "odd" version 1, client OddClient, server OddServer {
///         1 => oneway fn one() -> u8;
///     }
/// }
/// ```
///
/// ```compile_fail
/// atoll_ipc::interface! {
///     pub interface Odd = "odd" version 1, client OddClient, server OddServer {
///         1 => sometimes fn one() -> u8;
///     }
/// }
/// ```
#[macro_export]
macro_rules! interface {
    (
        $(#[$meta:meta])*
        $vis:vis interface $interface:ident = $name:literal version $version:literal,
        client $client:ident, server $server:ident {$(
            $(#[$about:meta])*
            $number:literal => $kind:ident fn $operation:ident(
                $($argument:ident: $type:ty),* $(,)?
            ) $(-> $reply:ty $(as $mode:ident)?)?;
        )*}
    ) => {
        $(#[$meta])*
        #[allow(dead_code)] // A program may be one of the two ends only.
        #[derive(Clone, Copy, Debug)]
        $vis struct $interface;

        #[allow(dead_code)]
        impl $interface {
            /// Which interface this is.
            pub const INTERFACE: $crate::interface::Interface = $crate::interface::Interface::new(
                $crate::abi::Name::new($name),
                $version,
                $crate::interface::fingerprint(&[$((
                    $number,
                    concat!(
                        stringify!($kind $operation), "(", $(stringify!($type), ",",)* ")"
                        $(, "->", stringify!($reply) $(, "as", stringify!($mode))?)?
                    ),
                )),*]),
            );

            /// Carries out the operation that a message asks for and answers it.
            #[inline]
            pub fn dispatch<__Server, __Message>(server: &mut __Server, message: __Message)
            where
                __Server: $server + ?Sized,
                __Message: $crate::interface::Answerable,
            {
                match message.operation() {
                    $($number => $crate::__interface_serve! {
                        $kind $server server message $operation($($argument: $type),*)
                    },)*
                    _ => $crate::interface::answer(
                        message,
                        ::core::result::Result::Err::<(), _>($crate::message::Status::Unknown),
                    ),
                }
            }
        }

        const _: () = assert!(
            $crate::interface::distinct(&[$($number),*]),
            concat!("two operations of interface `", $name, "` have the same number"),
        );

        #[doc = concat!("A client of [`", stringify!($interface), "`].")]
        #[allow(dead_code)]
        #[derive(Debug)]
        $vis struct $client<__Channel>($crate::interface::Stub<__Channel>);

        #[allow(dead_code)]
        impl<__Channel: $crate::interface::Caller> $client<__Channel> {
            /// Binds to a channel.
            ///
            /// # Errors
            /// If its other end speaks another interface, or another version or definition of it.
            pub fn bind(
                channel: __Channel,
            ) -> ::core::result::Result<Self, $crate::interface::BindError> {
                $crate::interface::Stub::bind(channel, &$interface::INTERFACE).map(Self)
            }

            /// Every call, its retries included, takes at most this long.
            #[must_use]
            pub fn with_timeout(self, timeout: ::core::time::Duration) -> Self {
                Self(self.0.with_timeout(timeout))
            }

            /// The channel.
            pub fn channel(&mut self) -> &mut __Channel {
                self.0.channel()
            }

            $($crate::__interface_call! {
                $kind [$($reply $(as $mode)?)?] $(#[$about])*
                $number $operation($($argument: $type),*)
            })*
        }

        #[doc = concat!("A server of [`", stringify!($interface), "`].")]
        #[allow(dead_code)]
        $vis trait $server {
            $($crate::__interface_method! {
                $kind [$($reply)?] $(#[$about])* $operation($($argument: $type),*)
            })*
        }
    };
}

/// A method of the client. A kind that is none of the three fails here.
#[doc(hidden)]
#[macro_export]
macro_rules! __interface_call {
    (oneway [] $(#[$about:meta])* $number:literal $operation:ident(
        $($argument:ident: $type:ty),*
    )) => {
        $(#[$about])*
        ///
        /// # Errors
        /// Why it was not sent.
        #[inline]
        pub fn $operation(
            &mut self,
            $($argument: $type),*
        ) -> ::core::result::Result<(), $crate::message::IpcError> {
            self.0.send($number, &($($argument,)*))
        }
    };
    (oneway [$($reply:tt)+] $($rest:tt)*) => {
        compile_error!("a oneway operation has no reply");
    };
    ($kind:ident [] $($rest:tt)*) => {
        $crate::__interface_call! { $kind [()] $($rest)* }
    };
    (idempotent [$reply:ty] $(#[$about:meta])* $number:literal $operation:ident(
        $($argument:ident: $type:ty),*
    )) => {
        $(#[$about])*
        ///
        /// Repeated by itself after the server's restart.
        ///
        /// # Errors
        /// What became of the call.
        #[inline]
        pub fn $operation(
            &mut self,
            $($argument: $type),*
        ) -> ::core::result::Result<$reply, $crate::message::IpcError> {
            self.0.call(
                $number,
                $crate::interface::OnRestart::Retry,
                &($($argument,)*),
                $crate::interface::reply,
            )
        }
    };
    (once [$reply:ty] $(#[$about:meta])* $number:literal $operation:ident(
        $($argument:ident: $type:ty),*
    )) => {
        $(#[$about])*
        ///
        /// # Errors
        /// What became of the call.
        #[inline]
        pub fn $operation(
            &mut self,
            on_restart: $crate::interface::OnRestart,
            $($argument: $type),*
        ) -> ::core::result::Result<$reply, $crate::message::IpcError> {
            self.0.call($number, on_restart, &($($argument,)*), $crate::interface::reply)
        }
    };
    (idempotent [$reply:ty as loan] $(#[$about:meta])* $number:literal $operation:ident(
        $($argument:ident: $type:ty),*
    )) => {
        $(#[$about])*
        ///
        /// Repeated by itself after the server's restart. `read` is shown the reply in place.
        ///
        /// # Errors
        /// What became of the call.
        #[inline]
        pub fn $operation<__Shown>(
            &mut self,
            $($argument: $type,)*
            read: impl ::core::ops::FnOnce($reply) -> __Shown,
        ) -> ::core::result::Result<__Shown, $crate::message::IpcError> {
            self.0.call(
                $number,
                $crate::interface::OnRestart::Retry,
                &($($argument,)*),
                |bytes| $crate::interface::loan(bytes).map(read),
            )
        }
    };
    (once [$reply:ty as loan] $(#[$about:meta])* $number:literal $operation:ident(
        $($argument:ident: $type:ty),*
    )) => {
        $(#[$about])*
        ///
        /// `read` is shown the reply in place.
        ///
        /// # Errors
        /// What became of the call.
        #[inline]
        pub fn $operation<__Shown>(
            &mut self,
            on_restart: $crate::interface::OnRestart,
            $($argument: $type,)*
            read: impl ::core::ops::FnOnce($reply) -> __Shown,
        ) -> ::core::result::Result<__Shown, $crate::message::IpcError> {
            self.0.call(
                $number,
                on_restart,
                &($($argument,)*),
                |bytes| $crate::interface::loan(bytes).map(read),
            )
        }
    };
    ($kind:ident $($rest:tt)*) => {
        compile_error!(concat!(
            "an operation is `idempotent`, `once` or `oneway`, and its reply is owned or `as \
             loan`; this one is `", stringify!($kind), "` or its reply something else",
        ));
    };
}

/// A method of the server's trait.
#[doc(hidden)]
#[macro_export]
macro_rules! __interface_method {
    (oneway [$($reply:ty)?] $(#[$about:meta])* $operation:ident(
        $($argument:ident: $type:ty),*
    )) => {
        $(#[$about])*
        fn $operation(&mut self, $($argument: $type),*);
    };
    ($kind:ident [] $($rest:tt)*) => {
        $crate::__interface_method! { $kind [()] $($rest)* }
    };
    ($kind:ident [$reply:ty] $(#[$about:meta])* $operation:ident(
        $($argument:ident: $type:ty),*
    )) => {
        $(#[$about])*
        ///
        /// # Errors
        /// The status that refuses the request.
        fn $operation(
            &mut self,
            $($argument: $type),*
        ) -> ::core::result::Result<$reply, $crate::message::Status>;
    };
}

/// One arm of the dispatch.
#[doc(hidden)]
#[macro_export]
macro_rules! __interface_serve {
    (oneway $trait:ident $server:ident $message:ident $operation:ident(
        $($argument:ident: $type:ty),*
    )) => {{
        let outcome = $message.with_payload(|bytes| {
            let ($($argument,)*): ($($type,)*) = $crate::interface::arguments(bytes)?;
            $trait::$operation($server, $($argument),*);
            ::core::result::Result::Ok(())
        });
        $crate::interface::answer($message, outcome)
    }};
    ($kind:ident $trait:ident $server:ident $message:ident $operation:ident(
        $($argument:ident: $type:ty),*
    )) => {{
        let outcome = $message.with_payload(|bytes| {
            let ($($argument,)*): ($($type,)*) = $crate::interface::arguments(bytes)?;
            $trait::$operation($server, $($argument),*)
        });
        $crate::interface::answer($message, outcome)
    }};
}
