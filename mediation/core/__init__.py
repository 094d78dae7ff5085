"""What a record says, as pure thought: bytes and frames in, frames out.

`spec` parses a profile, `reading` turns bytes into records, `mapping` and `judging` turn records into UDRs
or say why not.
"""
