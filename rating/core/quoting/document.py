"""Reads a quote document: plans, and who is on them; every fault is told with its place, all at once."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from mediation.core.spec.document import Document, Fault, FaultySpecError
from rating.core.plans.document import read_plan
from rating.core.plans.spec import Plan
from rating.core.quoting.checking import check
from rating.core.quoting.settings import (
    Account,
    Opening,
    Owned,
    Period,
    Service,
    Setting,
    UsageClass,
)
from rating.core.quoting.values import UnreadableError, moment, number
from rating.core.settling import TableTax, TaxCode, TaxPart, TaxSettings

Read = TypeVar("Read")

PAID_BY = ("usage", "originating", "terminating", "direction")
ROUNDINGS = ("line", "total")
NO_MOMENT = datetime(1, 1, 1, tzinfo=UTC)  # stands for one that was faulty; such a document is refused


def read_setting(document: Any) -> Setting:
    """Read a quote document, or a bare plan document. Raises FaultySpecError with all faults."""
    if isinstance(document, dict) and "groups" in document:
        document = {"plan": document}
    faults: list[Fault] = []
    setting = _Reader(faults).setting(document)
    if not faults:
        faults.extend(check(setting))
    if faults:
        raise FaultySpecError(faults)
    return setting


class _Reader(Document):
    """Reads the parts of a quote document; what it cannot read, it tells and leaves out."""

    def setting(self, document: Any) -> Setting:
        known = {"plan", "plans", "classes", "accounts", "periods", "tax", "grants"}
        of = self.object(document, "", known)
        return Setting(
            plans=self._plans(of),
            classes=self._each(of, "classes", self._class),
            accounts=self._each(of, "accounts", self._account),
            periods=self._each(of, "periods", self._period),
            grants=self._each(of, "grants", self._opening),
            tax=self._tax(of["tax"], "/tax") if of.get("tax") is not None else None,
        )

    def _plans(self, of: dict[str, Any]) -> tuple[Plan, ...]:
        if "plan" in of and "plans" in of:
            self.fault("/plan", "give either plan or plans")
        if "plan" in of:
            plan = self._plan(of["plan"], "/plan")
            return (plan,) if plan else ()
        plans = self._each(of, "plans", self._plan)
        if not of.get("plans"):
            self.fault("/plan", "is missing: what the usage is priced by")
        return tuple(plan for plan in plans if plan)

    def _plan(self, value: Any, pointer: str) -> Plan | None:
        try:
            return read_plan(value)
        except FaultySpecError as faulty:
            for fault in faulty.faults:
                self.fault(f"{pointer}{fault.pointer}".rstrip("/"), fault.message)
            return None

    def _each(
        self, of: dict[str, Any], name: str, read: Callable[[Any, str], Read], pointer: str = ""
    ) -> tuple[Read, ...]:
        values = of.get(name)
        if values is None:
            return ()
        if not isinstance(values, list):
            self.fault(f"{pointer}/{name}", "must be a list")
            return ()
        return tuple(read(value, f"{pointer}/{name}/{place}") for place, value in enumerate(values))

    def _class(self, value: Any, pointer: str) -> UsageClass:
        of = self.object(value, pointer, {"name", "paid_by", "tax_category"})
        return UsageClass(
            name=self._name(of, "name", pointer),
            paid_by=self.choice(of, "paid_by", pointer, PAID_BY, "usage"),  # type: ignore[arg-type]
            tax_category=self.text(of, "tax_category", pointer) or "",
        )

    def _account(self, value: Any, pointer: str) -> Account:
        known = {"number", "currency", "time_zone", "plan", "parent", "jurisdiction", "tax_exempt", "services"}
        of = self.object(value, pointer, known)
        exempt = of.get("tax_exempt", False)
        return Account(
            number=self._name(of, "number", pointer),
            currency=self.text(of, "currency", pointer),
            time_zone=self._time_zone(of, pointer),
            plan=self.text(of, "plan", pointer),
            parent=self.text(of, "parent", pointer),
            jurisdiction=self.text(of, "jurisdiction", pointer) or "",
            tax_exempt=exempt is True,
            exempt_categories=() if isinstance(exempt, bool) else self.texts(exempt, f"{pointer}/tax_exempt"),
            services=self._each(of, "services", self._service, pointer),
        )

    def _service(self, value: Any, pointer: str) -> Service:
        of = self.object(value, pointer, {"name", "plan", "package", "starts_at", "ends_at", "identifiers"})
        return Service(
            name=self._name(of, "name", pointer),
            plan=self.text(of, "plan", pointer),
            package=self.text(of, "package", pointer),
            starts_at=self._moment(of, "starts_at", pointer),
            ends_at=self._moment(of, "ends_at", pointer),
            identifiers=self._each(of, "identifiers", self._identifier, pointer),
        )

    def _identifier(self, value: Any, pointer: str) -> Owned:
        of = {"identifier": value} if isinstance(value, str) else value
        of = self.object(of, pointer, {"identifier", "starts_at", "ends_at"})
        return Owned(
            self._name(of, "identifier", pointer),
            self._moment(of, "starts_at", pointer),
            self._moment(of, "ends_at", pointer),
        )

    def _period(self, value: Any, pointer: str) -> Period:
        of = self.object(value, pointer, {"starts_at", "ends_at"})
        for name in ("starts_at", "ends_at"):
            if of.get(name) is None:
                self.fault(f"{pointer}/{name}", "is missing")
        starts_at, ends_at = (self._moment(of, name, pointer) for name in ("starts_at", "ends_at"))
        return Period(starts_at or NO_MOMENT, ends_at or NO_MOMENT)

    def _opening(self, value: Any, pointer: str) -> Opening:
        known = {"bucket", "plan", "account", "service", "starts_at", "ends_at", "size", "used", "carried"}
        of = self.object(value, pointer, known)
        return Opening(
            bucket=self._name(of, "bucket", pointer),
            plan=self.text(of, "plan", pointer),
            account=self.text(of, "account", pointer),
            service=self.text(of, "service", pointer),
            starts_at=self._moment(of, "starts_at", pointer),
            ends_at=self._moment(of, "ends_at", pointer),
            size=self._number(of, "size", pointer),
            used=self._number(of, "used", pointer),
            carried=self._number(of, "carried", pointer),
        )

    def _tax(self, value: Any, pointer: str) -> TableTax:
        of = self.object(value, pointer, {"rounding", "inclusive", "mixed_category", "codes"})
        return TableTax(
            self._each(of, "codes", self._tax_code, pointer),
            TaxSettings(
                rounding=self.choice(of, "rounding", pointer, ROUNDINGS, "line"),  # type: ignore[arg-type]
                is_inclusive=self._truth(of, "inclusive", pointer),
                mixed_category=self.text(of, "mixed_category", pointer),
            ),
        )

    def _tax_code(self, value: Any, pointer: str) -> TaxCode:
        of = self.object(value, pointer, {"name", "category", "jurisdiction", "parts", "starts_at", "ends_at"})
        return TaxCode(
            name=self._name(of, "name", pointer),
            category=self.text(of, "category", pointer) or "",
            jurisdiction=self.text(of, "jurisdiction", pointer) or "",
            parts=self._each(of, "parts", self._tax_part, pointer),
            starts_at=self._moment(of, "starts_at", pointer),
            ends_at=self._moment(of, "ends_at", pointer),
        )

    def _tax_part(self, value: Any, pointer: str) -> TaxPart:
        of = self.object(value, pointer, {"name", "percent", "is_compound"})
        return TaxPart(
            self._name(of, "name", pointer),
            self._number(of, "percent", pointer, required=True),
            self._truth(of, "is_compound", pointer),
        )

    def _name(self, of: dict[str, Any], name: str, pointer: str) -> str:
        text = self.text(of, name, pointer)
        if not of.get(name):
            self.fault(f"{pointer}/{name}", "is missing")
        return text or ""

    def _moment(self, of: dict[str, Any], name: str, pointer: str) -> datetime | None:
        return self._read(of, name, pointer, moment)

    def _number(self, of: dict[str, Any], name: str, pointer: str, *, required: bool = False) -> Decimal:
        if required and of.get(name) is None:
            self.fault(f"{pointer}/{name}", "is missing")
        read = self._read(of, name, pointer, lambda value: number(value, integer_digits=15, decimals=11))
        if read is not None and read < 0:
            self.fault(f"{pointer}/{name}", "must not be negative")
        return read or Decimal(0)

    def _truth(self, of: dict[str, Any], name: str, pointer: str) -> bool:
        if not isinstance(of.get(name, False), bool):
            self.fault(f"{pointer}/{name}", "must be true or false")
        return of.get(name) is True

    def _time_zone(self, of: dict[str, Any], pointer: str) -> str:
        name = self.text(of, "time_zone", pointer) or "UTC"
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            self.fault(f"{pointer}/time_zone", f"“{name}” is no time zone; name one such as Europe/Vienna")
            return "UTC"
        return name

    def _read(self, of: dict[str, Any], name: str, pointer: str, read: Callable[[Any], Read]) -> Read | None:
        if of.get(name) is None:
            return None
        try:
            return read(of[name])
        except UnreadableError as unreadable:
            self.fault(f"{pointer}/{name}", str(unreadable))
            return None
