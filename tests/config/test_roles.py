"""What each role may open and do: every address of the admin and the API, held against a written matrix."""

from pathlib import Path

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.urls import reverse
from knox.models import AuthToken

from config import roles
from ingestion.models import Feed, FeedGrant
from tests.config.addresses import addresses, browser_of, fill, may
from tests.config.crowd import crowd, person
from tests.ingestion.factories import feed_of

MATRIX = Path(__file__).with_name("roles_and_addresses.txt")
# The letters of the matrix. An operator without a feed, and a person without a role, see what is nobody's secret.
PEOPLE = {
    "B": (roles.BILLING_ADMIN,),
    "O": (roles.OPERATOR,),
    "F": (roles.FINANCE,),
    "I": (roles.INTEGRATOR,),
    "o": (roles.OPERATOR,),
    "n": (),
}
GRANTED = {"O", "I"}


def matrix():
    """(who opens it, who does it) by address; letters of PEOPLE."""
    rows = {}
    for line in MATRIX.read_text().splitlines():
        if line and not line.startswith("#"):
            name, opens, does = line.split()
            assert name not in rows, f"{name} has two rows"
            rows[name] = tuple("" if letters == "-" else letters for letters in (opens, does))
    return rows


def somebody(letter):
    """A person of a role: all are staff but integrators."""
    user = User.objects.create(username=f"role-{letter}", is_staff=letter != "I")
    user.groups.set(Group.objects.filter(name__in=PEOPLE[letter]))
    if letter in GRANTED:
        FeedGrant.objects.bulk_create(FeedGrant(user=user, feed=feed) for feed in Feed.objects.all())
    return User.objects.get(pk=user.pk)


def test_every_address_has_its_row_and_every_row_its_address():
    names = [address.name for address in addresses()]
    rows = matrix()
    assert not set(names) - set(rows), "addresses without a row: say in the matrix who may open them"
    assert not set(rows) - set(names), "rows without an address"


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.parametrize("letter", PEOPLE)
def test_a_role_opens_and_does_what_the_matrix_says(letter):
    crowd(1, 1)
    client = browser_of(somebody(letter))
    said, found = {}, {}
    for address in addresses():
        opens, does = matrix()[address.name]
        path = fill(address)
        said[address.name] = (letter in opens, letter in does)
        found[address.name] = (may(client, path, "GET"), may(client, path, "POST"))
    assert {name: one for name, one in found.items() if one != said[name]} == {}


@pytest.mark.django_db
def test_the_groups_have_the_permissions_of_their_roles():
    for name, permissions in roles.ROLES.items():
        held = Group.objects.get(name=name).permissions.select_related("content_type")
        assert {f"{one.content_type.app_label}.{one.codename}" for one in held} == permissions


@pytest.mark.django_db
def test_every_permission_of_ours_is_given_to_a_role_or_is_one_that_no_role_needs():
    """Rows that only the house writes cannot be added, changed or deleted by anybody: no role has these rights."""
    apps = ("ingestion", "mediation", "rating", "config")
    ours = Permission.objects.filter(content_type__app_label__in=apps).select_related("content_type")
    named = {f"{one.content_type.app_label}.{one.codename}" for one in ours}
    given = frozenset().union(*roles.ROLES.values())
    usual = ("add_", "change_", "delete_", "view_")
    plain = {name for name in named - given if name.partition(".")[2].startswith(usual)}
    assert named - given - plain == set()


@pytest.mark.django_db
def test_nobody_but_a_superuser_changes_people_and_roles():
    rights = [f"auth.{verb}_{model}" for verb in ("view", "add", "change", "delete") for model in ("user", "group")]
    client = person(*rights)
    other = User.objects.create(username="other")
    for page, args in (("user_add", []), ("group_add", []), ("user_delete", [other.pk])):
        assert client.get(reverse(f"admin:auth_{page}", args=args)).status_code == 403
    asked = {"is_superuser": "on", "username": "other"}
    answer = client.post(reverse("admin:auth_user_change", args=[other.pk]), asked)
    assert answer.status_code == 403
    assert not User.objects.get(pk=other.pk).is_superuser


@pytest.mark.django_db
def test_tokens_are_issued_for_service_users_only_except_by_a_superuser(admin_client):
    client = person("knox.view_authtoken", "knox.add_authtoken")
    service, staff = User.objects.create(username="source"), User.objects.create(username="clerk", is_staff=True)
    url = reverse("admin:knox_authtoken_add")
    assert "Select a valid choice" in client.post(url, {"user": staff.pk, "name": "x", "days": 30}).content.decode()
    assert "token" in client.post(url, {"user": service.pk, "name": "x", "days": 30}).context
    admin_client.post(url, {"user": staff.pk, "name": "x", "days": 30})
    assert list(AuthToken.objects.values_list("user__username", flat=True).order_by("created")) == ["source", "clerk"]


@pytest.mark.django_db
def test_a_billing_admin_grants_a_feed_to_a_service_user_on_the_feeds_page():
    feed, source = feed_of(), User.objects.create(username="source")
    client = browser_of(somebody("B"))
    page = client.get(reverse("admin:ingestion_feed_change", args=[feed.pk]))
    form = page.context["adminform"].form.initial | {"pickup_pattern": "*"}
    answers = {name: value for name, value in form.items() if value not in (None, False)}
    grants = {"TOTAL_FORMS": 1, "INITIAL_FORMS": 0, "0-user": source.pk, "0-feed": feed.pk}
    answers |= {f"grants-{name}": value for name, value in grants.items()}
    answer = client.post(reverse("admin:ingestion_feed_change", args=[feed.pk]), answers)
    assert answer.status_code == 302, answer.context["errors"]
    assert FeedGrant.objects.get().user == source


def test_every_screen_of_ours_stands_on_the_kit():
    from mediation.admin import kit

    screens = admin.site._registry.items()
    strange = [model._meta.label for model, screen in screens if not isinstance(screen, kit.ModelAdmin)]
    assert [label for label in strange if not label.startswith("django_q.")] == []
