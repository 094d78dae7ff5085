"""Bodies that hold what is read here, and nothing else: a member that is misspelled would change nothing, unseen."""

from typing import Any

from rest_framework import serializers


class Strict(serializers.Serializer[Any]):
    """Refuses members that it does not read."""

    def to_internal_value(self, data: Any) -> Any:
        strangers = sorted(map(str, set(data) - set(self.fields))) if isinstance(data, dict) else []
        if strangers:
            known = ", ".join(sorted(self.fields))
            said = [f"There is no such field. Known are {known}."]
            raise serializers.ValidationError(dict.fromkeys(strangers[:100], said), code="unknown_member")
        return super().to_internal_value(data)
