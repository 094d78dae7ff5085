"""Assigning exceptions to people and commenting on them, as pages and panels of a workbench; each room says of what."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django import forms
from django.contrib.admin import SimpleListFilter
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Max, Min, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from mediation.admin import kit, marks, workbench
from mediation.admin.workbench import Action
from mediation.services.reviewing import (
    MAX_COMMENT,
    UnableToAssign,
    UnableToComment,
    people_who_may,
)

MOST_COMMENTS = 50  # shown on a page; all of them are in the API and the database


@dataclass(frozen=True)
class Review:
    """How one room's exceptions are reviewed.

    model: as in rating_ratingexception. may_review, may_clear: permissions as app_label.codename, the second of those
    whom exceptions can be assigned to. assign, comment_one, comment_all: the room's services. asked: the group that an
    address names, or 404. group_of, rows_of, comments_on: of an exception its group; of a group its open exceptions and
    what was said about it. url_for: a group's page, or another page about it. words_of: a group in a few words.
    """

    model: str
    may_review: str
    may_clear: str
    assign: Callable[..., int]
    comment_one: Callable[..., Any]
    comment_all: Callable[..., Any]
    asked: Callable[[HttpRequest], Any]
    group_of: Callable[[Any], Any]
    rows_of: Callable[[Any], QuerySet[Any]]
    comments_on: Callable[[Any], QuerySet[Any]]
    url_for: Callable[..., str]
    words_of: Callable[[Any], str]
    crumbs: Callable[[Any], Sequence[tuple[str, str]]]

    def page(self, what: str) -> str:
        return f"{self.model}_{what}"


class AssignedFilter(SimpleListFilter):
    """Filters by who looks after an exception: oneself, or nobody yet."""

    title = "assigned to"
    parameter_name = "assigned"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("me", "me"), ("nobody", "nobody")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        chosen = {"me": kit.person(request), "nobody": None}
        return queryset.filter(assigned_to=chosen[self.value()]) if self.value() in chosen else queryset  # type: ignore[index]


class AssignForm(forms.Form):
    to = forms.ModelChoiceField(
        queryset=User.objects.none(),
        required=False,
        label="Who looks after them",
        empty_label="nobody",
        help_text="Those who may clear them.",
    )

    def __init__(self, *args: Any, people: QuerySet[User], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["to"]
        field.queryset = people


class CommentForm(forms.Form):
    text = forms.CharField(
        label="Comment",
        max_length=MAX_COMMENT,
        widget=forms.Textarea(attrs={"rows": 3, "cols": 80}),
        help_text="Kept for ever, with your name and the time.",
    )


def urls(model_admin: kit.ModelAdmin, review: Review) -> list[URLPattern]:
    """The addresses of assigning and commenting, of a group and of one exception."""
    pages: dict[str, tuple[str, Callable[..., HttpResponse]]] = {
        "group_assign": ("group/assign/", assign_group_view),
        "group_comment": ("group/comment/", comment_group_view),
        "assign": ("<int:pk>/assign/", assign_view),
        "comment": ("<int:pk>/comment/", comment_view),
    }
    return [
        path(address, model_admin.admin_site.admin_view(partial(view, model_admin, review)), name=review.page(name))
        for name, (address, view) in pages.items()
    ]


# Assigning


def assign_group_view(model_admin: kit.ModelAdmin, review: Review, request: HttpRequest) -> HttpResponse:
    """Give all open exceptions of a group to somebody."""
    _require(request, review)
    group = review.asked(request)
    return _assign(model_admin, review, request, review.rows_of(group), group, review.url_for(group))


def assign_view(model_admin: kit.ModelAdmin, review: Review, request: HttpRequest, pk: int) -> HttpResponse:
    """Give one exception to somebody."""
    _require(request, review)
    rows = model_admin.get_queryset(request)
    exception = get_object_or_404(rows, pk=pk)
    one = rows.filter(pk=pk)
    return _assign(model_admin, review, request, one, review.group_of(exception), model_admin.object_url(pk))


def _assign(
    model_admin: kit.ModelAdmin, review: Review, request: HttpRequest, rows: QuerySet[Any], group: Any, back: str
) -> HttpResponse:
    people = people_who_may(review.may_clear)
    form = AssignForm(
        request.POST if request.method == "POST" else None, people=people, initial={"to": kit.person(request)}
    )
    refusal = ""
    if request.method == "POST" and form.is_valid():
        to = form.cleaned_data["to"]
        try:
            count = review.assign(exceptions=rows, to=to, by=kit.person(request), now=timezone.now())
        except UnableToAssign as fault:
            refusal = str(fault)
        else:
            done = f"assigned to {to}" if to else "assigned to nobody"
            kit.tell(model_admin, request, count, "exception", done)
            return HttpResponseRedirect(back)
    return workbench.ask_page(
        model_admin,
        request,
        form,
        title="Assign",
        button="Assign",
        lines=[format_html("<strong>{}</strong>.", kit.counted(rows.filter(status="open").count(), "open exception"))],
        cancel_url=back,
        crumbs=review.crumbs(group),
        refusal=refusal,
    )


# Commenting


def comment_group_view(model_admin: kit.ModelAdmin, review: Review, request: HttpRequest) -> HttpResponse:
    """Say something about a group, also for exceptions that come to it later."""
    _require(request, review)
    group = review.asked(request)
    said = partial(review.comment_all, group=group)
    return _comment(model_admin, review, request, said, group, review.url_for(group))


def comment_view(model_admin: kit.ModelAdmin, review: Review, request: HttpRequest, pk: int) -> HttpResponse:
    """Say something about one exception."""
    _require(request, review)
    exception = get_object_or_404(model_admin.get_queryset(request), pk=pk)
    said = partial(review.comment_one, exception=exception)
    return _comment(model_admin, review, request, said, review.group_of(exception), model_admin.object_url(pk))


def _comment(
    model_admin: kit.ModelAdmin,
    review: Review,
    request: HttpRequest,
    say: Callable[..., Any],
    group: Any,
    back: str,
) -> HttpResponse:
    form = CommentForm(request.POST or None)
    refusal = ""
    if request.method == "POST" and form.is_valid():
        try:
            say(text=form.cleaned_data["text"], by=kit.person(request), now=timezone.now())
        except UnableToComment as fault:
            refusal = str(fault)
        else:
            model_admin.message_user(request, "The comment is kept.")
            return HttpResponseRedirect(back)
    return workbench.ask_page(
        model_admin,
        request,
        form,
        title="Comment",
        button="Comment",
        lines=[f"About: {review.words_of(group)}."],
        cancel_url=back,
        crumbs=review.crumbs(group),
        refusal=refusal,
    )


def _require(request: HttpRequest, review: Review) -> None:
    if not kit.person(request).has_perm(review.may_review):
        raise PermissionDenied


# What stands on the pages of groups and exceptions


def group_actions(review: Review, request: HttpRequest, group: Any) -> list[Action]:
    """The ways to assigning and commenting from a group's page."""
    if not kit.person(request).has_perm(review.may_review):
        return []
    return [
        Action("Assign…", review.url_for(group, review.page("group_assign")), "Say who looks after all of them"),
        Action("Comment…", review.url_for(group, review.page("group_comment")), "Say what was found out"),
    ]


def record_links(review: Review, request: HttpRequest, exception: Any) -> list[tuple[str, str]]:
    """The same from an exception's page: (text, address)."""
    if not kit.person(request).has_perm(review.may_review):
        return []
    links = [("Comment…", reverse(f"admin:{review.page('comment')}", args=[exception.pk]))]
    if exception.status == "open":
        links.insert(0, ("Assign…", reverse(f"admin:{review.page('assign')}", args=[exception.pk])))
    return links


def group_panel(review: Review, request: HttpRequest, group: Any) -> SafeString | str:
    """Who has the group's exceptions, and what was said about it."""
    held = review.rows_of(group).filter(assigned_to__isnull=False).order_by()
    counted = held.aggregate(count=Count("pk"), first=Min("assigned_to"), last=Max("assigned_to"))
    who = ""
    if counted["count"]:
        names = "several people" if counted["first"] != counted["last"] else name_of(counted["first"])
        who = f"{kit.counted(counted['count'], 'record')} assigned to {names}"
    return _panel(who, review.comments_on(group))


def record_panel(review: Review, request: HttpRequest, exception: Any) -> SafeString | str:
    """Who has an exception, and what was said about it and about its group."""
    who = f"assigned to {name_of(exception.assigned_to_id)}" if exception.assigned_to_id else ""
    own = exception.comments.select_related("created_by").order_by("-pk")
    return _panel(who, own, review.comments_on(review.group_of(exception)))


def name_of(user_id: int) -> str:
    """A person's name; of somebody who is no more, that."""
    return User.objects.filter(pk=user_id).values_list("username", flat=True).first() or "somebody who is gone"


def _panel(who: str, *comments: QuerySet[Any]) -> SafeString | str:
    said = [(comment, place > 0) for place, rows in enumerate(comments) for comment in rows[:MOST_COMMENTS]]
    if not said and not who:
        return ""
    told = [
        {
            "who": comment.created_by or "the house",
            "when": marks.moment(comment.created_at),
            "text": comment.text,
            "is_of_group": is_of_group,
        }
        for comment, is_of_group in sorted(said, key=lambda each: each[0].created_at, reverse=True)
    ]
    return render_to_string("admin/workbench/review.html", {"who": who, "comments": told})
