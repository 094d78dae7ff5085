"""Webhooks: what happened is told to addresses outside, signed, until it is taken or three days are over."""
