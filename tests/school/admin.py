"""The admin of the school."""

from django.contrib import admin

from tests.school.models import Preset, Student, User


@admin.register(User)
class UserAdmin(admin.ModelAdmin):
    """Users, found by name."""

    list_display = ["name", "email"]
    search_fields = ["name"]


@admin.register(Student)
class StudentAdmin(admin.ModelAdmin):
    """Students with their courses."""

    list_display = ["name", "user"]
    list_filter = ["courses"]
    fields = ["name", "courses", "friends"]
    filter_horizontal = ["courses", "friends"]


admin.site.register(Preset)
