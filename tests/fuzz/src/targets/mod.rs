//! What is done with an input, and what must hold of what comes of it.

pub mod archive;
pub mod events;
pub mod frames;
pub mod ids;
pub mod items;
pub mod presigned;
pub mod requests;
pub mod tokens;
