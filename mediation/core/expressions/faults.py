"""What is wrong with an expression, and at which characters."""


class ExpressionError(ValueError):
    """One fault, at the characters `start` to `end` (half-open) of the text."""

    def __init__(self, message: str, start: int, end: int) -> None:
        super().__init__(message)
        self.message, self.start, self.end = message, start, end

    @property
    def faults(self) -> "tuple[ExpressionError, ...]":
        return (self,)


class ExpressionErrors(ExpressionError):
    """Every fault found, in the order of the text; it reads as its first."""

    def __init__(self, faults: "list[ExpressionError]") -> None:
        self._faults = tuple(sorted(faults, key=lambda fault: (fault.start, fault.end)))
        first = self._faults[0]
        super().__init__(first.message, first.start, first.end)

    @property
    def faults(self) -> tuple[ExpressionError, ...]:
        return self._faults
