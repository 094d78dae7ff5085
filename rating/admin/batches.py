"""What rating adds to the screen of UDR batches: trying those again that were parked as errored."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone

from mediation.admin import kit
from mediation.admin.udrs import UdrBatchAdmin
from mediation.models import UdrBatch
from rating import services


class BatchToRateAdmin(UdrBatchAdmin):
    actions = ("retry",)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return kit.person(request).has_perm("rating.rerate_ratingexception")

    def offers(self, action: str, target: Any) -> bool:
        return target.status == UdrBatch.Status.ERRORED

    @admin.action(description="Try errored work again", permissions=["retry"])
    def retry(self, request: HttpRequest, batches: QuerySet[UdrBatch]) -> None:
        count = services.retry_batches(batches=batches, by=kit.person(request), now=timezone.now())
        kit.tell(self, request, count, "batch", "will be tried again")


admin.site.unregister(UdrBatch)
admin.site.register(UdrBatch, BatchToRateAdmin)
