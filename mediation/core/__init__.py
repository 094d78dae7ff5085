"""What a record says, as pure thought: bytes and frames in, frames out."""
