"""What the API's document says before its operations."""

ABOUT = """\
Usage in, and everything that became of it.

**Who comes in.** Send `Authorization: Token …`. What a token may is its user's roles, narrowed to its verbs and feeds;
what it may not see is not there (404) for it.

**Numbers.** Amounts and quantities are texts of all their digits; nothing of them passes through a float.

**Retry.** With `Idempotency-Key`, sending the same again does nothing more and is answered as before. 429 and 503 come
with `Retry-After`; nothing was taken then, or, after `database_away`, the same request again finds out.

**Lists** come in pages: follow `next` until it is null. `Accept: text/csv`, or `format=csv`, brings all of a list at
once.

**Refusals** are `application/problem+json` by RFC 9457: a `code` for programs, which stays, a `detail` for people, and
in `errors` every fault at once with its place. Parameters and members that an operation does not read are refused, too.

**Each request** has an id: send `X-Request-ID`, or take the one of the answer; the log and the audit know it.
"""
