"""How usage arrives, as pure thought: splitting a file's bytes into chunks, reading a request's body."""
