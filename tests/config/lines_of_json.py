"""For schemathesis, which knows no lines of JSON: they are sent as the text that they are."""

import schemathesis

schemathesis.serializer.alias("application/x-ndjson", "text/plain")
