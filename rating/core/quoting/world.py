"""A quote document made into what rating works on: numbered plans, accounts and services, and who pays for a record."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property

from mediation.core.spec.document import Fault, FaultySpecError
from rating.core.quoting.settings import Account, Service, Setting, UsageClass
from rating.core.quoting.usage import MOST_FAULTS, Record
from rating.core.tariffs import PriceList, Version, price_list

DEFAULT_NAME = "1"  # of an account or a service that neither document nor usage names
DEFAULT_DATE = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Numbered:
    """A service with its number, and its account."""

    number: int
    account: Account
    service: Service


@dataclass(frozen=True)
class World:
    """Everything that a quote is reckoned in. Numbers are places, from 1, so that names come back by them."""

    setting: Setting
    accounts: tuple[Account, ...]
    classes: tuple[UsageClass, ...]

    @cached_property
    def class_ids(self) -> dict[str, int]:
        return {each.name: place for place, each in enumerate(self.classes, 1)}

    @cached_property
    def plan_ids(self) -> dict[str, int]:
        return {plan.name: place for place, plan in enumerate(self.setting.plans, 1)}

    @cached_property
    def account_ids(self) -> dict[str, int]:
        return {account.number: place for place, account in enumerate(self.accounts, 1)}

    @cached_property
    def services(self) -> tuple[Numbered, ...]:
        owned = [(account, service) for account in self.accounts for service in account.services]
        return tuple(Numbered(place, *each) for place, each in enumerate(owned, 1))

    @cached_property
    def _services_of(self) -> dict[str, list[Numbered]]:
        found: dict[str, list[Numbered]] = {}
        for each in self.services:
            found.setdefault(each.account.number, []).append(each)
        return found

    def services_of(self, account_id: int) -> list[Numbered]:
        """The services of an account."""
        return self._services_of.get(self.accounts[account_id - 1].number, [])

    @cached_property
    def prices(self) -> PriceList:
        rate_count = bucket_count = 0
        versions = []
        for plan_id, plan in enumerate(self.setting.plans, 1):
            groups = (*plan.groups, *plan.cost_groups)
            rates = dict.fromkeys((group.name, rate.name) for group in groups for rate in group.rates)
            rate_ids = {place: rate_count + at for at, place in enumerate(rates, 1)}
            bucket_ids = {bucket.name: bucket_count + at for at, bucket in enumerate(plan.buckets, 1)}
            rate_count, bucket_count = rate_count + len(rate_ids), bucket_count + len(bucket_ids)
            versions.append(Version(plan_id, plan_id, None, None, plan, rate_ids, bucket_ids))
        return price_list(versions, self.class_ids)

    @cached_property
    def bucket_names(self) -> dict[int, str]:
        return {each.bucket_id: each.bucket.name for each in self.prices.buckets}

    def above(self, account: Account) -> Iterable[Account]:
        """The account's parents, the nearest first."""
        while account.parent is not None:
            account = self.accounts[self.account_ids[account.parent] - 1]
            yield account

    def topmost(self, account: Account) -> Account:
        """The account that its family is known by."""
        return [account, *self.above(account)][-1]

    def currency(self, account: Account) -> str:
        """The account's own currency, or that of the first plan that it can be billed by."""
        if account.currency:
            return account.currency
        for each in (account, *self.above(account)):
            names = [each.plan, *(service.plan for service in each.services), *(s.package for s in each.services)]
            for name in names:
                if name is not None:
                    return self.setting.plans[self.plan_ids[name] - 1].currency
        return self.setting.plans[0].currency

    @cached_property
    def only_currency(self) -> str | None:
        """The currency of all accounts; None where they have several."""
        currencies = {self.currency(account) for account in self.accounts}
        return currencies.pop() if len(currencies) == 1 else None

    def plan_of(self, numbered: Numbered) -> int | None:
        """The plan that a service is billed by: its own, its package's, its account's, or that of one above."""
        account, service = numbered.account, numbered.service
        names = (service.plan, service.package, account.plan, *(each.plan for each in self.above(account)))
        return next((self.plan_ids[name] for name in names if name is not None), None)

    def payer(self, record: Record) -> Numbered | None:
        """The service that a record names, or that is meant where there is only one; None: by its identifier."""
        return self._payers.get((record.account, record.service))

    @cached_property
    def _payers(self) -> dict[tuple[str | None, str | None], Numbered | None]:
        """Services by account and name, by either alone, and by nothing, wherever only one is meant."""
        found: dict[tuple[str | None, str | None], Numbered | None] = {}
        for each in self.services:
            number, name = each.account.number, each.service.name
            for key in ((number, name), (number, None), (None, name), (None, None)):
                found[key] = None if key in found else each
        return found


def build_world(setting: Setting, records: Sequence[Record]) -> tuple[World, list[Record]]:
    """The world of a quote, and its records with what they leave out: account, service, class and date.

    Raises FaultySpecError where usage names what the document does not have.
    """
    only_class = _only_class(setting)
    since = setting.periods[0].starts_at if setting.periods else DEFAULT_DATE
    named = [replace(each, date=each.date or since, usage_class=each.usage_class or only_class) for each in records]
    if not setting.accounts:
        named = [
            replace(each, account=each.account or DEFAULT_NAME, service=each.service or DEFAULT_NAME) for each in named
        ]
    world = World(setting, _accounts(setting, named), _classes(setting, named))
    faults = [fault for place, each in enumerate(named) for fault in _unknown(world, each, place)]
    if faults:
        raise FaultySpecError(faults[:MOST_FAULTS])
    return world, named


def _unknown(world: World, record: Record, place: int) -> Iterable[Fault]:
    if record.usage_class is None:
        yield Fault(f"/usage/{place}/usage_class", "is missing: the plans have rates for several classes")
    if record.account is not None and record.account not in world.account_ids:
        yield Fault(f"/usage/{place}/account", f"there is no account “{record.account}” in the document")
    elif record.service is not None and world.payer(record) is None:
        told = f"there is no service “{record.service}”, or several accounts have one: name the account"
        yield Fault(f"/usage/{place}/service", told)


def _only_class(setting: Setting) -> str | None:
    """What usage is of that does not say so: the only class that plans have rates for."""
    classes = {rate.usage_class for plan in setting.plans for group in plan.groups for rate in group.rates}
    return classes.pop() if len(classes) == 1 else None


def _classes(setting: Setting, records: Sequence[Record]) -> tuple[UsageClass, ...]:
    """The document's classes, then those that plans name, in their order, then those that only usage names."""
    known = {each.name: each for each in setting.classes}
    groups = [group for plan in setting.plans for group in (*plan.groups, *plan.cost_groups)]
    named = [rate.usage_class for group in groups for rate in group.rates]
    followed = [bucket.follows.usage_class for plan in setting.plans for bucket in plan.buckets if bucket.follows]
    used = sorted({record.usage_class for record in records if record.usage_class is not None})
    for name in (*named, *followed, *used):
        known.setdefault(name, UsageClass(name))
    return tuple(known.values())


def _accounts(setting: Setting, records: Sequence[Record]) -> tuple[Account, ...]:
    """The document's accounts, each with a service at least; or those that the usage names, all on the only plan."""
    if setting.accounts:
        default = setting.plans[0].name if len(setting.plans) == 1 else None
        return tuple(
            replace(each, services=each.services or (Service(each.number),), plan=each.plan or default)
            for each in setting.accounts
        )
    services: dict[str, set[str]] = {} if records else {DEFAULT_NAME: {DEFAULT_NAME}}
    for record in records:
        services.setdefault(record.account or DEFAULT_NAME, set()).add(record.service or DEFAULT_NAME)
    return tuple(
        Account(number, plan=setting.plans[0].name, services=tuple(Service(name) for name in sorted(services[number])))
        for number in sorted(services)
    )
