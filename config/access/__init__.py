"""Who comes in by the API: tokens, what each is limited to, and when it was used."""
