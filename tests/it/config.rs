//! Configuration as an operator meets it: files, variables, secrets, what is said
//! of faults, what the pages say, and reload.

mod command;
mod names;
mod pages;
mod reload;
mod rotation;
mod samples;
