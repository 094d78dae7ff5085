"""Four eyes: what one person asks for and another agrees to, set by the environment alone."""
