//! The client protocol as a client sees it, command by command.

mod channels;
mod connect;
mod framing;
mod lifetime;
mod payload;
mod publish;
mod subscribe;
mod tokens;
