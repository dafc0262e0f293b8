"""Where to get tokens: `path("api/token/", include("pgcraft_django.urls"))`."""

from django.urls import path

from pgcraft_django import views

app_name = "pgcraft_django"
urlpatterns = [
    path("", views.log_in, name="token"),
    path("refresh/", views.refresh, name="token_refresh"),
    path("revoke/", views.revoke, name="token_revoke"),
]
