"""People for the tests of services: each with no more than the permissions that are named."""

from django.contrib.auth.models import Permission, User


def user_who_may(*permissions):
    """A person with these permissions, each as app_label.codename, for every feed."""
    user = User.objects.create(username=f"person who may {len(permissions)} things {User.objects.count()}")
    for name in (*permissions, "ingestion.every_feed"):
        app_label, codename = name.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app_label, codename=codename))
    return user
