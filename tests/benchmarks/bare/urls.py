"""The view that only stores: one insert, committed before it answers."""

from django.db import connection
from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

TABLE = """
CREATE TABLE bare_body (id bigserial PRIMARY KEY, content bytea NOT NULL);
ALTER TABLE bare_body ALTER COLUMN content SET STORAGE EXTERNAL
"""


@csrf_exempt
def store(request: HttpRequest) -> JsonResponse:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO bare_body (content) VALUES (%s) RETURNING id", [request.body])
        (number,) = cursor.fetchone()
    return JsonResponse({"id": number}, status=202)


urlpatterns = [path("bodies", store)]
