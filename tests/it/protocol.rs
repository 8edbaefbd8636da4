//! The client protocol as a client sees it, command by command.

mod channels;
mod chosen;
mod compat;
mod connect;
mod connections;
mod frame_pings;
mod framing;
mod granted;
mod lifetime;
mod observed;
mod payload;
mod personal;
mod publish;
mod sub_expiry;
mod subscribe;
mod tokens;
