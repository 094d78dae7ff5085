"""How large an expression may get when it runs: the steps it compiles to, the text it makes, the patterns it holds."""

from mediation.core.expressions.faults import ExpressionError
from mediation.core.expressions.patterns import MAX_WEIGHT, weight_of
from mediation.core.expressions.screening import MAX_DEPTH
from mediation.core.expressions.tree import Call, Field, Literal, Node

MAX_STEPS = 5_000
MAX_COPIES = 32  # how many times longer than its longest field a text may get
MAX_ADDED = 20_000  # and the characters that it may get beside that
CAST_CHARACTERS = 41  # a number of 38 digits with its sign, a zero and its point
# How often a compiled operation reads its operands; what is not listed reads each once. Nesting multiplies.
READS = {
    "quotient": 8, "mod": 4, "substr": 3, "nullif": 2, "between": 2, "in": 2, "cast": 3, "strpos": 2, "shift": 3,
    "truncate": 3, "left": 2, "right": 2, "extract": 2, "lpad": 2, "replace": 2,
}  # fmt: skip
TEXT_OPS = {"case", "coalesce", "nullif", "greatest", "least"}


def check_size(root: Node) -> None:
    """Raise ExpressionError where the tree could make a machine that runs it slow or short of memory."""
    _Measure().of(root, 0)


class _Measure:
    def __init__(self) -> None:
        self.weight = 0.0

    def of(self, node: Node, depth: int) -> tuple[int, int, int]:
        """Steps, copies of the longest field, and characters added to them."""
        if depth > MAX_DEPTH:
            raise ExpressionError(f"is nested more than {MAX_DEPTH} deep here", *node.span)
        if isinstance(node, Field):
            return 1, 1, 0
        if isinstance(node, Literal):
            return 1, 0, len(node.value) if isinstance(node.value, str) else 0
        parts = [self.of(argument, depth + 1) for argument in node.args]
        steps = 1 + READS.get(node.op, 1) * sum(part[0] for part in parts)
        copies, added = self.growth(node, parts)
        if steps > MAX_STEPS:
            raise ExpressionError("does too much: split it into several fields", *node.span)
        if copies > MAX_COPIES or added > MAX_ADDED:
            raise ExpressionError("could make very long text: join or replace less", *node.span)
        return steps, copies, added

    def growth(self, node: Call, parts: list[tuple[int, int, int]]) -> tuple[int, int]:
        copies, added = max(part[1] for part in parts), max(part[2] for part in parts)
        if node.op.startswith("regexp"):
            self.weight += weight_of(_text(node.args[1]))
            if self.weight > MAX_WEIGHT:
                raise ExpressionError("the patterns together repeat too much", *node.args[1].span)
        if node.op in ("concat", "join"):
            return sum(part[1] for part in parts), sum(part[2] for part in parts)
        if node.op == "cast":
            return copies, added + CAST_CHARACTERS
        if node.op == "replace":
            times = -(-max(len(_text(node.args[2])), 1) // max(len(_text(node.args[1])), 1))
            return parts[0][1] * times, parts[0][2] * times
        if node.op == "regexp_replace":
            # Even an empty match puts the replacement beside every character, and a group may repeat the whole text.
            longest = len(_text(node.args[2]))
            if longest == 0:
                return parts[0][1], parts[0][2]
            return parts[0][1] * (1 + longest), parts[0][2] * (1 + longest) + longest
        if node.op == "lpad":
            return copies, added + int(str(node.args[1].value)) if isinstance(node.args[1], Literal) else added
        return copies, added


def _text(node: Node) -> str:
    return str(node.value) if isinstance(node, Literal) else ""
