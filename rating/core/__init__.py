"""Who pays and how much, as pure thought: frames in, frames out."""
